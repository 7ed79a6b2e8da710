# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Commands that are wrong, or cannot be done: one sentence, and a status that is not 0."""

import importlib.util
import json
import os
import re
import shutil

import pytest
import torch
from commands import SMALL, failure, run

from dhq_brevitas.run import pipeline
from dhq_brevitas.util import files
from dhq_brevitas.util.files import file_digest
from dhq_brevitas.util.states import save_tensors

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weight-bits", "0"], "--weight-bits 0 is out of range: use 2 to 12 bits"),
        (["--act-bits", "33"], "--act-bits 33 is out of range: use 2 to 12 bits"),
        (["--phase-bits", "3"], "--phase-bits 3 is out of range: use 4 to 16 bits"),
        (["--layers", "33"], "--layers 33 is out of range: use 1 to 32"),
        (["--hidden", "33"], "--rotation 'input' applies to no layer of sizes [(2, 33), (33, 33)"),
        (["--hidden", "0"], "--hidden 0 must be at least 1"),
        (["--first-hidden", "999"], "--first-hidden 999 is what to keep of hidden="),
        (["--first-hidden", "0"], "--first-hidden 0 must be at least 1"),
        (["--first-hidden", "few"], "--first-hidden: 'few' is neither a number nor auto"),
        (["--first-hidden", "auto"], "--first-hidden 'auto' is for the planner: use scheme='auto'"),
        (["--rotation", "sideways"], "--rotation 'sideways' is unknown: use 'input', "),
        (["--rotation", "none,input"], "rotation has 2 entries, the network 4 linear layers"),
        (["--steps", "-1"], "--steps -1 must be at least 0"),
        (["--qat-learning-rate", "0"], "--qat-learning-rate 0.0 must be a positive number"),
        (["--batch", "0"], "--batch 0 must be at least 1"),
        (["--cycles-per-sample", "0"], "--cycles-per-sample 0 must be at least 1"),
        (
            ["--cycles-per-sample", "fast"],
            "--cycles-per-sample: 'fast' is neither a number nor auto",
        ),
        (["--clk-ns", "0"], "--clk-ns 0.0 must be positive"),
        (["--task", "film"], "--task 'film' is unknown: use picture, "),
        (["--family", "fern"], "--family 'fern' is unknown: use siren, "),
        (["--parameters", "omega"], "--parameters 'omega' has 'omega', which is not NAME=NUMBER"),
        (["--qat-steps", "-2"], "--qat-steps -2 must be at least 0"),
        (["--fpga-part", "tin"], "--fpga-part 'tin' is no FPGA part"),
        (["--level", "wafer"], "--level 'wafer' does not exist: use python, node, stitched"),
        (["--max-lut", "5"], "--max-lut 5 is for the planner: use scheme='auto'"),
        (["--max-dsp", "-1", "--scheme", "auto"], "--max-dsp -1 must be an integer of at least 0"),
        (["--budget", "5"], "--budget 5 is for the planner: use scheme='auto'"),
        (["--hidden", "99999999"], "--hidden 99999999 is out of range: use at most 16384"),
        (["--parameters", "omega=nan"], "has 'omega=nan', which is not NAME=NUMBER"),
        (["--parameters", "omega=3,omega=4"], "'omega=3,omega=4' has omega twice; give it once"),
        (
            ["--task", "tomography", "--task-parameters", "angles=inf"],
            "--task-parameters 'angles=inf' has 'angles=inf', which is not NAME=NUMBER",
        ),
        (["--samples", "-1"], "--samples -1 must be at least 1, or 0 for all"),
    ],
)
def test_bad_values_are_refused_before_any_work(tmp_path, capsys, options, message):
    status, line = failure(capsys, "run", "camera", "--out", tmp_path, *options)
    assert status == 2
    assert message in line
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "camera"],
        ["fit", "camera", "--out", "x", "--hidden", "wide"],
        ["quantize", "--out", "x", "--scheme", "best"],
        ["export", "--out", "x", "--hidden", "16"],
    ],
)
def test_wrong_commands(arguments, capsys):
    status, line = failure(capsys, *arguments)
    assert status == 2
    assert line.startswith("dhq")


def test_missing_and_unreadable_pictures(tmp_path, capsys):
    out = tmp_path / "out"
    status, line = failure(capsys, "fit", "astronot", "--out", out)
    assert status == 1
    assert "there is no picture 'astronot'" in line
    assert "astronaut" in line
    (tmp_path / "bad.png").write_text("no picture")
    status, line = failure(capsys, "run", tmp_path / "bad.png", "--out", out, "--until", "fit")
    assert status == 1
    assert "cannot read the picture" in line
    status, line = failure(capsys, "fit", "camera", "--out", out, "--size", "4")
    assert "size=4 is too small" in line
    status, line = failure(capsys, "fit", "camera", "--out", out, "--size", "100000")
    assert "size=100000 is too large: use at most 8192 pixels" in line
    command = ["fit", "chord", "--task", "audio", "--out", out, "--size", "99999999"]
    assert "is too long: use at most 16777216 samples" in failure(capsys, *command)[1]


def test_sounds_and_meshes_that_are_damaged(tmp_path, capsys):
    for name, task, message in (
        ("bad.wav", "audio", "bad.wav: Format not recognised."),
        # Read as text, without triangles, where charset-normalizer is installed.
        ("bad.stl", "shape", "bad.stl: it "),
        ("bad.ply", "shape", "bad.ply: it is damaged, or no STL, OBJ, PLY or OFF file ("),
    ):
        (tmp_path / name).write_bytes(b"ply\nelement vertex 3\n" + bytes(range(100, 256)))
        status, line = failure(
            capsys, "fit", tmp_path / name, "--task", task, "--out", tmp_path / "out"
        )
        assert status == 1
        assert message in line


def test_unwritable_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    status, line = failure(capsys, "fit", "camera", "--out", tmp_path / "file" / "run")
    assert status == 1
    assert "cannot write to the output folder" in line


@pytest.mark.parametrize(
    ("stage", "missing"), [("quantize", "fit camera"), ("export", "fit"), ("simulate", "fit")]
)
def test_stages_in_the_wrong_order(tmp_path, capsys, stage, missing):
    status, line = failure(capsys, stage, "--out", tmp_path)
    assert status == 1
    name = missing.split()[0]
    assert f"{stage} needs the result of {name}" in line
    assert f"run dhq {name}" in line


def hide(monkeypatch, package):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *_: None if name == package else find_spec(name)
    )


@pytest.fixture
def no_finn(monkeypatch):
    hide(monkeypatch, "finn")


def test_missing_finn(tmp_path, capsys, no_finn):
    status, line = failure(capsys, "run", "camera", "--out", tmp_path)
    assert status == 1
    assert "dhq-brevitas[finn]" in line
    assert "--until export" in line
    assert os.listdir(tmp_path) == []


def test_limits_on_hardware_without_finn(tmp_path, capsys, no_finn):
    options = ["--scheme", "auto", "--max-lut", "9", "--until", "export"]
    status, line = failure(capsys, "run", "camera", "--out", tmp_path, *options)
    assert status == 1
    assert "limits on hardware need FINN, which is not installed" in line
    assert "pip install 'dhq-brevitas[finn]', or leave out --max-lut" in line
    assert os.listdir(tmp_path) == []


def test_adder_graphs_without_da4ml(tmp_path, capsys, monkeypatch):
    hide(monkeypatch, "da4ml")
    status, line = failure(capsys, "run", "camera", "--out", tmp_path, "--mvau", "adders")
    assert status == 1
    assert "--mvau adders needs da4ml, which is not installed: pip install" in line
    assert os.listdir(tmp_path) == []


def test_damaged_record(tmp_path, capsys):
    for text in ("{", '{"seconds": NaN}', "\ufeff{}", "[" * 100000):
        (tmp_path / "fit.json").write_text(text, encoding="utf-16" if text == "{" else "utf-8")
        status, line = failure(capsys, "quantize", "--out", tmp_path)
        assert status == 1
        assert "fit.json is not valid JSON" in line
        assert line.endswith("; delete it, and repeat the stage that makes it")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A run through the export, to be damaged in a copy."""
    folder = tmp_path_factory.mktemp("built") / "out"
    assert run("run", "camera", "--out", folder, *SMALL, "--until", "export") == 0
    assert run("plan", "--out", folder) == 0
    return folder


@pytest.fixture
def copied(built, tmp_path):
    return shutil.copytree(built, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", None),
        ("stage", "build"),
        ("files", "x"),
        ("files", {"float.pt": 3}),
        ("code", -1),
        ("results", 3),
        ("seconds", "x"),
        ("versions", []),
        ("options", {"task": None}),
        ("options", {"parameters": 3}),
        ("options", {"first_hidden": None}),  # of an earlier version
        ("options", {"hidden": "x"}),
    ],
)
def test_records_of_other_types_do_not_count(copied, capsys, name, value):
    file = copied / "fit.json"
    record = json.loads(file.read_text())
    record[name] = record[name] | value if isinstance(value, dict) else value
    file.write_text(json.dumps(record))
    status, line = failure(capsys, "quantize", "--out", copied)
    assert (status, "quantize needs the result of fit, which" in line) == (1, True)


def replaced(folder, name: str, data: bytes) -> None:
    """Another content of a file, which its record takes for its own."""
    (folder / name).write_bytes(data)
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        if isinstance(record, dict) and name in record.get("files", ()):
            record["files"][name] = file_digest(folder / name)
            path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-500], lambda data: b"x" * 99]
)
@pytest.mark.parametrize(
    ("name", "stage", "message"),
    [
        ("signal.npz", "quantize", "signal.npz is no file of arrays, or damaged; delete it"),
        ("float.pt", "quantize", "float.pt is no file of tensors, or damaged"),
    ],
)
def test_damaged_results(copied, capsys, damage, name, stage, message):
    replaced(copied, name, damage((copied / name).read_bytes()))
    status, line = failure(capsys, stage, "--out", copied, "--qat-steps", "1")
    assert status == 1
    assert message in line


def test_weights_of_another_network(copied, capsys):
    save_tensors(copied / "other.pt", {"w": torch.zeros(3)})
    replaced(copied, "float.pt", (copied / "other.pt").read_bytes())
    line = failure(capsys, "quantize", "--out", copied)[1]
    assert "float.pt holds the state of another network; delete it, and repeat the stage" in line


def test_a_plan_of_ones_own_is_not_to_be_deleted(copied, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    plan.write_text("{")
    status, line = failure(capsys, "quantize", "--out", copied, "--plan", plan)
    assert status == 2
    assert "plan.json is not valid JSON" in line
    assert line.endswith("; mend it, or make another with dhq plan")


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        (["--scheme", "stock", "--rotation", "after"], ["--rotation after", "stock quantizers"]),
        (["--rotation", "none", "--signs-seed", "3"], ["--signs-seed 3", "nothing is rotated"]),
        (["--plan", "PLAN", "--first-hidden", "3"], ["--first-hidden 3", "the plan says it"]),
        (["--qat-steps", "0", "--qat-learning-rate", "1"], ["--qat-learning-rate 1.0", "no steps"]),
        (["--rotation", "after"], []),
    ],
)
def test_options_without_effect_are_noted(copied, capsys, options, notes):
    plan = str(copied / "layer_plan.json")
    options = [plan if option == "PLAN" else option for option in options]
    assert run("quantize", "--out", copied, "--qat-steps", "1", *options) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert len(found) == bool(notes)
    assert all(note in found[0] for note in notes)


def test_memory_and_space(tmp_path, capsys, monkeypatch):
    raised = [MemoryError("74 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]

    def fails(*args):
        raise raised.pop()

    monkeypatch.setattr(pipeline, "run_stage", fails)
    monkeypatch.setattr(files, "LITTLE_BYTES", 0)
    while raised:
        line = failure(capsys, "fit", "camera", "--out", tmp_path)[1]
        assert line.endswith("): use a smaller signal, network or batch")
    monkeypatch.setattr(files, "LITTLE_BYTES", 1 << 80)
    raised.append(ValueError("abc: output.aig not found"))  # Yosys, with a full temporary folder
    line = failure(capsys, "fit", "camera", "--out", tmp_path)[1]
    assert re.search(r"not found; only \d+ KiB are free in .*, which may be the cause$", line)


def test_unexpected_errors_are_one_line_unless_debugging(tmp_path, capsys, monkeypatch):
    def broken(*args):
        raise KeyError("surprise")

    monkeypatch.setattr(pipeline, "run_stage", broken)
    status, line = failure(capsys, "fit", "camera", "--out", tmp_path)
    assert status == 1
    assert "KeyError: 'surprise' (an error of dhq; DHQ_DEBUG=1 shows where)" in line
    monkeypatch.setenv("DHQ_DEBUG", "1")
    with pytest.raises(KeyError):
        run("fit", "camera", "--out", tmp_path)


def test_interruption_between_steps(tmp_path, capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run_stage", interrupted)
    status, line = failure(capsys, "fit", "camera", "--out", tmp_path)
    assert status == 1
    assert "finished stages are kept" in line
