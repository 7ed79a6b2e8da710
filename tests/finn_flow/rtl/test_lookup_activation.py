# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""lookup_activation under Verilator against the NumPy reference.

The scenarios are the cocotb tests of ``lookup_bench``; here are the parameter sets and the memory
files. Marker ``exhaustive``: random parameter sets over the whole range of each parameter.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulate import Bits, Instance, build, simulate

SCENARIOS = 5


def hexadecimal(rows: np.ndarray, width: int) -> str:
    """$readmemh lines; a row of several numbers is one word, the first number lowest."""
    mask = (1 << width) - 1
    words = [sum((int(v) & mask) << (i * width) for i, v in enumerate(row)) for row in rows]
    return "".join(f"{word:x}\n" for word in words)


def symmetric_table(bits: int, fold: int, out_width: int, source: random.Random) -> list[int]:
    """A random table with exactly the symmetry that ``fold`` needs."""
    high = (1 << (out_width - 1)) - 1
    stored = [source.randint(-high if fold else -high - 1, high) for _ in range(1 << (bits - fold))]
    if fold == 2:
        stored += stored[::-1]
    if fold:
        stored += [-v for v in reversed(stored)]
    return stored


def instance(
    *,
    channels: int = 1,
    lanes: int = 1,
    in_width: int = 16,
    signed: bool = True,
    scale_width: int | None = None,
    scale_per_channel: bool = False,
    scale_shift: int = 0,
    bias_width: int | None = None,
    bias_per_channel: bool = False,
    shift: int = 0,
    offset: int | None = None,
    table_bits: int = 8,
    fold: int = 0,
    style: str = "auto",
    out_width: int = 8,
    reachable: bool = False,
    direct: bool = False,
) -> Instance:
    """offset None: wrap. direct: constants of the lanes.

    reachable: a sweep of the inputs addresses the whole table."""
    source = random.Random(repr(locals()))

    def constants(width: int | None, per_channel: bool, default: int) -> list[int]:
        if width is None:
            return [default]
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        if not per_channel:
            return [high - 1 if reachable else source.randint(low, high)]
        values = [source.randint(low, high) for _ in range(channels)]
        values[0], values[-1] = low, high
        return values

    return Instance(
        "lookup_activation",
        {
            "CHANNELS": channels,
            "PE": lanes,
            "IN_WIDTH": in_width,
            "IN_SIGNED": int(signed),
            "HAS_SCALE": int(scale_width is not None),
            "SCALE_WIDTH": scale_width or 16,
            "SCALE_PER_CHANNEL": int(scale_per_channel),
            "SCALE_SHIFT": scale_shift,
            "HAS_BIAS": int(bias_width is not None),
            "BIAS_WIDTH": bias_width or 16,
            "BIAS_PER_CHANNEL": int(bias_per_channel),
            "SHIFT": shift,
            "WRAP": int(offset is None),
            "OFFSET": offset or 0,
            "TABLE_BITS": table_bits,
            "FOLD": fold,
            "TABLE_STYLE": style,
            "OUT_WIDTH": out_width,
            "DIRECT": int(direct),
        },
        lanes * in_width,
        lanes * out_width,
        {
            "scale": constants(scale_width, scale_per_channel, 1 << scale_shift),
            "bias": constants(bias_width, bias_per_channel, 0),
            "table": symmetric_table(table_bits, fold, out_width, source),
            "reachable": reachable,
        },
    )


def named(instances: list[Instance]) -> list[Instance]:
    """The instances with memory files of their own, or constants."""
    result = []
    for i, one in enumerate(instances):
        parameters = {**one.parameters, "TABLE_FILE": f"table_{i}.mem"}
        for kind, lanes in (("SCALE", "SCALES"), ("BIAS", "BIASES")):
            width, values = int(parameters[f"{kind}_WIDTH"]), one.bench[kind.lower()]
            if parameters["DIRECT"] and parameters[f"HAS_{kind}"]:
                word = int(hexadecimal(np.array([values], object), width), 16)
                parameters[lanes] = Bits(width * len(values), word)
            elif parameters[f"{kind}_PER_CHANNEL"]:
                parameters[f"{kind}_FILE"] = f"{kind.lower()}_{i}.mem"
            elif parameters[f"HAS_{kind}"]:
                parameters[kind] = Bits(width, values[0] & ((1 << width) - 1))
        result.append(replace(one, parameters=parameters))
    return result


def write_memories(work_dir: Path, instances: list[Instance]) -> None:
    for one in instances:
        p, bench = one.parameters, one.bench
        stored = len(bench["table"]) >> int(p["FOLD"])
        table = np.array(bench["table"][:stored], object)[:, None]
        (work_dir / str(p["TABLE_FILE"])).write_text(hexadecimal(table, int(p["OUT_WIDTH"])))
        for kind in ("SCALE", "BIAS"):
            if p[f"HAS_{kind}"] and f"{kind}_FILE" in p:
                values = np.array(bench[kind.lower()], object).reshape(-1, int(p["PE"]))
                text = hexadecimal(values, int(p[f"{kind}_WIDTH"]))
                (work_dir / str(p[f"{kind}_FILE"])).write_text(text)


DEFAULT = named(
    [
        # Index taken from the input as it is, every fold and both memory styles.
        instance(in_width=8, reachable=True),
        instance(in_width=6, table_bits=6, fold=1, reachable=True),
        instance(channels=4, lanes=2, in_width=10, table_bits=9, fold=2, reachable=True),
        instance(in_width=8, style="block", reachable=True),
        instance(channels=6, lanes=3, in_width=12, table_bits=12, out_width=9, reachable=True),
        instance(channels=4, lanes=4, in_width=12, table_bits=12, fold=2, reachable=True),
        # Shift only: left and right, with and without bias.
        instance(in_width=12, shift=3, reachable=True),
        instance(channels=2, lanes=2, in_width=12, scale_shift=2, shift=5, table_bits=7),
        instance(
            channels=8, lanes=2, in_width=18, bias_width=12, bias_per_channel=True, shift=6
        ),
        instance(channels=3, lanes=1, in_width=4, scale_shift=6, bias_width=30, shift=2),
        # Multiplied, per tensor and per channel, narrow and wide products, unsigned input.
        instance(in_width=16, scale_width=12, shift=10, reachable=True),
        instance(
            channels=16, lanes=4, in_width=18, scale_width=16, scale_per_channel=True,
            bias_width=32, bias_per_channel=True, shift=20, fold=2,
        ),
        instance(
            channels=12, lanes=3, in_width=24, scale_width=24, bias_width=40,
            bias_per_channel=True, shift=22, table_bits=10, fold=2,
        ),
        instance(
            channels=5, lanes=5, in_width=30, scale_width=20, scale_per_channel=True,
            shift=34, table_bits=6, out_width=12,
        ),
        instance(in_width=9, signed=False, scale_width=9, bias_width=9, shift=8),
        # Clipped, with an offset of either sign and out of reach, and the other combinations.
        instance(in_width=8, offset=-128, reachable=True),
        instance(in_width=10, offset=-128, fold=1, reachable=True),
        instance(channels=4, lanes=2, in_width=16, scale_width=10, shift=18, offset=-32,
                 table_bits=6, reachable=True),
        instance(in_width=12, bias_width=14, shift=4, offset=40, table_bits=5),
        instance(in_width=6, offset=1000, table_bits=4),
        instance(in_width=6, offset=-1000, table_bits=4),
        instance(channels=4, lanes=1, in_width=24, scale_width=24, scale_per_channel=True,
                 bias_width=56, bias_per_channel=True, shift=40, offset=-128),
        # Smallest and largest.
        instance(in_width=1, table_bits=1, out_width=1, reachable=True),
        instance(in_width=3, table_bits=14, out_width=2),
        instance(in_width=2, shift=7, offset=-1, table_bits=2, out_width=3),
        instance(in_width=14, table_bits=13, out_width=32, reachable=True),
        instance(in_width=48, scale_width=48, bias_width=96, shift=64, offset=-2**20,
                 table_bits=4),
        # Constants of the lanes: an entry put out as it is, negated, its address clipped.
        instance(channels=5, lanes=5, in_width=17, scale_width=5, scale_per_channel=True,
                 bias_width=16, bias_per_channel=True, shift=4, table_bits=10, direct=True),
        instance(channels=2, lanes=2, in_width=12, bias_width=9, bias_per_channel=True,
                 shift=2, table_bits=9, fold=2, direct=True),
        instance(channels=3, lanes=3, in_width=9, signed=False, scale_width=4,
                 scale_per_channel=True, shift=3, offset=-40, table_bits=6, direct=True),
    ]
)  # fmt: skip


def run(model_cache: Path, work_dir: Path, instances: list[Instance]) -> None:
    folder = build(model_cache, instances)
    write_memories(work_dir, instances)
    outcome = simulate(folder, instances, "lookup_bench", work_dir)
    outcome.check(SCENARIOS * len(instances))


def test_equals_reference(model_cache: Path, tmp_path: Path) -> None:
    run(model_cache, tmp_path, DEFAULT)


def random_instance(source: random.Random) -> Instance:
    lanes, folds = source.randint(1, 6), source.randint(1, 9)
    table_bits = source.randint(1, 12)
    in_width = source.randint(1, 40)
    scaled, biased = source.random() < 0.6, source.random() < 0.6
    return instance(
        channels=lanes * folds,
        lanes=lanes,
        in_width=in_width,
        signed=source.random() < 0.7,
        scale_width=source.randint(1, 40) if scaled else None,
        scale_per_channel=source.random() < 0.5,
        scale_shift=0 if scaled else source.randint(0, 12),
        bias_width=source.randint(1, 60) if biased else None,
        bias_per_channel=source.random() < 0.5,
        shift=source.randint(0, 40),
        offset=None if source.random() < 0.5 else source.randint(-300, 300),
        table_bits=table_bits,
        fold=source.randint(0, min(2, table_bits - 1)),
        style=source.choice(("auto", "block", "distributed")),
        out_width=source.randint(1, 20),
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(12))
def test_random_parameters(seed: int, model_cache: Path, tmp_path: Path) -> None:
    source = random.Random(seed)
    run(model_cache, tmp_path, named([random_instance(source) for _ in range(16)]))


@pytest.mark.parametrize("kind", ["table", "scale", "bias"])
def test_flipped_bit_is_detected(kind: str, model_cache: Path, tmp_path: Path) -> None:
    """Negative control: one bit flipped in a memory of one instance."""
    folder = build(model_cache, DEFAULT)
    write_memories(tmp_path, DEFAULT)
    index = {"table": 0, "scale": 11, "bias": 8}[kind]
    path = tmp_path / str(DEFAULT[index].parameters[f"{kind.upper()}_FILE"])
    lines = path.read_text().splitlines()
    top = {"table": 0, "scale": 12, "bias": 9}[kind]
    lines[-1] = f"{int(lines[-1], 16) ^ 1 << top:x}"
    path.write_text("\n".join(lines) + "\n")
    outcome = simulate(folder, DEFAULT, "lookup_bench", tmp_path)
    assert {name.split("index=")[1] for name in outcome.failed} == {str(index)}
    assert all("outputs differ" in message for message in outcome.failed.values())
    assert any(name.startswith("every_entry") for name in outcome.failed)
