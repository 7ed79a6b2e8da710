# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The examples, small, each as the command that its docstring shows."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/**/[!_]*.py")]
COMMANDS = sorted(path for path in SCRIPTS if '__name__ == "__main__"' in (ROOT / path).read_text())


def run(script: str, *options: object) -> str:
    """Standard output of ``python script options``, from the root of the repository."""
    command = [sys.executable, "-W", "ignore", script, *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_brevitas_to_finn(tmp_path):
    pytest.importorskip("finn", reason="this example maps to FINN")
    options = ["--hidden", 16, "--steps", 60, "--out", tmp_path]
    text = run("examples/brevitas_to_finn.py", *options)
    assert "PyTorch and QONNX differ in 0 of 4096 samples" in text
    assert "QONNX and FINN differ in 0 of 4096 samples" in text
    assert "MVAU_rtl -> LookupActivation" in text
    assert (tmp_path / "model.onnx").exists()


def test_own_model(tmp_path):
    """Within the bits asked for; a hand that stays at the shoulder is off by 0.6."""
    options = ["--hidden", 16, "--steps", 100, "--weight-bits", 5]
    text = run("examples/own_model.py", "--out", tmp_path, *options)
    layers = re.findall(r"(\w+): W(\d+)A\d+, rotated: \w+", text)
    weights = {"joints": 32, "mix": 256, "hand": 32}
    assert [name for name, _ in layers] == list(weights)
    # The first layer's weights may have the 12 bits of a uniform network's.
    assert sum(weights[name] * int(bits) for name, bits in layers) <= 32 * 12 + 288 * 5
    assert float(re.search(r"quantized: off by (\S+)", text)[1]) < 0.1
    assert "PyTorch and QONNX differ in 0 of 8192 codes" in text
    if importlib.util.find_spec("finn") is not None:
        assert "QONNX and FINN differ in 0 of 8192 codes" in text
    assert (tmp_path / "model.onnx").exists()


def test_own_network(tmp_path):
    """A float network; a folder whose name has a space."""
    folder = tmp_path / "a folder"
    text = run(
        "examples/own_network.py", "--size", 16, "--hidden", 16, "--steps", 60, "--out", folder
    )
    before, after = re.search(r"float network: (\S+) dB, quantized: (\S+) dB", text).groups()
    assert float(after) > float(before) - 1
    assert "PyTorch and QONNX differ in 0 of 256" in text
    if importlib.util.find_spec("finn") is not None:
        assert "QONNX and FINN differ in 0 of 256" in text
        assert "FINN's own builder: 0 of 64 samples differ" in text
    assert (folder / "model.onnx").exists()


def test_own_family_and_task(tmp_path):
    """A family and a task outside the package, through the whole command line."""
    options = ["--size", 16, "--hidden", 16, "--layers", 2, "--steps", 200, "--qat-steps", 2]
    finn = importlib.util.find_spec("finn") is not None
    until = "simulate" if finn else "export"
    run("examples/own_family_and_task.py", "--out", tmp_path, *options, "--until", until)
    values = json.loads((tmp_path / "summary.json").read_text())
    assert values["signal"]["task"] == "ripples"
    assert values["mismatch_quant_qonnx"] == 0
    assert values["cosine_quant"] > 0.5
    assert (tmp_path / "comparison.png").exists()
    if finn:
        assert values["mismatch_qonnx_finn"] == 0
        assert values["cosine_finn"] == values["cosine_quant"]


@pytest.mark.parametrize("script", COMMANDS)
def test_the_text_shows_a_command_line(script):
    assert f"python {script} " in (ROOT / script).read_text().replace("\n", " ")


def test_every_benchmark_is_run_by_a_test():
    files = (ROOT / "tests" / "benchmarks").glob("test_*.py")
    tests = "".join(file.read_text() for file in files)
    benchmarks = [Path(script).stem for script in COMMANDS if "/benchmarks/" in script]
    assert len(benchmarks) > 5
    assert [name for name in benchmarks if f'run("{name}"' not in tests] == []
