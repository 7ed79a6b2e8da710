# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN imports without Vivado; the core imports without FINN."""

import os
import subprocess
import sys
from pathlib import Path

from dhq_brevitas.finn_flow import environment


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FINN", "XILINX")) and name not in environment
    }
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


# Only the module: importing the package would run prepare() and take seconds.
LOAD = f"""
import importlib.util, os, pathlib
spec = importlib.util.spec_from_file_location("environment", {environment.__file__!r})
environment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(environment)
"""


def test_core_imports_without_finn():
    code = "import sys, dhq_brevitas; print([m for m in sys.modules if m.split('.')[0] == 'finn'])"
    result = run(code)
    assert result.stdout.strip() == "[]", result.stderr


def test_environment_defaults(tmp_path):
    code = LOAD + (
        "environment.prepare()\n"
        "print(os.environ['FINN_BUILD_DIR'], pathlib.Path(os.environ['FINN_BUILD_DIR']).is_dir())\n"
        "from finn.util.settings import get_settings\n"
        "print(get_settings().finn_build_dir)\n"
        "import finn.xsi\n"
        "try: finn.xsi.load_sim_obj()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(os.getcwd())\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    result = run(code, HOME=str(home), TMPDIR=str(tmp_path))
    lines = result.stdout.splitlines()
    expected = tmp_path / f"dhq_brevitas_{os.getuid()}" / "finn"
    assert lines[0] == f"{expected} True", result.stderr
    assert Path(lines[1]) == expected
    assert lines[2].startswith("FINNUserError finn.xsi.load_sim_obj needs an RTL simulator")
    assert lines[3] == os.getcwd()
    assert list(home.iterdir()) == []


def test_existing_values_are_respected(tmp_path):
    code = LOAD + (
        "import finn.xsi\n"
        "finn.xsi.load_sim_obj = 'a simulator'\n"
        "environment.prepare()\n"
        "print(os.environ['FINN_BUILD_DIR'], finn.xsi.load_sim_obj)\n"
    )
    own = tmp_path / "own"
    result = run(code, FINN_BUILD_DIR=str(own))
    assert result.stdout.split() == [str(own), "a", "simulator"], result.stderr
    assert own.is_dir()


def test_vivado_is_left_alone(tmp_path):
    """With XILINX_VIVADO set, no name of finn.xsi is replaced."""
    code = LOAD + (
        "import finn.xsi\n"
        "os.environ['XILINX_VIVADO'] = '/tools/Vivado/2024.2'\n"
        "environment.prepare()\n"
        "print([n for n in finn.xsi._LAZY_NAMES if n in vars(finn.xsi)])\n"
    )
    result = run(code, TMPDIR=str(tmp_path))
    assert result.stdout.strip() == "[]", result.stderr
