# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN imports without Vivado; the core imports without FINN."""

import os
import subprocess
import sys
from pathlib import Path


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


def test_core_imports_without_finn():
    code = "import sys, dhq_brevitas; print([m for m in sys.modules if m.split('.')[0] == 'finn'])"
    result = run(code)
    assert result.stdout.strip() == "[]", result.stderr


def test_environment_defaults(tmp_path):
    code = (
        "import os, pathlib\n"
        "from dhq_brevitas.finn_flow import environment\n"
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
    code = (
        "import os, dhq_brevitas.finn_flow, finn.xsi\n"
        "print(os.environ['FINN_BUILD_DIR'])\n"
        "print('load_sim_obj' in vars(finn.xsi))\n"
    )
    own = tmp_path / "own"
    result = run(code, FINN_BUILD_DIR=str(own))
    assert result.stdout.split() == [str(own), "True"], result.stderr
    assert own.is_dir()


def test_vivado_is_left_alone(monkeypatch, tmp_path):
    """With XILINX_VIVADO set, no name of finn.xsi is replaced."""
    code = (
        "import os\n"
        "import finn.xsi\n"
        "os.environ['XILINX_VIVADO'] = '/tools/Vivado/2024.2'\n"
        "import importlib.util, sys\n"
        "spec = importlib.util.find_spec('dhq_brevitas')\n"
        "path = [os.path.join(os.path.dirname(os.path.dirname(spec.origin)), 'finn_flow')]\n"
        "module = importlib.util.spec_from_file_location('e', path[0] + '/environment.py')\n"
        "environment = importlib.util.module_from_spec(module)\n"
        "module.loader.exec_module(environment)\n"
        "environment.prepare()\n"
        "print([n for n in finn.xsi._LAZY_NAMES if n in vars(finn.xsi)])\n"
    )
    result = run(code, TMPDIR=str(tmp_path))
    assert result.stdout.strip() == "[]", result.stderr
