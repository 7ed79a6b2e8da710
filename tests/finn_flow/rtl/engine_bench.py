# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""cocotb tests of the engine's kernels; every test runs on every instance of the model."""

import json
from pathlib import Path

import cocotb
import numpy as np
from reference import pack
from stream import Stream, always, at_random, in_bursts

INSTANCES = json.loads(Path("bench.json").read_text())
LIMIT = 20000
on_every_instance = cocotb.parametrize(index=range(len(INSTANCES)))


def source_words(p: dict, seed: int) -> tuple[list[int], list[int]]:
    """No input; every point of the grid two and a half times."""
    indices = np.stack(np.unravel_index(np.arange(np.prod(p["sizes"])), p["sizes"]), axis=1)
    codes = np.array(p["starts"]) + indices * np.array(p["steps"])
    beats = pack(codes.reshape(-1, p["LANES"]), p["WIDTH"])
    return [], [*beats, *beats, *beats[: len(beats) // 2]]


def sink_words(p: dict, seed: int) -> tuple[list[int], list[int]]:
    """Extremes and random codes; the samples in Python's integers."""
    low, high = p["bounds"]
    random = np.random.default_rng(seed)
    codes = random.integers(low, high, (40, p["CHANNELS"]), endpoint=True)
    # Most codes of a wide range are clipped: half of them are drawn where none is.
    middle = [-b // s if s else 0 for s, b in zip(p["scales"], p["biases"], strict=True)]
    spread = max(2, (2 << (p["SHIFT"] + p["OUT_WIDTH"])) // max(map(abs, p["scales"])))
    codes[20:] = np.clip(middle + random.integers(-spread, spread, codes[20:].shape), low, high)
    codes[0], codes[1], codes[2] = low, high, 0
    least, most = p["samples"]
    samples = [
        [
            min(max((int(x) * s + b) >> p["SHIFT"], least), most)
            for x, s, b in zip(row, p["scales"], p["biases"], strict=True)
        ]
        for row in codes
    ]
    if p["CORRECTED"]:
        channels = list(zip(p["scales"], p["biases"], p["late"], strict=True))
        for code, row in zip(codes, samples, strict=True):
            for c, (scale, bias, late) in enumerate(channels):
                sums = int(code[c]) * scale + bias
                inside = sums >> p["SHIFT"] == row[c]
                count = late[row[c] & (1 << p["OUT_WIDTH"]) - 1]
                row[c] -= int(inside and (sums - count * scale) >> p["SHIFT"] < row[c])
    lanes = p["LANES"]
    given = pack(codes.reshape(-1, lanes), p["IN_WIDTH"])
    return given, pack(np.array(samples).reshape(-1, lanes), p["OUT_WIDTH"])


def packer_words(p: dict, seed: int) -> tuple[list[int], list[int]]:
    """Random words; TUSER and TLAST above the data."""
    width, gather, line, lines = (p[name] for name in ("WIDTH", "GATHER", "LINE", "LINES"))
    count = 2 * line * lines + line
    words = np.random.default_rng(seed).integers(0, 1 << width, count * gather)
    data = pack(words.reshape(-1, gather), width)
    marks = [
        (2 if i % (line * lines) == 0 else 0) + (1 if i % line == line - 1 else 0)
        for i in range(count)
    ]
    return [int(w) for w in words], [
        value + (mark << (width * gather)) for value, mark in zip(data, marks, strict=True)
    ]


def uart_words(p: dict, seed: int) -> tuple[list[int], list[int]]:
    """Random bytes, the extremes first."""
    words = np.random.default_rng(seed).integers(0, 256, (60 // p["BYTES"], p["BYTES"]))
    words[0], words[1] = 0, 255
    return pack(words, 8), [int(byte) for byte in words.reshape(-1)]


WORDS = {
    "source": source_words,
    "sink": sink_words,
    "packer": packer_words,
    "uart": uart_words,
    "server": uart_words,
}


def words_of(index: int) -> tuple[dict, list[int], list[int]]:
    p = INSTANCES[index]
    return p, *WORDS[p["kind"]](p, index)


@cocotb.test()
@on_every_instance
async def back_to_back(dut, index):
    """Neither side stalls: the words, the latency and the rate."""
    p, given, expected = words_of(index)
    stream = Stream(dut, index)
    await stream.reset(2)
    record = await stream.transfer(given, len(expected), limit=LIMIT)
    assert record.words == expected
    gaps = set(np.diff(record.received))
    if p["kind"] == "server":
        return
    if p["kind"] == "uart":
        assert len(record.sent) == len(given)
        # One cycle of rest between words.
        word = 10 * p["BYTES"] * p["CYCLES"] + 1
        assert set(np.diff(record.sent)) == {word}
    else:
        assert gaps == {p.get("GATHER", 1)}
        assert record.received[0] == p["latency"]


@cocotb.test()
@on_every_instance
async def stalled(dut, index):
    """Either side and both sides stall; nothing is lost. A serial line cannot wait."""
    p, given, expected = words_of(index)
    stream = Stream(dut, index)
    patterns = [(at_random(0.5, index), always)]
    if p["kind"] not in ("uart", "server"):
        patterns += [(always, at_random(0.5, index)), (always, in_bursts(index, 9))]
        patterns += [(at_random(0.7, index), at_random(0.6, index + 1))]
    for offer, accept in patterns:
        await stream.reset(2)
        record = await stream.transfer(given, len(expected), offer, accept, limit=LIMIT)
        assert record.words == expected


@cocotb.test()
@on_every_instance
async def reset_midstream(dut, index):
    """Reset drops everything, and the first word is again that of a sample, line and frame."""
    p, given, expected = words_of(index)
    stream = Stream(dut, index)
    for stop in (7, 12):
        await stream.reset(2)
        await stream.transfer(given, len(expected), accept=at_random(0.6, stop), stop_after=stop)
    await stream.reset(2)
    if p["kind"] != "source":
        await stream.expect_silence(30)
    record = await stream.transfer(given, len(expected), limit=LIMIT)
    assert record.words == expected
