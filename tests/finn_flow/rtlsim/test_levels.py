# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq simulate --level node`` and ``--level rtl`` on a small picture."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhq_brevitas import finn_flow
from dhq_brevitas.finn_flow import host
from dhq_brevitas.run import cli
from dhq_brevitas.run.records import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore")
HEIGHT, WIDTH = 16, 20


def run(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        # main() prepares the whole process; here that process is pytest's.
        patch.setattr(cli, "_prepare_process", lambda debug: None)
        return cli.main([str(argument) for argument in arguments])


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A run up to the build."""
    folder = tmp_path_factory.mktemp("run")
    pixels = np.indices((HEIGHT, WIDTH)).sum(axis=0)[..., None] * np.arange(1, 4) * 4
    Image.fromarray((pixels % 256).astype(np.uint8)).save(folder / "picture.png")
    options = ["--size", WIDTH, "--hidden", 8, "--layers", 1, "--cycles-per-sample", 64]
    options += ["--steps", 30, "--qat-steps", 5, "--until", "build"]
    assert run("run", folder / "picture.png", "--out", folder / "out", *options) == 0
    return folder / "out"


def test_stitched_is_the_rtl_level(out, capsys):
    assert run("simulate", "--out", out, "--level", "rtl") == 0
    values = summary(out)
    assert values["options"]["simulate"]["level"] == "stitched"
    assert values["mismatch_finn_rtl"] == 0
    assert values["psnr_rtl"] == values["psnr_finn"]
    assert values["samples_compared"] == values["rtl_samples_compared"] == HEIGHT * WIDTH
    assert values["rtl_codes_compared"] == HEIGHT * WIDTH * 3
    estimate = values["cycles_per_sample_estimate"]
    assert values["cycles_per_sample"] == pytest.approx(estimate, rel=0.02)
    assert values["latency_cycles"] > estimate
    assert len(values["fifo_depths"]) > 4
    assert (out / "stitched" / "README.md").is_file()
    codes = RunFolder(out).array("rtl.npz", "codes")
    np.testing.assert_array_equal(codes, RunFolder(out).array("finn.npz", "codes"))
    capsys.readouterr()
    assert run("simulate", "--out", out, "--level", "stitched") == 0
    assert "simulate: unchanged, skipped" in capsys.readouterr().out
    assert run("report", "--out", out) == 0
    assert "measured in RTL simulation" in capsys.readouterr().out


def test_engine_writes_the_host_s_picture(out, capsys):
    """Without an input, the same bytes; a shell of the build decides how they leave."""
    assert run("simulate", "--out", out, "--level", "engine") == 0
    values = summary(out)
    assert (values["mismatch_host_engine"], values["engine_codes_compared"]) == (0, 3 * 320)
    assert values["engine_shell"] == "axis"
    engine, python = (np.asarray(Image.open(out / f"{name}.png")) for name in ("engine", "finn"))
    np.testing.assert_array_equal(engine, python)
    np.testing.assert_array_equal(
        RunFolder(out).array("engine.npz", "codes").reshape(engine.shape), engine
    )
    assert "dhq_accelerator accelerator (" in (out / "engine" / "dhq_engine.v").read_text()
    capsys.readouterr()
    assert run("report", "--out", out) == 0
    assert "RTL, engine's samples" in capsys.readouterr().out


def test_vivado_takes_the_same_design(out, capsys):
    """With the part's slices it is the one that was simulated; what it gives is the picture."""
    assert run("vivado", "--out", out, "--board", "Ultra96-V2") == 0
    values, folder = summary(out), out / "vivado"
    assert (values["vivado_part"], values["vivado_packet_bytes"]) == ("xczu3eg-sbva484-1-i", 960)
    assert host.check(folder) == "320 points: values, received as they must be"
    received = np.load(folder / "check.npz")["received"]
    picture = np.asarray(Image.open(out / "finn.png"))
    np.testing.assert_array_equal(received.reshape(picture.shape), picture)
    assert "set TOP dhq_engine\n" in (folder / "settings.tcl").read_text()
    assert {"package_ip.tcl", "run_on_board.py"} < {path.name for path in folder.iterdir()}
    assert run("vivado", "--out", out, "--board", "Zybo") == 2
    assert "--board 'Zybo' is not known: use Pynq-Z1," in capsys.readouterr().err


def test_engine_needs_a_shell(out, tmp_path, capsys):
    folder = shutil.copytree(out, tmp_path / "out")
    options = ["--cycles-per-sample", 64, "--shell", "none"]
    assert run("build", "--out", folder, *options) == 0
    assert run("simulate", "--out", folder, "--level", "engine") == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == (
        "dhq: error: --level 'engine' needs a shell: repeat the build with --shell axis or pixels"
    )
    # For Vivado it is a design that takes codes.
    assert run("vivado", "--out", folder, "--board", "Ultra96-V2") == 0
    record = host.read_record(folder / "vivado")
    assert (record.given.size, record.given.channels, record.wanted.channels) == (640, 2, 3)
    checked = "320 points: values, received, codes, codes sent as they must be"
    assert host.check(folder / "vivado") == checked


def test_node_level(out, capsys):
    assert run("simulate", "--out", out, "--level", "node", "--samples", 40) == 0
    values = summary(out)
    assert [node["op_type"] for node in values["nodes"]] == values["hardware_layers"]
    assert all(node["mismatches"] == 0 and node["samples"] == 40 for node in values["nodes"])
    assert (values["mismatch_finn_rtl"], values["rtl_samples_compared"]) == (0, 40)
    # A part of the picture has no PSNR, and single layers no common rate.
    assert not {"psnr_rtl", "cycles_per_sample", "latency_cycles"} & values.keys()
    assert run("report", "--out", out) == 0
    text = capsys.readouterr().out
    assert "HadamardTransform_rtl_0" in text
    assert "0 of 120" in text


def test_whole_picture_layer_by_layer_and_a_wrong_code(out, monkeypatch):
    """Negative control: an integer of FINN's that differs is counted."""
    execute = finn_flow.execute_dataflow

    def wrong(*args, **kwargs):
        codes = execute(*args, **kwargs)
        codes[100, 1] += 1
        return codes

    monkeypatch.setattr(finn_flow, "execute_dataflow", wrong)
    assert run("simulate", "--out", out, "--level", "node", "--samples", 0) == 0
    values = summary(out)
    assert values["mismatch_finn_rtl"] == 1
    assert values["rtl_samples_compared"] == HEIGHT * WIDTH
    assert values["psnr_rtl"] == values["psnr_qonnx"]
