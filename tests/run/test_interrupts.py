# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C and kill in the middle of an import, and elsewhere: one sentence."""

import os
import signal
import subprocess
import sys

import pytest

from dhq_brevitas.run.interrupts import INTERRUPTED

SCRIPT = """\
import sys
from dhq_brevitas.run.interrupts import handle_interrupts
handle_interrupts()
import os, signal
sys.path.insert(0, sys.argv[1])
try:
    {action}
except KeyboardInterrupt:
    print("caught")
except ImportError:  # what some compiled modules make of an exception
    print("an import failed")
"""
KILL = "os.kill(os.getpid(), int(sys.argv[2]))"
NUMBERS = [signal.SIGINT, signal.SIGTERM]


def interrupted(tmp_path, action, number):
    script = SCRIPT.format(action=action)
    command = [sys.executable, "-c", script, str(tmp_path), str(int(number))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", NUMBERS)
def test_while_a_module_is_imported(tmp_path, number):
    (tmp_path / "slow.py").write_text(f"import os, sys\ntry:\n    {KILL}\nfinally:\n    print(1)\n")
    done = interrupted(tmp_path, "import slow", number)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"dhq: error: {INTERRUPTED}\n"


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("action", [KILL, f'exec("import os, sys; {KILL}")'])
def test_elsewhere_it_is_an_exception(tmp_path, number, action):
    """Behind an exec, too, Python ends with the status of the program."""
    done = interrupted(tmp_path, action, number)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caught\n", "")


@pytest.mark.exhaustive
def test_at_any_moment(tmp_path):
    command = [sys.executable, "-m", "dhq_brevitas.run", "run", "camera", "--size", "8", "--hidden"]
    command += ["8", "--layers", "1", "--steps", "5", "--qat-steps", "1", "--until", "export"]
    for moment in range(60):
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "out")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            process.wait(0.2 + 0.1 * moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, NUMBERS[moment % 2])
        _, errors = process.communicate()
        if process.returncode == 0:
            continue
        assert process.returncode == 1
        assert errors.startswith("dhq: error: ")
        assert errors.count("\n") == 1
