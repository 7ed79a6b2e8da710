# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A million random vectors through both kernels under Verilator: no output differs."""

from dataclasses import replace
from pathlib import Path

import pytest
import test_hadamard_transform as hadamard
import test_lookup_activation as lookup
from simulate import Instance, build, simulate

# Vectors of few words, so that the time goes into vectors.
LONGEST = 4
INSTANCES = {
    "hadamard": [*hadamard.DEFAULT["2-64"], *hadamard.DEFAULT["special"]],
    "lookup": lookup.DEFAULT,
}


def words_of(one: Instance) -> int:
    p = one.parameters
    return int(p["CHANNELS"]) // int(p["PE" if "PE" in p else "SIMD"])


def run(kernel: str, vectors: int, model_cache: Path, work_dir: Path) -> None:
    """So many vectors, spread evenly over the instances."""
    chosen = [one for one in INSTANCES[kernel] if words_of(one) <= LONGEST]
    share = -(-vectors // len(chosen))
    chosen = [replace(one, bench={**one.bench, "vectors": share}) for one in chosen]
    if kernel == "lookup":
        lookup.write_memories(work_dir, chosen)
    outcome = simulate(build(model_cache, chosen), chosen, "vectors_bench", work_dir)
    outcome.check(len(chosen))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", INSTANCES)
def test_half_a_million_vectors(kernel: str, model_cache: Path, tmp_path: Path) -> None:
    run(kernel, 500_000, model_cache, tmp_path)
