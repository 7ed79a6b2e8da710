# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run`` from a signal to the executed dataflow graph, small, in all its variants."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from dhq_brevitas.planning import widths
from dhq_brevitas.run import cli
from dhq_brevitas.run.records import RunFolder

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(importlib.util.find_spec("finn") is None, reason="finn is not installed"),
]
QUICK = ["--steps", "40", "--qat-steps", "5", "--cycles-per-sample", "64"]


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch):
    """main() prepares the whole process; here that process is pytest's."""
    monkeypatch.setattr(cli, "_prepare_process", lambda debug: None)


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def picture(folder, height, width, channels):
    pixels = np.indices((height, width)).sum(axis=0)[..., None] * np.arange(1, channels + 1) * 4
    path = folder / "picture.png"
    Image.fromarray((pixels % 256).astype(np.uint8).squeeze()).save(path)
    return path


# (height, width, channels, options); by default those that test_chain.py has nothing like.
VARIANTS = {
    "default": (12, 20, 3, ["--hidden", 16, "--layers", 2]),
    "blocks of 8": (16, 16, 3, ["--hidden", 24, "--layers", 2, "--scale", "dyadic"]),
    "after, signs": (
        *(16, 16, 3),
        ["--hidden", 16, "--layers", 2, "--signs-seed", 3, "--rotation", "after"],
    ),
    "one scale a tensor": (16, 16, 3, ["--hidden", 16, "--granularity", "tensor"]),
    "planned, narrowed": (
        *(16, 16, 3),
        ["--hidden", 16, "--first-hidden", 12, "--layers", 2, "--scheme", "auto"],
    ),
}
MORE_VARIANTS = {
    "grey, five layers": (16, 16, 1, ["--hidden", 16, "--layers", 5]),
    "one layer, stock": (16, 10, 3, ["--hidden", 16, "--layers", 1, "--scheme", "stock"]),
    "output side": (16, 16, 1, ["--hidden", 16, "--layers", 2, "--rotation", "output"]),
    "W2A2": (16, 16, 3, ["--hidden", 16, "--layers", 2, "--weight-bits", 2, "--act-bits", 2]),
    "W12A3": (16, 16, 3, ["--hidden", 16, "--layers", 2, "--weight-bits", 12, "--act-bits", 3]),
    "W3A12": (16, 16, 3, ["--hidden", 16, "--layers", 2, "--weight-bits", 3, "--act-bits", 12]),
}
# One run of every task, each with another family.
TASK_RUNS = [
    ("radiance", "shapes", 8, "siren", "float.png"),
    ("inpainting", "camera", 16, "wire", "float.png"),
    ("audio", "chord", 128, "finer", "float.wav"),
    ("shape", "torus", 8, "relu", "float.obj"),
    ("tomography", "phantom", 12, "gaussian", "float.png"),
]


def check_equal(out, samples: int) -> dict:
    """Every code and figure of a run is the same at all levels; the summary."""
    values, folder = summary(out), RunFolder(out)
    assert values["samples_compared"] == samples
    assert values["mismatch_quant_qonnx"] == 0
    assert values["mismatch_qonnx_finn"] == 0
    assert values["psnr_finn"] == values["psnr_qonnx"] == values["psnr_quant"]
    codes = folder.array("finn.npz", "codes")
    assert np.array_equal(codes, folder.array("quant.npz", "codes"))
    assert len(np.unique(codes)) > 5
    return values


@pytest.mark.parametrize(
    "variant", [*VARIANTS, *(pytest.param(x, marks=pytest.mark.exhaustive) for x in MORE_VARIANTS)]
)
def test_picture(variant, tmp_path):
    height, width, channels, options = (VARIANTS | MORE_VARIANTS)[variant]
    image = picture(tmp_path, height, width, channels)
    out = tmp_path / "out"
    size = ["--size", max(height, width)]
    assert run("run", image, "--out", out, *size, *QUICK, *options) == 0
    values = check_equal(out, height * width)
    assert values["hardware_layers"].count("MVAU_rtl") == len(values["layers"])
    rotated = sum(layer["rotation"] != "none" for layer in values["layers"])
    assert values["hardware_layers"].count("HadamardTransform_rtl") == rotated
    assert 0 < values["cycles_per_sample_estimate"] <= 64
    assert values["latency_cycles_estimate"] > values["cycles_per_sample_estimate"]
    assert values["lut_estimate"] > 0
    assert set(values["seconds"]) - {"plan"} == {"fit", "quantize", "export", "build", "simulate"}
    for name in ("comparison.png", "finn.png", "original.png"):
        assert (out / name).is_file()


@pytest.mark.parametrize(("task", "signal", "size", "family", "file"), TASK_RUNS)
def test_task(task, signal, size, family, file, tmp_path):
    network = ["--family", family, "--hidden", 16, "--layers", 1]
    options = [*network, "--steps", 30, "--qat-steps", 2, "--quiet"]
    assert run("run", signal, "--task", task, "--size", size, "--out", tmp_path, *options) == 0
    values = check_equal(tmp_path, np.prod(summary(tmp_path)["signal"]["shape"]))
    assert values["signal"]["task"] == task
    assert (tmp_path / file).is_file()
    assert (tmp_path / "comparison.png").is_file()
    if task == "shape":
        assert values["iou_finn"] == values["iou_quant"]
    if task == "radiance":
        assert values["psnr_views_finn"] == values["psnr_views_quant"]


def test_float_scales(tmp_path):
    image = picture(tmp_path, 16, 16, 3)
    arguments = ["--scale", "float", "--size", 16, "--hidden", 16, "--layers", 2, *QUICK]
    assert run("run", image, "--out", tmp_path / "out", *arguments) == 0
    values = summary(tmp_path / "out")
    assert values["reference_dtype"] == "float64"
    assert values["mismatch_qonnx_finn"] == 0
    assert values["mismatch_quant_qonnx"] * 10_000 < values["codes_compared"]


def test_stages_one_by_one_and_a_wrong_code_is_counted(tmp_path, monkeypatch, capsys):
    image, out = picture(tmp_path, 16, 16, 3), tmp_path / "out"
    assert run("fit", image, "--out", out, "--hidden", 16, "--size", 16, "--steps", 20) == 0
    assert run("quantize", "--out", out, "--qat-steps", 2) == 0
    assert run("export", "--out", out) == 0
    assert run("build", "--out", out) == 0
    assert run("simulate", "--out", out, "--level", "python") == 0
    assert summary(out)["mismatch_qonnx_finn"] == 0
    assert run("report", "--out", out) == 0
    text = capsys.readouterr().out
    assert "FINN, Python" in text
    assert "cycles a sample" in text

    # Negative control: one wrong integer from FINN.
    from dhq_brevitas import finn_flow

    execute = finn_flow.execute_dataflow

    def wrong(*args, **kwargs):
        codes = execute(*args, **kwargs)
        codes[100, 1] += 1
        return codes

    monkeypatch.setattr(finn_flow, "execute_dataflow", wrong)
    (out / "simulate.json").unlink()
    assert run("simulate", "--out", out) == 0
    assert summary(out)["mismatch_qonnx_finn"] == 1


def test_a_build_that_fails_keeps_what_was_computed(tmp_path, capsys, monkeypatch):
    from dhq_brevitas import finn_flow

    def failing(*args, **kwargs):
        raise finn_flow.FlowError("step step_tidy_up failed: for a test")

    image, out = picture(tmp_path, 16, 16, 3), tmp_path / "out"
    arguments = ["run", image, "--out", out, "--hidden", 16, "--size", 16, *QUICK]
    with monkeypatch.context() as patch:
        patch.setattr(finn_flow, "build_dataflow", failing)
        assert run(*arguments) == 1
    assert capsys.readouterr().err == "dhq: error: step step_tidy_up failed: for a test\n"
    assert "psnr_qonnx" in summary(out)
    assert run(*arguments) == 0
    assert "export: unchanged, skipped" in capsys.readouterr().out


def test_limits_on_hardware_change_the_plan_and_the_build_keeps_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(widths, "MAX_TRIALS", 2)
    out, options = tmp_path / "out", ["--weight-bits", 4, "--cycles-per-sample", 16]
    fit = ["--size", 12, "--hidden", 8, "--layers", 1, "--steps", 40]
    assert run("fit", picture(tmp_path, 12, 12, 3), "--out", out, *fit) == 0
    assert run("plan", "--out", out, *options, "--max-lut", 10**6) == 0
    free = json.loads((out / "layer_plan.json").read_text())
    limit = free["hardware"]["total"]["lut"] - 1
    auto = ["--scheme", "auto", "--max-lut", limit, "--qat-steps", 5]
    assert run("quantize", "--out", out, *options, *auto) == 0
    plan = json.loads((out / "layer_plan.json").read_text())
    assert plan["layers"] != free["layers"]
    assert all(trial["resources"]["lut"] <= limit for trial in plan["trials"])
    text = (out / "layer_plan.txt").read_text()
    assert f"network    {plan['hardware']['total']['lut']}" in text

    for stage in ("export", "build", "simulate"):
        assert run(stage, "--out", out, *(options[2:] if stage == "build" else ())) == 0
    assert "warning" not in capsys.readouterr().out
    values = summary(out)
    assert values["mismatch_qonnx_finn"] == values["mismatch_quant_qonnx"] == 0
    assert values["lut_estimate"] <= limit
    total = dict(plan["hardware"]["total"])
    total["cycles_per_sample"] = total.pop("cycles")
    total["dsp_rtl"] = total.pop("dsp")
    assert total == {name: values[f"{name}_estimate"] for name in total}

    capsys.readouterr()
    assert run("build", "--out", out, "--cycles-per-sample", 32) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    part = "xczu3eg-sbva484-1-e"
    assert f"for 16 cycles a sample on {part}, this build is 32 cycles a sample on {part}" in line
