# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb test of either kernel on as many random vectors as the instance's ``vectors`` says."""

import cocotb
import hadamard_bench
import lookup_bench
from stream import always, at_random

INSTANCES = hadamard_bench.INSTANCES
Bench = lookup_bench.Bench if "PE" in INSTANCES[0] else hadamard_bench.Bench
BATCH = 500
STALLS = ((always, always), (at_random(0.7, 1), at_random(0.7, 2)), (always, at_random(0.5, 3)))


@cocotb.test()
@cocotb.parametrize(index=range(len(INSTANCES)))
async def random_vectors(dut, index):
    """Every output of every vector, with and without stalls of either side."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    vectors = INSTANCES[index]["vectors"]
    for first in range(0, vectors, BATCH):
        offer, accept = STALLS[first // BATCH % len(STALLS)]
        await bench.run(bench.stimuli(min(BATCH, vectors - first)), offer, accept)
