# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq synth`` when something is wrong: one sentence, a status that is not 0, nothing lost."""

import importlib.util
import json
import re
import shutil

import pytest
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.synthesis import sources
from dhq_brevitas.run import cli
from dhq_brevitas.util.files import file_digest

pytestmark = pytest.mark.filterwarnings("ignore")


def run(*arguments) -> int:
    with pytest.MonkeyPatch.context() as patch:
        # main() prepares the whole process; here that process is pytest's.
        patch.setattr(cli, "_prepare_process", lambda debug: None)
        return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A run folder with a built accelerator of two layers."""
    folder = tmp_path_factory.mktemp("run") / "out"
    size = ["--size", 8, "--hidden", 8, "--layers", 1, "--cycles-per-sample", 64]
    assert run("run", "camera", "--out", folder, *size, "--steps", 5, "--qat-steps", 0) == 0
    return folder


def failure(capsys, *arguments) -> str:
    """The one line that a failing command prints as its error."""
    capsys.readouterr()
    assert run("synth", *arguments) == 1
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1
    return printed[0]


def test_unknown_part(built, capsys):
    part = "xcvc1902-vsva2197-2MP-e-S"
    message = failure(capsys, "--out", built, "--fpga-part", part)
    assert message.startswith(f"dhq: error: fpga_part='{part}' is no part that Yosys can map to: ")
    assert "choose one of the 7 series" in message


def test_missing_yosys(built, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "pyosys" else find_spec(name)
    )
    assert failure(capsys, "--out", built) == (
        "dhq: error: synthesis needs Yosys, which is not installed: pip install "
        "'dhq-brevitas[synth]'"
    )


def test_nothing_built(tmp_path, capsys):
    message = failure(capsys, "--out", tmp_path)
    assert message.startswith("dhq: error: synth needs the result of fit")
    assert "run dhq fit SIGNAL --out" in message


def test_graph_that_is_not_specialized(built, tmp_path, capsys):
    """As left by a build of one's own that stops before step_dhq_specialize_layers."""
    folder = shutil.copytree(built, tmp_path / "out")
    graph = folder / "build" / "dataflow.onnx"
    model = ModelWrapper(str(graph))
    node = model.graph.node[0]
    node.op_type, node.domain = node.op_type.removesuffix("_rtl"), DOMAIN
    model.save(str(graph))
    record = json.loads((folder / "build.json").read_text())
    record["files"]["build/dataflow.onnx"] = file_digest(graph)
    (folder / "build.json").write_text(json.dumps(record))
    assert re.fullmatch(
        rf"dhq: error: node {node.name} \(op_type MVAU\) cannot be simulated: it is not "
        r"specialized to RTL; run step_dhq_specialize_layers first",
        failure(capsys, "--out", folder),
    )


def test_error_in_a_file_of_the_library(built, tmp_path, capsys, monkeypatch):
    """FINN's file as it is: what Yosys does not accept in it is not taken out."""
    monkeypatch.setenv("DHQ_SYNTHESIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "patched", lambda name, text, *_: text)
    folder = tmp_path / "out"
    shutil.copytree(built, folder)
    assert run("build", "--out", folder, "--mvau", "finn") == 0
    message = failure(capsys, "--out", folder)
    assert re.fullmatch(
        # Nodes and the whole are synthesized side by side; which fails first is chance.
        r"dhq: error: (node \w+ \(op_type \w+\)|the stitched design): \w+ cannot be synthesized: "
        r"\w+\.sv, line \d+: "
        r"directive is not allowed inside a design element; the files of FINN's library are made "
        r"fit for Yosys as finn-plus 1\.6\.1 has them, so install that version",
        message,
    )
