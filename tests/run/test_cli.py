# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import SMALL, failure, run
from PIL import Image

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.inr import training
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.run import cli
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.records import MissingStageError, RunFolder
from dhq_brevitas.run.report import report_text
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import Problem

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run folder with everything up to the export, of a color picture that is not square."""
    folder = tmp_path_factory.mktemp("run")
    picture = folder / "picture.jpg"
    gradient = np.indices((20, 32)).sum(axis=0)[..., None] * np.array([3, 2, 1])
    Image.fromarray(gradient.astype(np.uint8)).save(picture)
    assert run("run", picture, "--out", folder / "out", *SMALL, "--until", "export") == 0
    return folder / "out"


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


# -- what a run leaves -----------------------------------------------------------------------------


def test_summary(exported):
    values = summary(exported)
    assert values["signal"]["shape"] == [10, 16]
    assert values["signal"]["task"] == "picture"
    assert values["mismatch_quant_qonnx"] == 0
    assert values["samples_compared"] == 160
    assert values["codes_compared"] == 480
    assert values["psnr_qonnx"] == values["psnr_quant"]
    assert values["psnr_float"] > 8
    assert [layer["name"] for layer in values["layers"]] == ["linear0", "linear1"]
    # Of the float weights: those already rounded lie on the grid, free of error (over 120 dB).
    assert 20 < values["layers"][1]["weight_sqnr_after"] < 60
    assert set(values["seconds"]) == {"fit", "quantize", "export"}
    assert values["options"]["quantize"]["weight_bits"] == 8
    assert {"torch", "brevitas", "qonnx", "dhq-brevitas"} <= set(values["versions"])
    # What was not measured is absent.
    assert not [key for key in values if "finn" in key or key.endswith("_estimate")]


def test_pictures_show_the_outputs(exported):
    values = summary(exported)
    problem = Problem.load(exported / "signal.npz")
    original = problem.grid(problem.values)
    for level in ("float", "quant", "qonnx"):
        outputs = RunFolder(exported).array(f"{level}.npz", "outputs").reshape(original.shape)
        assert psnr(original, outputs) == pytest.approx(values[f"psnr_{level}"])
        with Image.open(exported / f"{level}.png") as image:
            shown = np.asarray(image) / 127.5 - 1
        np.testing.assert_allclose(shown, np.clip(outputs, -1, 1), atol=0.005)
    with Image.open(exported / "comparison.png") as image:
        assert image.width > 3 * image.height


def test_report(exported, capsys):
    assert run("report", "--out", exported) == 0
    text = capsys.readouterr().out
    assert "10 x 16, 3 channels" in text
    assert "siren: 1 hidden layers of 16, dhq, W8A8, po2 scales per channel" in text
    assert "QONNX" in text
    assert "0 of 480" in text
    assert "linear1  input" in text
    assert "FINN" not in text


def test_report_of_nothing(tmp_path, capsys):
    assert run("report", "--out", tmp_path) == 0
    assert "nothing has been computed" in capsys.readouterr().out
    assert failure(capsys, "report", "--out", tmp_path / "none")[0] == 1


def test_report_shows_finn_values():
    text = report_text(
        {
            "codes_compared": 12,
            "psnr_finn": 30.0,
            "mismatch_qonnx_finn": 0,
            "lut_estimate": 1234,
            "signal": {"task": "picture", "name": "p", "shape": [2, 2], "channels": 1},
        }
    )
    assert "FINN, Python  30.00    0 of 12" in text
    assert "LUT              1234" in text
    assert "picture: p, 2 x 2, 1 channel" in text


def test_all_of_it_can_be_loaded(exported):
    values = summary(exported)
    loaded = load_run(exported)
    assert loaded.summary == values
    inputs, reference = loaded.problem.inputs, loaded.problem.values
    with torch.no_grad():
        outputs = loaded.float_network(inputs * loaded.problem.step).numpy()
        quantized = loaded.quantized_network(inputs).numpy()
    assert psnr(reference, outputs) == pytest.approx(values["psnr_float"])
    assert psnr(reference, quantized) == pytest.approx(values["psnr_quant"])
    graph_outputs = run_qonnx(loaded.graph, inputs)
    assert psnr(reference, graph_outputs) == pytest.approx(values["psnr_qonnx"])
    with pytest.raises(MissingStageError, match="the host's side needs the result of build"):
        loaded.host  # noqa: B018


# -- skipping, repeating, resuming -----------------------------------------------------------------


def test_unchanged_stages_are_skipped(exported, capsys):
    before = {name: (exported / name).stat().st_mtime_ns for name in os.listdir(exported)}
    picture = exported.parent / "picture.jpg"
    assert run("run", picture, "--out", exported, *SMALL, "--until", "export") == 0
    text = capsys.readouterr().out
    for stage in ("fit", "quantize", "export"):
        assert f"{stage}: unchanged, skipped" in text
    kept = [name for name in before if name not in ("summary.json", "comparison.png")]
    assert {name: (exported / name).stat().st_mtime_ns for name in kept} == {
        name: before[name] for name in kept
    }


def test_changed_options_repeat_later_stages_only(tmp_path, capsys):
    arguments = ["run", "camera", "--out", tmp_path, *SMALL, "--until", "quantize"]
    assert run(*arguments) == 0
    capsys.readouterr()
    assert run(*arguments, "--weight-bits", 4) == 0
    text = capsys.readouterr().out
    assert "fit: unchanged, skipped" in text
    assert "quantize: unchanged" not in text
    values = summary(tmp_path)
    assert values["options"]["quantize"]["weight_bits"] == 4
    assert values["signal"]["channels"] == 1


def test_a_stage_alone_reads_the_folder_and_outdates_later_ones(tmp_path, capsys):
    assert run("fit", "camera", "--out", tmp_path, *SMALL[:-2]) == 0
    assert run("quantize", "--out", tmp_path, "--qat-steps", 2, "--scheme", "stock") == 0
    assert run("export", "--out", tmp_path) == 0
    assert "psnr_qonnx" in summary(tmp_path)
    assert run("quantize", "--out", tmp_path, "--qat-steps", 3, "--scheme", "stock") == 0
    assert "psnr_qonnx" not in summary(tmp_path)  # it belonged to the network of before


def test_another_picture_under_the_same_name_is_noticed(tmp_path, capsys):
    picture = tmp_path / "p.png"
    for value in (10, 200):
        Image.fromarray(np.full((16, 16), value, np.uint8)).save(picture)
        assert run("fit", picture, "--out", tmp_path / "out", *SMALL[:-2]) == 0
        assert "skipped" not in capsys.readouterr().out


def test_changed_result_files_are_noticed(tmp_path, capsys):
    assert run("fit", "camera", "--out", tmp_path, *SMALL[:-2]) == 0
    (tmp_path / "float.pt").write_bytes(b"")
    status, line = failure(capsys, "quantize", "--out", tmp_path)
    assert (status, "needs the result of fit" in line) == (1, True)


def test_stage_of_a_folder_that_does_not_exist_makes_none(tmp_path, capsys):
    status, line = failure(capsys, "quantize", "--out", tmp_path / "mistyped")
    assert (status, "needs the result of fit" in line) == (1, True)
    assert not (tmp_path / "mistyped").exists()


def test_interrupted_run_continues_to_the_same_result(tmp_path, monkeypatch, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    arguments = [*SMALL, "--until", "quantize"]
    assert run("run", "camera", "--out", whole, *arguments) == 0
    original = training.TrainingRun._one_step
    for title, step in (("fit", 11), ("fine-tune", 2)):

        def one_step(job, *args, at=step, quantized=title != "fit"):
            if job.step == at and isinstance(job.model, QuantInr) == quantized:
                os.kill(os.getpid(), signal.SIGINT)
            return original(job, *args)

        monkeypatch.setattr(training.TrainingRun, "_one_step", one_step)
        status, line = failure(capsys, "run", "camera", "--out", parts, *arguments)
        assert status == 1
        assert f"{title} was interrupted at step {step + 1} of" in line
        assert "Repeat the command to continue" in line
        monkeypatch.setattr(training.TrainingRun, "_one_step", original)
    assert run("run", "camera", "--out", parts, *arguments) == 0
    assert "fit: unchanged, skipped" in capsys.readouterr().out
    one, other = summary(whole), summary(parts)
    for name in ("psnr_float", "psnr_quant", "layers"):
        assert one[name] == other[name]
    assert not [name for name in os.listdir(parts) if "checkpoint" in name]


# -- the program -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "batches"), [([], (4096, 8192)), (["--batch", "64"], (64, 64))])
def test_run_leaves_each_stage_its_own_default(given, batches):
    arguments = cli.build_parser().parse_args(["run", "camera", "--out", "x", *given])
    stages = cli._chosen_stages(arguments)
    assert (stages["fit"].batch, stages["quantize"].batch) == batches


def test_help_names_every_command_and_examples(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for command in ("run", "fit", "quantize", "export", "build", "simulate", "report"):
        assert f"\n    {command} " in text
    assert "dhq run astronaut --out" in text
    assert "DHQ_DEBUG=1" in text


@pytest.mark.parametrize("command", ["run", *STAGES, "report", "cache"])
def test_help_of_each_command(command, capsys):
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    assert f"example:\n  dhq {command}" in text
    assert ("--out DIR" in text) == (command != "cache")


def test_program_in_its_own_process(tmp_path):
    command = [sys.executable, "-m", "dhq_brevitas.run"]
    done = subprocess.run(
        [*command, "fit", "camera", "--out", str(tmp_path), *SMALL[:-2]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "float network:" in done.stdout
    failed = subprocess.run(
        [*command, "quantize", "--out", str(tmp_path), "--weight-bits", "33"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stderr.strip().endswith(
        "dhq: error: --weight-bits 33 is out of range: use 2 to 12 bits"
    )
    assert "fit" in RunFolder(tmp_path).chain()


# -- planning --------------------------------------------------------------------------------------


def test_analysis_and_plan_of_a_run(tmp_path, capsys):
    assert run("fit", "camera", "--out", tmp_path, *SMALL[:-2]) == 0
    assert run("analyze", "--out", tmp_path) == 0
    assert "linear1 weight" in capsys.readouterr().out
    assert (tmp_path / "analysis_linear1.png").exists()
    assert [layer["name"] for layer in summary(tmp_path)["analysis"]] == ["linear0", "linear1"]

    status, line = failure(capsys, "plan", "--out", tmp_path, "--budget", "9")
    assert (status, "--budget 9 weight bits cannot be met: the smallest" in line) == (2, True)

    quick = ("--out", tmp_path, "--qat-steps", "2", "--weight-bits", "5")
    assert run("quantize", "--scheme", "auto", *quick) == 0
    assert "tried in earnest" in capsys.readouterr().out
    file = tmp_path / "layer_plan.json"
    plan = json.loads(file.read_text())
    layers = json.loads((tmp_path / "layers.json").read_text())["layers"]
    assert layers == plan["layers"]
    assert run("quantize", "--scheme", "auto", *quick) == 0
    assert "quantize: unchanged, skipped" in capsys.readouterr().out

    edited = tmp_path / "edited.json"
    plan["layers"][1]["weight_bits"] = 3
    edited.write_text(json.dumps(plan))
    assert run("quantize", "--plan", edited, *quick) == 0
    assert [layer["weight_bits"] for layer in summary(tmp_path)["layers"]][1] == 3
    plan["layers"][1] |= {"in_features": 4, "rotation": "none", "order": 1, "signs_seed": None}
    edited.write_text(json.dumps(plan))
    status, line = failure(capsys, "quantize", "--plan", edited, *quick)
    assert (status, "linear1: the plan is for 4 inputs" in line) == (1, True)
