# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Driver and recorder for one instance of the bench top: a stream in, a stream out."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

PERIOD_NS = 10
# A stall pattern yields, cycle by cycle, whether that side is willing.
Pattern = Callable[[], Iterator[bool]]


def always() -> Iterator[bool]:
    return repeat(True)


def at_random(probability: float, seed: int) -> Pattern:
    """Willing with the given probability in each cycle."""

    def pattern() -> Iterator[bool]:
        source = random.Random(seed)
        while True:
            yield source.random() < probability

    return pattern


def in_bursts(seed: int, longest: int) -> Pattern:
    """Willing and unwilling runs of random length, 1 to ``longest`` cycles."""

    def pattern() -> Iterator[bool]:
        source = random.Random(seed)
        while True:
            for willing in (True, False):
                yield from repeat(willing, source.randint(1, longest))

    return pattern


@dataclass
class Record:
    """What happened at each clock edge of a transfer, by cycle number."""

    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # offered, but tready was low
    empty: list[int] = field(default_factory=list)  # tvalid was low
    held_in: int = 0  # cycles in which the source had a word and did not offer it
    held_out: int = 0  # cycles in which the sink was not ready


class Stream:
    """Port names as in the bench top; the clock runs from construction on."""

    def __init__(self, dut, index: int):
        names = ("clk", "rst_n", "s_data", "s_valid", "s_ready", "m_data", "m_valid", "m_ready")
        for name in names:
            setattr(self, name, getattr(dut, f"{name}_{index}"))
        self.s_valid.value = 0
        self.m_ready.value = 0
        self.rst_n.value = 0
        self.clock = Clock(self.clk, PERIOD_NS, "ns")
        self.clock.start()

    async def reset(self, cycles: int = 1) -> None:
        self.rst_n.value = 0
        self.s_valid.value = 0
        for _ in range(cycles):
            await RisingEdge(self.clk)
        self.rst_n.value = 1

    def when_valid(self) -> Iterator[bool]:
        """A pattern of the sink: willing only where it sees tvalid."""
        while True:
            yield bool(self.m_valid.value)

    async def transfer(
        self,
        words: list[int],
        outputs: int,
        offer: Pattern = always,
        accept: Pattern = always,
        limit: int | None = None,
        stop_after: int | None = None,
    ) -> Record:
        """Send ``words``, receive ``outputs`` words, then return.

        ``limit`` bounds the cycles (AssertionError beyond); ``stop_after`` returns early, words
        then
        remain inside. A word once offered stays offered until it is accepted.
        """
        edge, record = RisingEdge(self.clk), Record()
        offers, accepts = offer(), accept()
        cycle = next_word = 0
        limit = limit or 40 * (len(words) + outputs) + 2000
        offered = ready = False
        shown_valid = shown_ready = None
        while len(record.words) < outputs or next_word < len(words):
            assert cycle < limit, (
                f"after {cycle} cycles {len(record.words)} of {outputs} words have come out"
            )
            if stop_after is not None and cycle >= stop_after:
                break
            if not offered and next_word < len(words):
                offered = next(offers)
                record.held_in += not offered
                if offered:
                    self.s_data.value = words[next_word]
            if offered is not shown_valid:
                self.s_valid.value = int(offered)
                shown_valid = offered
            ready = next(accepts)
            record.held_out += not ready
            if ready is not shown_ready:
                self.m_ready.value = int(ready)
                shown_ready = ready

            await edge  # what is read now is what the kernel saw at this edge
            if offered:
                if self.s_ready.value:
                    record.sent.append(cycle)
                    next_word += 1
                    offered = False
                else:
                    record.refused.append(cycle)
            if not self.m_valid.value:
                record.empty.append(cycle)
            elif ready:
                record.received.append(cycle)
                record.words.append(self.m_data.value.to_unsigned())
            cycle += 1
        self.s_valid.value = 0
        self.m_ready.value = 0
        return record

    async def expect_silence(self, cycles: int) -> None:
        """Nothing may be offered for so many cycles."""
        self.m_ready.value = 1
        for _ in range(cycles):
            await RisingEdge(self.clk)
            assert not self.m_valid.value, "a word that was never put in came out"
        self.m_ready.value = 0
