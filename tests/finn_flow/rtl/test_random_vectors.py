# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A million random vectors through the streaming kernels under Verilator: no output differs."""

from dataclasses import replace
from pathlib import Path

import pytest
import test_hadamard_transform as hadamard
import test_joint_kernels as joints
import test_lookup_activation as lookup
import test_matrix_vector as products
from simulate import Instance, build, simulate

# Vectors of few words, so that the time goes into vectors.
LONGEST = 4
INSTANCES = {
    "hadamard": [*hadamard.DEFAULT["2-64"], *hadamard.DEFAULT["special"]],
    "lookup": lookup.DEFAULT,
    "joints": joints.DEFAULT,
    "matrix_vector": products.named(
        [
            products.instance(8, 8, 8, 8, in_lanes=8, out_lanes=8),
            products.instance(
                14, 4, 4, 7, in_lanes=7, out_lanes=4, pack=2, dsp="DSP48E2", in_width=8
            ),
            products.instance(16, 8, 4, 8, in_lanes=8, out_lanes=4, chain=3, weight_width=1),
            products.instance(
                12, 6, 3, 6, in_lanes=6, out_lanes=3, chain=4, in_width=24, weight_width=16
            ),
            products.instance(
                4, 4, 2, 4, in_lanes=4, out_lanes=2, weight_width=2, in_width=5, signed=False
            ),
        ]
    ),
}
VECTORS = {"hadamard": 300_000, "lookup": 300_000, "matrix_vector": 300_000, "joints": 100_000}
MEMORIES = {"lookup": lookup.write_memories, "matrix_vector": products.write_memories}


def words_of(one: Instance) -> int:
    """Of a vector at the input or, if they are more, at the output."""
    p = one.parameters
    if "MW" in p:
        return max(int(p["MW"]) // int(p["IN_LANES"]), int(p["MH"]) // int(p["OUT_LANES"]))
    if "kind" in one.bench:
        return sum(one.bench["beats"]) // one.inputs
    return int(p["CHANNELS"]) // int(p["PE" if "PE" in p else "SIMD"])


def run(kernel: str, vectors: int, model_cache: Path, work_dir: Path) -> None:
    """So many vectors, spread evenly over the instances."""
    chosen = [one for one in INSTANCES[kernel] if words_of(one) <= LONGEST]
    share = -(-vectors // len(chosen))
    chosen = [replace(one, bench={**one.bench, "vectors": share}) for one in chosen]
    if kernel in MEMORIES:
        MEMORIES[kernel](work_dir, chosen)
    outcome = simulate(build(model_cache, chosen), chosen, "vectors_bench", work_dir)
    outcome.check(len(chosen))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", VECTORS)
def test_a_million_vectors(kernel: str, model_cache: Path, tmp_path: Path) -> None:
    run(kernel, VECTORS[kernel], model_cache, tmp_path)
