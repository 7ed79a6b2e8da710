# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The soak can fail, and repeats a configuration by its seed."""

import importlib.util
import json

import pytest

from configurations import Command, Configuration, Kill, draw
from random_runs import Fault, Finished, Soak, differences


def test_draws_repeat_and_vary():
    drawn = [draw(seed) for seed in range(300)]
    assert drawn == [draw(seed) for seed in range(300)]
    words = {word for one in drawn for command in one.commands for word in command.arguments}
    assert words.issuperset(["siren", "hosc", "after", "none", "auto", "stock", "dyadic", "float"])
    assert words.issuperset(["rtl", "node", "shape", "audio", "synth", "analyze", "--max-lut"])
    trouble = [t for one in drawn for command in one.commands for t in command.trouble]
    kills = {t.signal for t in trouble if isinstance(t, Kill)}
    assert kills == {"SIGKILL", "SIGINT", "SIGTERM"}
    assert {t.folder for t in trouble if not isinstance(t, Kill)} == {"out", "temporary", "cache"}


@pytest.mark.parametrize(
    ("status", "errors", "fault"),
    [
        (1, "Traceback (most recent call last):\nKeyError: 3\n", "Traceback"),
        (1, "dhq: error: KeyError: 3 (an error of dhq; DHQ_DEBUG=1 shows where)\n", "an error of"),
        (1, "", "status 1 with 0 sentences"),
        (-11, "dhq: error: x\n", "status -11"),
        (2, "dhq: error: x\ndhq: error: y\n", "2 sentences"),
    ],
)
def test_what_no_refusal_is(status, errors, fault):
    with pytest.raises(Fault, match=fault):
        Finished(status, "", errors, 1.0).refusal()


def test_a_refusal_and_the_stage_at_which_it_came():
    output = "fit: 1 s\nplan: 0 s\nquantize: unchanged, skipped\n"
    finished = Finished(1, output, "dhq: error: too wide\n", 1.0)
    assert finished.refusal() == "dhq: error: too wide"
    assert finished.stage(Command("run", ("run",), ())) == "export"
    assert finished.stage(Command("synth", ("synth",), ())) == "synth"


def test_files_that_differ(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "build").mkdir(parents=True)
        (tmp_path / name / "fit.json").write_text(json.dumps({"seconds": ord(name), "x": [1]}))
        (tmp_path / name / "float.pt").write_bytes(b"1")
        (tmp_path / name / "build" / "finn.log").write_text(
            f"2026-01-01 00:00:00,{ord(name)} INFO x\n"
        )
    assert differences(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "a" / "float.pt").write_bytes(b"2")
    (tmp_path / "b" / "fit.json").write_text(json.dumps({"seconds": 1, "x": [2]}))
    (tmp_path / "b" / "build" / ".dhq-partial-x").write_text("")
    assert differences(tmp_path / "a", tmp_path / "b") == [
        "build/.dhq-partial-x",
        "fit.json",
        "float.pt",
    ]


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("finn") is None, reason="finn is not installed")
def test_a_run_that_is_killed_and_one_with_a_wrong_code(tmp_path):
    fit = "camera --size 8 --hidden 8 --layers 1 --steps 5 --qat-steps 1 --cycles-per-sample 8"
    kills = (Kill("SIGKILL", 0.3, True), Kill("SIGTERM", 0.6, False))
    command = Command("run", ("run", *fit.split()), kills)
    soak = Soak(tmp_path)
    assert soak.configuration(Configuration(0, (command,))) == "done"
    assert soak.counts["codes compared"]["qonnx_finn"] == 64
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    summary["mismatch_qonnx_finn"] = 1
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(Fault, match="mismatch_qonnx_finn: 1 of 64"):
        soak.check_codes()
