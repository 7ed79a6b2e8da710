# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Commands that are wrong, or cannot be done: one sentence, and a status that is not 0."""

import importlib.util
import os

import pytest
from commands import failure, run

from dhq_brevitas.run import pipeline

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
        (["--rotation", "sideways"], "--rotation 'sideways' is unknown: use 'input', "),
        (["--rotation", "none,input"], "rotation has 2 entries, the network 4 linear layers"),
        (["--steps", "-1"], "--steps -1 must be at least 0"),
        (["--qat-learning-rate", "0"], "--qat-learning-rate 0.0 must be a positive number"),
        (["--batch", "0"], "--batch 0 must be at least 1"),
        (["--cycles-per-sample", "0"], "--cycles-per-sample 0 must be at least 1"),
        (["--clk-ns", "0"], "--clk-ns 0.0 must be positive"),
        (["--task", "film"], "--task 'film' is unknown: use picture, "),
        (["--family", "fern"], "--family 'fern' is unknown: use siren, "),
        (["--parameters", "omega"], "--parameters 'omega' has 'omega', which is not NAME=NUMBER"),
        (["--qat-steps", "-2"], "--qat-steps -2 must be at least 0"),
        (["--fpga-part", "tin"], "--fpga-part 'tin' is no FPGA part"),
        (["--level", "wafer"], "--level 'wafer' does not exist: use python, node, stitched"),
        (["--max-lut", "5"], "--max-lut 5 is for the planner: use scheme='auto'"),
        (["--max-dsp", "-1", "--scheme", "auto"], "--max-dsp -1 must be an integer of at least 0"),
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


@pytest.fixture
def no_finn(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *_: None if name == "finn" else find_spec(name)
    )


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


def test_damaged_record(tmp_path, capsys):
    (tmp_path / "fit.json").write_text("{")
    status, line = failure(capsys, "quantize", "--out", tmp_path)
    assert status == 1
    assert "fit.json is not valid JSON" in line


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
