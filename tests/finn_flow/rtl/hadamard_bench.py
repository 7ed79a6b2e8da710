# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb tests of hadamard_transform; every test runs on every instance of the model."""

import json
import random
from pathlib import Path

import cocotb
import numpy as np
from reference import hadamard, pack, transform, unpack
from stream import Pattern, Record, Stream, always, at_random, in_bursts

INSTANCES = json.loads(Path("bench.json").read_text())
on_every_instance = cocotb.parametrize(index=range(len(INSTANCES)))


class Bench:
    """One instance, its geometry and its reference."""

    def __init__(self, dut, index: int):
        p = INSTANCES[index]
        self.order, self.lanes, self.in_width = p["N"], p["SIMD"], p["IN_WIDTH"]
        self.channels, self.out_width = p["CHANNELS"], p["OUT_WIDTH"]
        self.shift, self.narrow = p["SHIFT"], bool(p["NARROW"])
        self.words = self.order // self.lanes  # per block
        self.signs = np.array([1 - 2 * (p["SIGNS"] >> c & 1) for c in range(self.channels)])
        self.random = np.random.default_rng(index)
        self.stream = Stream(dut, index)

    @property
    def latency(self) -> int:
        """The formula of the header of hadamard_transform.sv."""
        blocks = self.signs.reshape(-1, self.order)
        stages = self.order.bit_length() - 1
        width = self.in_width + stages
        # +2^(IN_WIDTH-1)·N is reached if the signs of a block are a row of -H.
        rows = np.abs(transform(blocks, self.order))
        negated = blocks[:, 0] == -1
        width += bool((negated & (rows.max(axis=1) == self.order)).any())
        rounded = width - self.shift + 1 if self.shift else width
        clips = rounded > self.out_width or (self.narrow and rounded == self.out_width)
        return self.words - 1 + stages + bool(negated.any()) + (self.shift > 0) + clips

    def stimuli(self, vectors: int) -> np.ndarray:
        """[V, channels]: extremes, worst cases of single outputs, impulses, then random."""
        low, high = -(1 << (self.in_width - 1)), (1 << (self.in_width - 1)) - 1
        x = self.random.integers(low, high, (vectors, self.channels), endpoint=True)
        x[0], x[1] = low, high
        # The signs of D and of two rows of H make outputs of extreme value.
        row = np.arange(self.channels) & self.random.integers(self.order)
        odd = np.array([int(r).bit_count() & 1 for r in row], bool)
        for i, positive in enumerate((self.signs == 1, odd ^ (self.signs == 1))):
            x[2 + 2 * i] = np.where(positive, low, high)
            x[3 + 2 * i] = np.where(positive, high, low)
        for i, value in enumerate((low, high)):
            x[6 + i] = 0
            x[6 + i, self.random.integers(self.channels)] = value
        return x

    def pack(self, x: np.ndarray) -> list[int]:
        return pack(x.reshape(-1, self.lanes), self.in_width)

    def expected(self, x: np.ndarray) -> np.ndarray:
        y = hadamard(x, self.order, self.signs, self.shift, self.out_width, self.narrow)
        return y.reshape(-1, self.lanes)

    def check(self, x: np.ndarray, words: list[int]) -> None:
        expected = self.expected(x)[: len(words)]
        if words != pack(expected, self.out_width):
            wrong = np.argwhere(unpack(words, self.out_width, self.lanes) != expected)
            word, lane = wrong[0]
            got = unpack(words[word : word + 1], self.out_width, self.lanes)[0, lane]
            raise AssertionError(
                f"{len(wrong)} of {expected.size} outputs differ, first word {word} lane {lane}: "
                f"got {got}, expected {expected[word, lane]}"
            )

    async def run(self, x: np.ndarray, offer: Pattern = always, accept: Pattern = always) -> Record:
        words = self.pack(x)
        record = await self.stream.transfer(words, len(words), offer, accept)
        self.check(x, record.words)
        # Every cycle of the run is work, the fill of the pipeline, or somebody's stall.
        bound = len(words) + self.latency + record.held_in + record.held_out
        assert record.received[-1] < bound, f"{record.received[-1] + 1} cycles, bound {bound}"
        return record

    @property
    def vectors(self) -> int:
        """Vectors of a run: at least 9, more where a vector is short."""
        return max(9, min(48, 192 * self.lanes // self.channels))


@cocotb.test()
@on_every_instance
async def back_to_back(dut, index):
    """Neither side stalls: no bubble, the latency of the formula, and the end drains by itself."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    x = bench.stimuli(bench.vectors)
    count = len(bench.pack(x))
    for _ in range(2):  # the second run starts where the first left the counters
        record = await bench.run(x)
        assert record.sent == list(range(count)), "tready fell although the sink was ready"
        first = bench.latency
        assert record.received == list(range(first, first + count)), (
            f"first output in cycle {record.received[0]}, expected {first}"
        )
    await bench.stream.expect_silence(2 * bench.words + 20)


@cocotb.test()
@on_every_instance
async def stalled_source(dut, index):
    """Gaps in the input: tready never falls, and every block leaves without the next one."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    for offer in (at_random(0.5, index), in_bursts(index, 3 * bench.words)):
        record = await bench.run(bench.stimuli(9), offer=offer)
        assert not record.refused, f"tready fell in cycles {record.refused[:5]}"


@cocotb.test()
@on_every_instance
async def stalled_sink(dut, index):
    """A slow sink and a busy source: once output has begun, a word waits in every cycle."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    for accept in (at_random(0.5, index), in_bursts(index, 2 * bench.words)):
        record = await bench.run(bench.stimuli(9), accept=accept)
        assert all(cycle < record.received[0] for cycle in record.empty), (
            f"no output offered in cycles {record.empty[-3:]}, the first came in "
            f"{record.received[0]}"
        )


@cocotb.test()
@on_every_instance
async def stalled_both(dut, index):
    """Both sides stall at random, at three pairs of rates."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    for source, sink in ((0.7, 0.7), (0.9, 0.3), (0.3, 0.9)):
        await bench.run(
            bench.stimuli(8), offer=at_random(source, index), accept=at_random(sink, index + 1)
        )


@cocotb.test()
@on_every_instance
async def fills_behind_a_stall(dut, index):
    """The sink stalls shortly before the end of a block that is followed by a gap: the next block
    still enters up to its first sums, so the gap does not return when the sink does."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    registers = bench.latency - bench.words + 1
    for waiting in {1, 1 + registers // 2, registers}:  # words of the block that the stall holds up
        x = bench.stimuli(11)[8:]
        stop = bench.latency + max(bench.words - waiting, 0)
        stall = 3 * bench.words + bench.latency

        def one_block_then_a_gap(gap=bench.words + bench.latency):
            yield from [True] * bench.words + [False] * gap
            yield from always()

        def stall_before_the_end(stop=stop, stall=stall):
            yield from [True] * stop + [False] * stall
            yield from always()

        record = await bench.run(x, one_block_then_a_gap, stall_before_the_end)
        assert all(cycle < stop + stall for cycle in record.empty[bench.latency :]), (
            f"no output offered in cycle {record.empty[-1]}, stalled until {stop + stall}"
        )


@cocotb.test()
@on_every_instance
async def valid_before_ready(dut, index):
    """The sink raises tready only after it has seen tvalid; the first word comes on time."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    x = bench.stimuli(8)

    record = await bench.run(x, accept=bench.stream.when_valid)
    assert record.empty[-1] < bench.latency, f"no output offered in cycle {record.empty[-1]}"


@cocotb.test()
@on_every_instance
async def reset_midstream(dut, index):
    """Reset at arbitrary points drops everything; the next word is element 0 again."""
    bench = Bench(dut, index)
    await bench.stream.reset(2)
    source = random.Random(index)
    for _ in range(6):
        x = bench.stimuli(8)
        words = bench.pack(x)
        stop = source.randint(1, 2 * bench.words + bench.latency)
        record = await bench.stream.transfer(
            words, len(words), accept=at_random(0.6, stop), stop_after=stop
        )
        bench.check(x, record.words)
        await bench.stream.reset()
        await bench.stream.expect_silence(bench.latency + 2)
    record = await bench.run(bench.stimuli(8))
    assert record.received[0] == bench.latency
