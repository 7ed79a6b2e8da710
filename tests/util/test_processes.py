# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Jobs in processes: results and failures by name, whatever happens to one of them."""

import operator
import os
import signal
import subprocess
import sys

import pytest

from dhq_brevitas.util.processes import in_processes


def quotient(a, b):
    if a < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return operator.truediv(a, b), os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_what_fails_does_not_stop_the_others(processes):
    jobs = {"half": (1, 2), "none": (1, 0), "two": (4, 2)}
    if processes > 1:
        jobs["killed"] = (-1, 1)
    found = dict(in_processes(quotient, jobs, processes))
    assert found.keys() == jobs.keys()
    assert (found["half"][0], found["two"][0]) == (0.5, 2.0)
    assert isinstance(found["none"], ZeroDivisionError)
    numbers = {found[name][1] for name in ("half", "two")}
    if processes == 1:
        assert numbers == {os.getpid()}
    else:
        assert len(numbers | {os.getpid()}) == 3
        assert isinstance(found["killed"], ChildProcessError)
        assert str(found["killed"]) == "its process ended with status -9"


def test_memory_freed_in_a_step_serves_the_next():
    """Pages entered anew, in steps that allocate 128 MiB and free them."""
    program = """
import resource, sys
import numpy as np
from dhq_brevitas.util.processes import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    return [np.ones(2**21) for _ in range(8)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    kept, fetched = (
        int(subprocess.check_output([sys.executable, "-c", program, how]))
        for how in ("keep", "fetch")
    )
    assert kept < 1000 < fetched
