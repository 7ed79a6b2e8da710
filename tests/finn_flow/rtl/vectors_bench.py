# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb test of any streaming kernel on as many random vectors as ``vectors`` says."""

import cocotb
import hadamard_bench
import joint_bench
import lookup_bench
import matrix_vector_bench
from stream import always, at_random

INSTANCES = hadamard_bench.INSTANCES
BATCH = 500
STALLS = ((always, always), (at_random(0.7, 1), at_random(0.7, 2)), (always, at_random(0.5, 3)))


async def run_batch(bench, vectors: int, offer, accept) -> None:
    """So many vectors; a joint stalls each of its streams by itself."""
    if not isinstance(bench, joint_bench.Bench):
        await bench.run(bench.stimuli(vectors), offer, accept)
        return
    joint_bench.VECTORS = vectors
    await bench.run([offer] * len(bench.p["beats"]), [accept] * bench.p.get("OUTPUTS", 1))


def bench_of(dut, index: int):
    """The bench of the kernel that has these parameters."""
    p = INSTANCES[index]
    if "MW" in p:
        return matrix_vector_bench.Bench(dut, index)
    if "kind" in p:
        return joint_bench.Bench(dut, index)
    return (lookup_bench if "PE" in p else hadamard_bench).Bench(dut, index)


@cocotb.test()
@cocotb.parametrize(index=range(len(INSTANCES)))
async def random_vectors(dut, index):
    """Every output of every vector, with and without stalls of either side."""
    bench = bench_of(dut, index)
    await (bench if isinstance(bench, joint_bench.Bench) else bench.stream).reset()
    vectors = INSTANCES[index]["vectors"]
    for first in range(0, vectors, BATCH):
        offer, accept = STALLS[first // BATCH % len(STALLS)]
        await run_batch(bench, min(BATCH, vectors - first), offer, accept)
