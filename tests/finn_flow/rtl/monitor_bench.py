# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A stream through faulty_stream, with stalls that give every fault its occasion."""

import cocotb
from stream import Stream, at_random


@cocotb.test()
async def stalled(dut):
    stream = Stream(dut, 0)
    await stream.reset()
    words = list(range(64))
    record = await stream.transfer(words, 64, at_random(0.5, 1), at_random(0.3, 2))
    assert record.words == words
