# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb tests of matrix_vector; every test runs on every instance of the model."""

import json
import random
from pathlib import Path

import cocotb
import numpy as np
from reference import pack, unpack
from stream import Pattern, Record, Stream, always, at_random, in_bursts

INSTANCES = json.loads(Path("bench.json").read_text())
on_every_instance = cocotb.parametrize(index=range(len(INSTANCES)))


class Bench:
    """One instance, its geometry and its reference."""

    def __init__(self, dut, index: int):
        self.p = p = INSTANCES[index]
        self.weights = np.array(p["weights"], np.int64)
        width = p["IN_WIDTH"]
        self.low, self.high = (
            (-(1 << (width - 1)), (1 << (width - 1)) - 1)
            if p["IN_SIGNED"]
            else (0, (1 << width) - 1)
        )
        self.columns, self.rows = p["MW"] // p["SIMD"], p["MH"] // p["PE"]
        self.drain = p["PE"] // p["OUT_LANES"]
        self.out_words = p["MH"] // p["OUT_LANES"]
        self.random = np.random.default_rng(index)
        self.stream = Stream(dut, index)

    @property
    def latency(self) -> int:
        """Cycles from the last word of a vector to the first of the product."""
        p = self.p
        if "LATENCY" in p:  # of an adder graph
            return int(p["LATENCY"])
        multiplier = 2 if p["WEIGHT_WIDTH"] <= 2 else 4 if p["DSP"] else 3
        tree = (-(-p["SIMD"] // p["CHAIN"]) - 1).bit_length()
        start = self.columns + 3 if self.rows > 1 or p["SIMD"] > 1 else 2
        spaced = (
            p["MW"] // p["SIMD"] > p["PE"] // p["OUT_LANES"]
        )  # no second word behind the results
        return start + multiplier + p["CHAIN"] + tree - spaced

    @property
    def source_interval(self) -> int:
        """Cycles in which a vector comes in."""
        return self.p["MW"] // self.p["IN_LANES"]

    @property
    def interval(self) -> int:
        """Cycles a vector takes."""
        return max(max(self.columns, self.drain) * self.rows, self.source_interval)

    def stimuli(self, vectors: int) -> np.ndarray:
        """[V, MW]: the inputs of the largest and smallest sum of a row, extremes, then random."""
        x = self.random.integers(self.low, self.high, (vectors, self.p["MW"]), endpoint=True)
        row = self.weights[self.random.integers(len(self.weights))]
        x[0] = np.where(row > 0, self.high, self.low)
        x[1] = np.where(row > 0, self.low, self.high)
        x[2], x[3] = self.low, self.high
        return x

    def words(self, x: np.ndarray) -> list[int]:
        return pack(x.reshape(-1, self.p["IN_LANES"]), self.p["IN_WIDTH"])

    def check(self, x: np.ndarray, words: list[int]) -> None:
        lanes, width = self.p["OUT_LANES"], self.p["ACC_WIDTH"]
        expected = (x @ self.weights.T).reshape(-1, lanes)[: len(words)]
        if words != pack(expected, width):
            got = unpack(words, width, lanes)
            wrong = np.argwhere((got - expected) % (1 << width) != 0)
            word, lane = wrong[0]
            raise AssertionError(
                f"{len(wrong)} of {expected.size} outputs differ, first word {word} lane {lane}: "
                f"got {got[word, lane]}, expected {expected[word, lane]}"
            )

    async def run(self, x: np.ndarray, offer: Pattern = always, accept: Pattern = always) -> Record:
        words = self.words(x)
        record = await self.stream.transfer(words, len(x) * self.out_words, offer, accept)
        self.check(x, record.words)
        return record


@cocotb.test()
@on_every_instance
async def back_to_back(dut, index):
    """Neither side stalls: the interval and the latency of the header."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    vectors = 12
    for _ in range(2):
        x = bench.stimuli(vectors)
        record = await bench.run(x)
        sent_first = record.sent[bench.source_interval - 1]
        assert record.received[0] - sent_first == bench.latency, (
            f"latency {record.received[0] - sent_first}, expected {bench.latency}"
        )
        firsts = record.received[:: bench.out_words]
        # The chains run empty before the second vector, or whenever a vector is waited for.
        if bench.interval > bench.source_interval:
            assert all(np.diff(firsts[2:]) == bench.interval), np.diff(firsts)
        slack = 0 if "LATENCY" in bench.p else 2 * bench.p["CHAIN"] + 4
        assert firsts[-1] - firsts[0] <= bench.interval * (vectors - 1) + slack, np.diff(firsts)
    await bench.stream.expect_silence(bench.latency + bench.p["CHAIN"])


@cocotb.test()
@on_every_instance
async def stalled(dut, index):
    """Either side and both sides stall."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    await bench.run(bench.stimuli(5), offer=at_random(0.4, index))
    await bench.run(bench.stimuli(5), accept=at_random(0.5, index))
    await bench.run(bench.stimuli(5), accept=in_bursts(index, 12))
    for source, sink in ((0.9, 0.3), (0.3, 0.9)):
        await bench.run(
            bench.stimuli(5), offer=at_random(source, index), accept=at_random(sink, index + 1)
        )
    await bench.run(bench.stimuli(5), in_bursts(index, 9), in_bursts(index + 1, 9))


@cocotb.test()
@on_every_instance
async def vectors_apart(dut, index):
    """Vectors end and begin at every distance that the chains and the memory can tell apart."""
    bench = Bench(dut, index)
    await bench.stream.reset()
    per_vector = bench.source_interval

    def pauses():
        for pause in range(2 * bench.p["CHAIN"] + 4):
            for _ in range(per_vector):
                yield True
            for _ in range(bench.interval - per_vector + pause):
                yield False
        while True:
            yield True

    await bench.run(bench.stimuli(2 * bench.p["CHAIN"] + 8), offer=pauses)


@cocotb.test()
@on_every_instance
async def valid_before_ready(dut, index):
    """The sink raises tready only after it has seen tvalid."""
    bench = Bench(dut, index)
    await bench.stream.reset()

    await bench.run(bench.stimuli(4), accept=bench.stream.when_valid)


@cocotb.test()
@on_every_instance
async def reset_midstream(dut, index):
    """Reset drops everything; the next word is the first of a vector again."""
    bench = Bench(dut, index)
    await bench.stream.reset(2)
    source = random.Random(index)
    for _ in range(5):
        x = bench.stimuli(4)
        words = bench.words(x)
        stop = source.randint(1, 2 * bench.interval + bench.latency)
        record = await bench.stream.transfer(
            words, 4 * bench.out_words, accept=at_random(0.6, stop), stop_after=stop
        )
        bench.check(x, record.words)
        await bench.stream.reset()
        await bench.stream.expect_silence(bench.latency + 2)
    await bench.run(bench.stimuli(4))
