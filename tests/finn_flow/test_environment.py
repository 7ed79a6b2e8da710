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
    folder, made = lines[0].split()
    assert made == "True", result.stderr
    assert Path(folder).parent == tmp_path
    assert lines[1] == folder
    assert lines[2].startswith("FINNUserError finn.xsi.load_sim_obj needs an RTL simulator")
    assert lines[3] == os.getcwd()
    assert list(home.iterdir()) == []
    assert list(tmp_path.iterdir()) == [home]  # FINN's folder went with the process


# Runs what it says when FINN reads its settings.
SETTINGS = "deps_git_timeout: !!python/object/apply:os.system ['touch {witness}']\n"
READ = LOAD + (
    "environment.prepare()\n"
    "from finn.util.settings import get_settings, initialize_dummy_settings\n"
    "try: get_settings(), initialize_dummy_settings()\n"
    "except Exception as error: print(error)\n"
    "print(oct(os.stat(os.environ['FINN_BUILD_DIR']).st_mode & 0o777))\n"
)


def test_settings_that_others_planted_are_not_read(tmp_path):
    """Wherever another user could write them: in a folder of a name that can be guessed, or in
    the build folder."""
    home, witness = tmp_path / "home", tmp_path / "witness"
    guessed = [tmp_path / f"dhq_brevitas_{os.getuid()}" / "finn", tmp_path / "shared"]
    for folder in (home, *guessed):
        folder.mkdir(parents=True)
    for folder in guessed:
        (folder / "settings.yaml").write_text(SETTINGS.format(witness=witness))
    result = run(READ, HOME=str(home), TMPDIR=str(tmp_path))
    run(READ, HOME=str(home), TMPDIR=str(tmp_path), FINN_BUILD_DIR=str(guessed[1]))
    assert not witness.exists()
    assert result.stdout == "0o700\n", result.stderr


def test_folders_of_killed_processes_go(tmp_path):
    """At the next start; the folder of a process that runs, and those of others, stay."""
    wait = LOAD + (
        "environment.prepare()\nprint(os.environ['FINN_BUILD_DIR'], flush=True)\ninput()\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FINN")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", wait],
            env=clean | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    killed, living = (Path(process.stdout.readline().strip()) for process in processes)
    processes[0].kill()
    processes[0].communicate()
    (killed / "code_gen").mkdir()
    (tmp_path / "linked").mkdir()
    link = tmp_path / f"dhq_brevitas_{os.getuid()}_link"
    link.symlink_to(tmp_path / "linked")
    run(LOAD + "environment.new_build_dir()\n", TMPDIR=str(tmp_path))
    assert set(tmp_path.iterdir()) == {living, link, tmp_path / "linked"}
    processes[1].communicate("\n")
    assert not living.exists()


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
