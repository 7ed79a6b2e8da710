# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Proves every case, refutes every mutant and prints a line for each; status 1 if one is not.

``python prove.py [TEXT]``: those with TEXT in their line only.
"""

import sys
import tempfile
from pathlib import Path

from cases import CASES
from engine import Case, Verdict, decide
from faults import MUTANTS, Mutant

SEARCH = 60


def result(job: Case | Mutant) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(job, Case):
            return decide(job, Path(folder))
        return decide(job.case, Path(folder), sources=job.sources(), only=job.prop, refute=SEARCH)


def main(text: str) -> int:
    jobs = [job for job in (*CASES, *MUTANTS) if text in str(job)]
    missed = 0
    for job in jobs:
        verdict = result(job)
        wanted = ("proved", "bounded") if isinstance(job, Case) else ("refuted",)
        missed += verdict.outcome not in wanted
        depth = "for ever" if verdict.outcome == "proved" else f"{verdict.depth} cycles"
        name = f"{job} (handshake)" if getattr(job, "handshake", False) else str(job)
        print(f"{verdict.outcome:8} {depth:10} {verdict.seconds:6.1f} s  {name}", flush=True)
    print(f"{len(jobs) - missed} of {len(jobs)} as they must be")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
