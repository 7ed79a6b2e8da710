# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb tests of the kernels with several streams; every test runs on every instance.

Each input has a source of its own and each output a sink, all of which stall as they like.
"""

import json
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from reference import pack
from stream import PERIOD_NS, Pattern, always, at_random, in_bursts

INSTANCES = json.loads(Path("bench.json").read_text())
on_every_instance = cocotb.parametrize(index=range(len(INSTANCES)))
VECTORS = 12


class Bench:
    """One instance: its streams and what they must carry."""

    def __init__(self, dut, index: int):
        self.p = INSTANCES[index]
        self.random = np.random.default_rng(index)
        for name in (
            "clk",
            "rst_n",
            "s_data",
            "s_valid",
            "s_ready",
            "m_data",
            "m_valid",
            "m_ready",
        ):
            setattr(self, name, getattr(dut, f"{name}_{index}"))
        self.s_valid.value = self.m_ready.value = self.s_data.value = 0
        self.rst_n.value = 0
        self.clock = Clock(self.clk, PERIOD_NS, "ns")
        self.clock.start()

    @property
    def latency(self) -> int:
        """The formula of the headers."""
        factors = [abs(self.p.get(name, 1)) for name in ("A_FACTOR", "B_FACTOR")]
        powers = all(factor & (factor - 1) == 0 for factor in factors)
        return {"add": 1 if powers else 2, "multiply": 3}.get(self.p["kind"], 0)

    async def reset(self) -> None:
        self.rst_n.value = 0
        self.s_valid.value = 0
        await RisingEdge(self.clk)
        self.rst_n.value = 1

    def stimuli(self) -> tuple[list[list[int]], list[list[int]]]:
        """Words of every input and, by the reference, of every output; extremes first."""
        p = self.p
        values = []
        for width, lanes, beats in zip(p["widths"], p["lanes"], p["beats"], strict=True):
            half = 1 << (width - 1)
            x = self.random.integers(-half, half, (VECTORS * beats, lanes), dtype=np.int64)
            x[0], x[1] = -half, half - 1
            values.append(x)
        words = [pack(x, width) for x, width in zip(values, p["widths"], strict=True)]
        return words, self.expected(values, words)

    def expected(self, values: list[np.ndarray], words: list[list[int]]) -> list[list[int]]:
        p = self.p
        if p["kind"] == "fork":
            return [words[0]] * p["OUTPUTS"]
        if p["kind"] == "concat":
            result = []
            for vector in range(VECTORS):
                for stream, beats in zip(words, p["beats"], strict=True):
                    result += stream[vector * beats : (vector + 1) * beats]
            return [result]
        a, b = (x.astype(object) for x in values)
        y = a * b if p["kind"] == "multiply" else p["A_FACTOR"] * a + p["B_FACTOR"] * b
        width = p["OUT_WIDTH"]
        return [pack((y % (1 << width)).astype(np.uint64).view(np.int64), width)]

    async def run(
        self, offers: list[Pattern], accepts: list[Pattern], stop_after: int | None = None
    ) -> list[list[int]]:
        """Passes all stimuli, or runs for ``stop_after`` cycles, and checks what came out; returns
        the cycle of every word of every output."""
        words, expected = self.stimuli()
        edge = RisingEdge(self.clk)
        willing = [pattern() for pattern in offers]
        taking = [pattern() for pattern in accepts]
        position, offered = [0] * len(words), [False] * len(words)
        received: list[list[int]] = [[] for _ in expected]
        cycles: list[list[int]] = [[] for _ in expected]
        held: list[int | None] = [None] * len(expected)
        limit = 60 * sum(map(len, words + expected)) + 2000
        for cycle in range(limit):
            if cycle == stop_after or all(map(lambda r, e: len(r) >= len(e), received, expected)):
                break
            for i, stream in enumerate(words):
                if not offered[i] and position[i] < len(stream):
                    offered[i] = next(willing[i])
            data = 0
            for i in reversed(range(len(words))):
                width = self.p["widths"][i] * self.p["lanes"][i]
                word = words[i][position[i]] if offered[i] else self.random.integers(1 << 30)
                data = data << width | int(word) % (1 << width)
            ready = [next(pattern) for pattern in taking]
            self.s_data.value = data
            self.s_valid.value = sum(bit << i for i, bit in enumerate(offered))
            self.m_ready.value = sum(bit << i for i, bit in enumerate(ready))
            await edge
            taken = self.s_ready.value.to_unsigned() if len(words) > 1 else int(self.s_ready.value)
            valid = self.m_valid.value
            valid = valid.to_unsigned() if len(expected) > 1 else int(valid)
            out = self.m_data.value.to_unsigned()
            for i in range(len(words)):
                if offered[i] and taken >> i & 1:
                    position[i] += 1
                    offered[i] = False
            for i in range(len(expected)):
                offer = bool(valid >> i & 1)
                assert held[i] is None or (offer and out == held[i]), (
                    f"output {i}: a word that was offered fell or changed before it was taken"
                )
                held[i] = out if offer and not ready[i] else None
                if offer and ready[i]:
                    received[i].append(out)
                    cycles[i].append(cycle)
        else:
            raise AssertionError(f"stuck after {[len(r) for r in received]} words")
        self.s_valid.value = 0
        for i, (found, wanted) in enumerate(zip(received, expected, strict=True)):
            assert found == wanted[: len(found)], f"output {i}: outputs differ"
        return cycles


def streams(bench: Bench) -> tuple[int, int]:
    outputs = bench.p["OUTPUTS"] if bench.p["kind"] == "fork" else 1
    return len(bench.p["widths"]), outputs


@cocotb.test()
@on_every_instance
async def back_to_back(dut, index):
    """Nobody stalls: a word in every cycle, the latency of the formula."""
    bench = Bench(dut, index)
    await bench.reset()
    inputs, outputs = streams(bench)
    for _ in range(2):
        for cycles in await bench.run([always] * inputs, [always] * outputs):
            first = bench.latency
            assert cycles == list(range(first, first + len(cycles))), f"came in {cycles[:8]}"


@cocotb.test()
@on_every_instance
async def stalled(dut, index):
    """Every source and every sink stalls by itself, at random and in bursts."""
    bench = Bench(dut, index)
    await bench.reset()
    inputs, outputs = streams(bench)
    for source, sink in ((0.5, 1.0), (1.0, 0.5), (0.7, 0.7), (0.9, 0.3), (0.3, 0.9)):
        await bench.run(
            [at_random(source, 10 * index + i) for i in range(inputs)],
            [at_random(sink, 10 * index + 5 + i) for i in range(outputs)],
        )
    await bench.run(
        [in_bursts(index + i, 9) for i in range(inputs)],
        [in_bursts(index + 7 + i, 9) for i in range(outputs)],
    )


@cocotb.test()
@on_every_instance
async def one_stream_late(dut, index):
    """One source, or one sink, is far slower than the others."""
    bench = Bench(dut, index)
    await bench.reset()
    inputs, outputs = streams(bench)
    for late in range(inputs + outputs):
        patterns = [at_random(0.1, late) if i == late else always for i in range(inputs + outputs)]
        await bench.run(patterns[:inputs], patterns[inputs:])


@cocotb.test()
@on_every_instance
async def reset_midstream(dut, index):
    """Reset drops everything; the next words are the first of a vector."""
    bench = Bench(dut, index)
    await bench.reset()
    inputs, outputs = streams(bench)
    for stop in (1, 4, 7, 13):
        await bench.run(
            [at_random(0.8, stop + i) for i in range(inputs)],
            [at_random(0.6, stop + 3 + i) for i in range(outputs)],
            stop_after=stop,
        )
        await bench.reset()
    await bench.run([always] * inputs, [always] * outputs)
