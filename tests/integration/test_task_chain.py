# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run`` for every kind of signal, small, to the executed dataflow graph."""

import importlib.util
import json

import numpy as np
import pytest

from dhq_brevitas.run import cli
from dhq_brevitas.run.records import RunFolder

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(importlib.util.find_spec("finn") is None, reason="finn is not installed"),
]
QUICK = ["--hidden", 16, "--layers", 1, "--steps", 30, "--qat-steps", 2, "--quiet"]
RUNS = [
    ("super-resolution", "camera", 16, "siren", "float.png"),
    ("inpainting", "camera", 16, "wire", "float.png"),
    ("audio", "chord", 128, "finer", "float.wav"),
    ("shape", "torus", 8, "relu", "float.obj"),
    ("tomography", "phantom", 12, "gaussian", "float.png"),
]


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch):
    monkeypatch.setattr(cli, "_prepare_process", lambda debug: None)


@pytest.mark.parametrize(("task", "signal", "size", "family", "file"), RUNS)
def test_all_levels_agree(task, signal, size, family, file, tmp_path):
    options = ["--task", task, "--size", size, "--family", family, "--out", tmp_path, *QUICK]
    assert cli.main([str(o) for o in ["run", signal, *options]]) == 0
    values = json.loads((tmp_path / "summary.json").read_text())
    assert values["signal"]["task"] == task
    assert values["mismatch_quant_qonnx"] == 0
    assert values["mismatch_qonnx_finn"] == 0
    assert values["samples_compared"] == np.prod(values["signal"]["shape"])
    assert values["psnr_finn"] == values["psnr_quant"]
    assert (tmp_path / file).stat().st_size > 0
    assert (tmp_path / "comparison.png").stat().st_size > 0
    assert len(np.unique(RunFolder(tmp_path).array("finn.npz", "codes"))) > 5
    if task == "shape":
        assert values["iou_finn"] == values["iou_quant"]
