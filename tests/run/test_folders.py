# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Run folders: whose files are overwritten, and who may write at a time."""

import os
import shutil
import threading

import pytest
from commands import SMALL, failure, run
from filelock import FileLock

from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.signals.pictures import bundled_pictures

pytestmark = pytest.mark.filterwarnings("ignore")
FIT = ["--size", 16, "--hidden", 8, "--layers", 1, "--steps", 2]


def test_a_signal_in_the_folder_is_not_overwritten(tmp_path, capsys):
    out = tmp_path / "out"
    assert run("fit", "camera", "--out", out, *FIT) == 0
    picture = out / "original.png"
    shutil.copy(bundled_pictures()["astronaut"], picture)
    before = picture.read_bytes()
    status, line = failure(capsys, "fit", picture, "--out", out, *FIT)
    assert status == 2
    assert f"--signal '{picture}' is in {out}, where results would overwrite it" in line
    assert picture.read_bytes() == before


def test_a_plan_is_not_overwritten(tmp_path, capsys):
    out = tmp_path / "out"
    assert run("run", "camera", "--out", out, *SMALL, "--until", "quantize") == 0
    before = (out / "layers.json").read_bytes()
    status, line = failure(capsys, "quantize", "--out", out, "--plan", out / "layers.json")
    assert status == 2
    assert "layers.json' is in" in line
    assert (out / "layers.json").read_bytes() == before
    shutil.copy(out / "layers.json", out / "layer_plan.json")
    plan = ["--plan", out / "layer_plan.json", "--qat-steps", 0]
    assert run("quantize", "--out", out, *plan) == 0


def test_a_folder_of_others_is_left_alone(tmp_path, capsys):
    (tmp_path / "summary.json").write_text("mine")
    status, line = failure(capsys, "fit", "camera", "--out", tmp_path, *FIT)
    assert status == 1
    assert f"the output folder {tmp_path} holds other files than a run's" in line
    assert os.listdir(tmp_path) == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == "mine"


def test_no_folder_is_not_the_working_directory(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, line = failure(capsys, "fit", "camera", "--out", "", *FIT)
    assert status != 0
    assert "the output folder '' has no name" in line
    assert os.listdir(tmp_path) == []


def test_a_run_from_before_there_were_marks_goes_on(tmp_path, capsys):
    assert run("fit", "camera", "--out", tmp_path, *FIT) == 0
    (tmp_path / ".dhq-run").unlink()
    assert run("fit", "camera", "--out", tmp_path, *FIT) == 0
    assert "fit: unchanged, skipped" in capsys.readouterr().out


def test_the_second_waits_for_the_first(tmp_path):
    """And says so; then it finds the work done."""
    options = FitOptions("camera", size=16, hidden=8, layers=1, steps=2)
    said, done = [], threading.Event()
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def second() -> None:
        run_stage(RunFolder(tmp_path), "fit", options, progress=False, say=say)
        done.set()

    with RunFolder(tmp_path).locked(say):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        assert said == [f"waiting for another dhq, which is at work in {tmp_path}"]
        assert not done.wait(0.3)
        assert "fit.json" not in os.listdir(tmp_path)
    thread.join(60)
    assert done.is_set()
    with FileLock(tmp_path / ".dhq-run", timeout=0):
        pass


def test_a_stage_waits_for_the_one_it_builds_on(tmp_path, capsys):
    """Instead of saying at once that it is missing."""
    options = FitOptions("camera", size=16, hidden=8, layers=1, steps=2)
    folder = RunFolder(tmp_path)
    statuses: list[int] = []
    with folder.locked(print):
        thread = threading.Thread(target=lambda: statuses.append(run("analyze", "--out", tmp_path)))
        thread.start()
        thread.join(1)
        assert thread.is_alive()
        run_stage(folder, "fit", options, progress=False, say=lambda text: None)
    thread.join(60)
    assert statuses == [0]
    assert "waiting for another dhq" in capsys.readouterr().out
