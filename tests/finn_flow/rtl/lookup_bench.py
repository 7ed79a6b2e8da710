# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb tests of lookup_activation; every test runs on every instance of the model."""

import json
import random
from pathlib import Path

import cocotb
import numpy as np
from reference import lookup, pack, unpack
from stream import Pattern, Record, Stream, always, at_random, in_bursts

INSTANCES = json.loads(Path("bench.json").read_text())
on_every_instance = cocotb.parametrize(index=range(len(INSTANCES)))


class Bench:
    """One instance, its geometry and its reference."""

    def __init__(self, dut, index: int):
        self.p = p = INSTANCES[index]
        self.lanes, self.channels = p["PE"], p["CHANNELS"]
        self.in_width, self.out_width = p["IN_WIDTH"], p["OUT_WIDTH"]
        self.scale, self.bias = np.array(p["scale"], object), np.array(p["bias"], object)
        self.table = np.array(p["table"])
        if p["IN_SIGNED"]:
            self.low, self.high = -(1 << (self.in_width - 1)), (1 << (self.in_width - 1)) - 1
        else:
            self.low, self.high = 0, (1 << self.in_width) - 1
        self.random = np.random.default_rng(index)
        self.stream = Stream(dut, index)

    @property
    def latency(self) -> int:
        """The formula of the header of lookup_activation.sv."""
        p = self.p
        if p["DIRECT"]:
            return 2 + (p["FOLD"] > 0)
        used = p["SHIFT"] + p["TABLE_BITS"] if p["WRAP"] else 1000
        operands = sorted(
            min(used, bits) for bits in (p["IN_WIDTH"] + 1 - p["IN_SIGNED"], p["SCALE_WIDTH"])
        )
        wide = operands[0] > 18 or operands[1] > 27
        return 4 + p["HAS_SCALE"] * (1 + wide) + (p["HAS_SCALE"] or p["HAS_BIAS"]) + 1 - p["WRAP"]

    def stimuli(self, vectors: int) -> np.ndarray:
        """[V, channels]: extremes, then random."""
        x = self.random.integers(self.low, self.high, (vectors, self.channels), endpoint=True)
        x[0], x[1], x[2] = self.low, self.high, 0
        return x

    def sweep(self) -> np.ndarray:
        """[V, channels]: as many evenly spaced inputs as reach every entry of the table."""
        count = min(self.high - self.low + 1, 8 * len(self.table))
        points = np.linspace(self.low, self.high, count).round().astype(np.int64)
        points = np.append(points, np.full(-len(points) % self.channels, self.high))
        return points.reshape(-1, self.channels)

    def pack(self, x: np.ndarray) -> list[int]:
        return pack(x.reshape(-1, self.lanes), self.in_width)

    def expected(self, x: np.ndarray) -> np.ndarray:
        p = self.p
        y = lookup(x, self.scale, self.bias, self.table, p["SHIFT"], bool(p["WRAP"]), p["OFFSET"])
        return y.reshape(-1, self.lanes)

    def check(self, x: np.ndarray, words: list[int]) -> None:
        expected = self.expected(x)[: len(words)]
        if words != pack(expected, self.out_width):
            got = unpack(words, self.out_width, self.lanes)
            wrong = np.argwhere((got - expected) % (1 << self.out_width) != 0)
            word, lane = wrong[0]
            raise AssertionError(
                f"{len(wrong)} of {expected.size} outputs differ, first word {word} lane {lane}: "
                f"got {got[word, lane]}, expected {expected[word, lane]}"
            )

    async def run(self, x: np.ndarray, offer: Pattern = always, accept: Pattern = always) -> Record:
        words = self.pack(x)
        record = await self.stream.transfer(words, len(words), offer, accept)
        self.check(x, record.words)
        bound = len(words) + self.latency + record.held_in + record.held_out
        assert record.received[-1] < bound, f"{record.received[-1] + 1} cycles, bound {bound}"
        return record


@cocotb.test()
@on_every_instance
async def back_to_back(dut, index):
    """Neither side stalls: a word in and a word out in every cycle, the latency of the formula."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    x = bench.stimuli(40)
    count = len(bench.pack(x))
    for _ in range(2):
        record = await bench.run(x)
        assert record.sent == list(range(count)), "tready fell although the sink was ready"
        first = bench.latency
        assert record.received == list(range(first, first + count)), (
            f"first output in cycle {record.received[0]}, expected {first}"
        )
    await bench.stream.expect_silence(20)


@cocotb.test()
@on_every_instance
async def every_entry(dut, index):
    """A sweep of the input range; it reaches every entry of the table where the range allows."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    x = bench.sweep()
    if bench.p["reachable"]:
        p = bench.p
        marks = lookup(
            x,
            bench.scale,
            bench.bias,
            np.arange(len(bench.table)),
            p["SHIFT"],
            bool(p["WRAP"]),
            p["OFFSET"],
        )
        assert len(np.unique(marks)) == len(bench.table)
    await bench.run(x)


@cocotb.test()
@on_every_instance
async def stalled(dut, index):
    """Either side and both sides stall."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    record = await bench.run(bench.stimuli(20), offer=at_random(0.5, index))
    assert not record.refused
    for accept in (at_random(0.5, index), in_bursts(index, 12)):
        record = await bench.run(bench.stimuli(20), accept=accept)
        assert all(cycle < record.received[0] for cycle in record.empty)
    for source, sink in ((0.7, 0.7), (0.9, 0.3), (0.3, 0.9)):
        await bench.run(
            bench.stimuli(20), offer=at_random(source, index), accept=at_random(sink, index + 1)
        )
    await bench.run(bench.stimuli(20), in_bursts(index, 9), in_bursts(index + 1, 9))


@cocotb.test()
@on_every_instance
async def valid_before_ready(dut, index):
    """The sink raises tready only after it has seen tvalid; the first word comes on time."""
    bench = Bench(dut, index)
    await bench.stream.reset()

    record = await bench.run(bench.stimuli(8), accept=bench.stream.when_valid)
    assert record.empty[-1] < bench.latency


@cocotb.test()
@on_every_instance
async def reset_midstream(dut, index):
    """Reset drops everything; the next word is fold 0 again."""
    bench = Bench(dut, index)
    await bench.stream.reset(2)
    source = random.Random(index)
    for _ in range(6):
        x = bench.stimuli(8)
        words = bench.pack(x)
        stop = source.randint(1, len(words) + bench.latency)
        record = await bench.stream.transfer(
            words, len(words), accept=at_random(0.6, stop), stop_after=stop
        )
        bench.check(x, record.words)
        await bench.stream.reset()
        await bench.stream.expect_silence(bench.latency + 2)
    record = await bench.run(bench.stimuli(8))
    assert record.received[0] == bench.latency
