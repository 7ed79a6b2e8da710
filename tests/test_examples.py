# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *options: object) -> str:
    command = [sys.executable, "-W", "ignore", str(EXAMPLES / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hadamard_benchmark(tmp_path):
    out = tmp_path / "times.json"
    text = run("hadamard_benchmark.py", "--rows", 64, "--order", 16, "--repeat", 2, "--json", out)
    assert "matmul_hadU" in text
    assert json.loads(out.read_text())


def test_qat_step_benchmark(tmp_path):
    out = tmp_path / "times.json"
    text = run("qat_step_benchmark.py", "--hidden", 8, "--batch", 16, "--steps", 2, "--json", out)
    assert "1.00 x stock" in text
    assert set(json.loads(out.read_text())) >= {"stock", "dhq"}


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help_shows_a_command_line(script):
    if script == "brevitas_to_finn.py":
        pytest.importorskip("finn", reason="this example maps to FINN")
    assert f"python examples/{script}" in run(script, "--help")
