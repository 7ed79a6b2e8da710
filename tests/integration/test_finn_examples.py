# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
from test_examples import run


def test_brevitas_to_finn(tmp_path):
    text = run("brevitas_to_finn.py", "--hidden", 16, "--steps", 60, "--out", tmp_path)
    assert "PyTorch and QONNX differ in 0 of 4096 samples" in text
    assert "QONNX and FINN differ in 0 of 4096 samples" in text
    assert "MVAU_rtl -> LookupActivation" in text
    assert (tmp_path / "model.onnx").exists()
