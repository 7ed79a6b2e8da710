# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""matrix_vector under Verilator against NumPy.

The scenarios are the cocotb tests of ``matrix_vector_bench``; here are the parameter sets and the
memory files. Marker ``exhaustive``: foldings over the divisors of 1 to 64, random widths.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulate import Instance, build, simulate

SCENARIOS = 5


def instance(
    mw: int,
    mh: int,
    pe: int = 1,
    simd: int = 1,
    *,
    in_lanes: int = 1,
    out_lanes: int = 1,
    in_width: int = 8,
    signed: bool = True,
    weight_width: int = 8,
    chain: int | None = None,
    pack: int = 1,
    offset: int = 18,
    dsp: str = "",
    style: str = "block",
    weights: str = "random",
) -> Instance:
    """weights: "random", or all "lowest", "highest"."""
    source = np.random.default_rng(list(repr(locals()).encode()))
    low, high = -(1 << (weight_width - 1)), (1 << (weight_width - 1)) - 1
    if weight_width == 1:
        matrix = source.choice([-1, 1], (mh, mw))
    elif weight_width == 2:
        matrix = source.integers(-1, 2, (mh, mw))
    else:
        matrix = source.integers(low, high, (mh, mw), endpoint=True)
        matrix[0, 0] = low
    if weights != "random":
        matrix[:] = low if weights == "lowest" else high
    x = (-(1 << (in_width - 1)), (1 << (in_width - 1)) - 1) if signed else (0, (1 << in_width) - 1)
    ends = np.stack([matrix * x[0], matrix * x[1]])
    lowest, highest = ends.min(0).sum(1).min(), ends.max(0).sum(1).max()
    width = max(int(max(-lowest - 1, highest)).bit_length() + 1, 1)
    return Instance(
        "matrix_vector",
        {
            "MW": mw,
            "MH": mh,
            "PE": pe,
            "SIMD": simd,
            "IN_LANES": in_lanes,
            "OUT_LANES": out_lanes,
            "IN_WIDTH": in_width,
            "IN_SIGNED": int(signed),
            "WEIGHT_WIDTH": weight_width,
            "ACC_WIDTH": width,
            "CHAIN": chain or simd,
            "PACK": pack,
            "OFFSET": offset,
            "DSP": dsp,
            "STYLE": style,
        },
        in_lanes * in_width,
        out_lanes * width,
        {"weights": matrix.tolist()},
    )


def memory(p: dict, matrix: np.ndarray) -> str:
    """WEIGHT_FILE as the header of matrix_vector.sv has it."""
    columns, rows = p["MW"] // p["SIMD"], p["MH"] // p["PE"]
    width = p["WEIGHT_WIDTH"]
    lines = [0] * (columns * rows)
    for row in range(p["MH"]):
        for column in range(p["MW"]):
            n, r = divmod(row, p["PE"])
            k, s = divmod(column, p["SIMD"])
            line = (n * columns + k + s % p["CHAIN"]) % len(lines)
            weight = int(matrix[row][column])
            code = int(weight < 0) if width == 1 else weight & ((1 << width) - 1)
            lines[line] |= code << ((r * p["SIMD"] + s) * width)
    return "".join(f"{line:x}\n" for line in lines)


def named(instances: list[Instance]) -> list[Instance]:
    """The instances with memory files of their own."""
    return [
        replace(one, parameters={**one.parameters, "WEIGHT_FILE": f"weights_{i}.mem"})
        for i, one in enumerate(instances)
    ]


def write_memories(work_dir: Path, instances: list[Instance]) -> None:
    for one in instances:
        text = memory(dict(one.parameters), np.array(one.bench["weights"]))
        (work_dir / str(one.parameters["WEIGHT_FILE"])).write_text(text)


DEFAULT = named(
    [
        # One of everything, one row, one column, all at once.
        instance(1, 1),
        instance(1, 6, pe=3, out_lanes=3),
        instance(6, 1, simd=3, in_lanes=3),
        instance(8, 3, pe=3),
        instance(6, 4, pe=4, simd=6, in_lanes=6, out_lanes=4),
        # Foldings, lanes, chains of every length, one that is shorter than the others.
        instance(8, 8, pe=4, simd=2),
        instance(12, 8, pe=4, simd=4, in_lanes=2, out_lanes=2, chain=2),
        instance(12, 6, pe=2, simd=6, in_lanes=3, chain=4, out_lanes=2),
        instance(20, 6, pe=3, simd=10, in_lanes=5, chain=3),
        instance(64, 4, pe=2, simd=16, in_lanes=4),
        instance(16, 4, pe=4, simd=1, style="distributed"),
        instance(16, 16, pe=16, simd=4, out_lanes=2),  # the output is the slowest
        instance(40, 2, pe=1, simd=1),
        # Slices: one weight each, two, the largest sums that two can have, three, inputs wide.
        instance(8, 8, pe=4, simd=4, dsp="DSP48E2"),
        instance(16, 8, pe=4, simd=8, chain=7, pack=2, dsp="DSP48E2"),
        instance(14, 4, pe=4, simd=7, pack=2, dsp="DSP48E2", weights="lowest"),
        instance(14, 4, pe=4, simd=7, pack=2, dsp="DSP48E2", weights="highest"),
        instance(14, 5, pe=5, simd=7, pack=2, dsp="DSP48E2", signed=False, in_width=7),
        instance(8, 7, pe=7, simd=4, pack=3, offset=11, weight_width=4, in_width=4, dsp="DSP48E2"),
        instance(8, 6, pe=3, simd=4, pack=2, offset=20, weight_width=5, dsp="DSP48E1"),
        instance(8, 2, pe=2, simd=4, in_width=24, weight_width=16, dsp="DSP48E2"),
        instance(4, 2, pe=1, simd=2, in_width=24, signed=False, weight_width=12, dsp="DSP48E1"),
        # Widths at their ends; weights of a sign, and of a sign and zero.
        instance(8, 4, pe=2, simd=2, in_width=1, weight_width=16),
        instance(8, 4, pe=2, simd=2, in_width=1, signed=False, weight_width=3),
        instance(8, 4, pe=2, simd=2, in_width=24, signed=False, weight_width=16),
        instance(16, 8, pe=4, simd=8, weight_width=1, chain=3),
        instance(16, 8, pe=4, simd=4, weight_width=2, dsp="DSP48E2"),
        instance(16, 8, pe=4, simd=4, weight_width=1, in_width=1, signed=False),
    ]
)


def run(model_cache: Path, work_dir: Path, instances: list[Instance]) -> None:
    folder = build(model_cache, instances)
    write_memories(work_dir, instances)
    outcome = simulate(folder, instances, "matrix_vector_bench", work_dir)
    outcome.check(SCENARIOS * len(instances))


def test_equals_numpy(model_cache: Path, tmp_path: Path) -> None:
    run(model_cache, tmp_path, DEFAULT)


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def random_instance(source: random.Random) -> Instance:
    mw, mh = source.choice([(64, 8), (8, 64), (48, 6), (60, 4), (7, 9), (2, 64), (64, 3), (32, 32)])
    pe, simd = source.choice(divisors(mh)), source.choice(divisors(mw))
    weight_width, in_width = source.randint(1, 16), source.randint(1, 24)
    signed = source.random() < 0.7
    return instance(
        mw,
        mh,
        pe,
        simd,
        in_lanes=source.choice(divisors(simd)),
        out_lanes=source.choice(divisors(pe)),
        in_width=in_width,
        signed=signed,
        weight_width=weight_width,
        chain=source.randint(1, simd),
        dsp=source.choice(("", "DSP48E2")),
        style=source.choice(("block", "distributed")),
        weights=source.choice(("random", "random", "lowest", "highest"))
        if weight_width > 2
        else "random",
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(12))
def test_random_parameters(seed: int, model_cache: Path, tmp_path: Path) -> None:
    source = random.Random(seed)
    run(model_cache, tmp_path, named([random_instance(source) for _ in range(16)]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("pe", divisors(64))
@pytest.mark.parametrize(("weight_width", "in_width"), [(1, 1), (16, 24)])
def test_every_folding(
    weight_width: int, in_width: int, pe: int, model_cache: Path, tmp_path: Path
) -> None:
    """All SIMD of a 64 x 64 matrix, of the narrowest and of the widest numbers."""
    source = random.Random(pe)
    instances = [
        instance(
            64,
            64,
            pe,
            simd,
            in_lanes=source.choice(divisors(simd)),
            out_lanes=source.choice(divisors(pe)),
            in_width=in_width,
            signed=in_width > 1,
            weight_width=weight_width,
            chain=min(simd, source.randint(1, 8)),
        )
        for simd in divisors(64)
    ]
    run(model_cache, tmp_path, named(instances))


def test_flipped_bit_is_detected(model_cache: Path, tmp_path: Path) -> None:
    """Negative control: one bit of one weight flipped in the memory of one instance."""
    folder = build(model_cache, DEFAULT)
    write_memories(tmp_path, DEFAULT)
    index = 14
    path = tmp_path / str(DEFAULT[index].parameters["WEIGHT_FILE"])
    lines = path.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1 << 5:x}"
    path.write_text("\n".join(lines) + "\n")
    outcome = simulate(folder, DEFAULT, "matrix_vector_bench", tmp_path)
    assert {name.split("index=")[1] for name in outcome.failed} == {str(index)}
    assert all("outputs differ" in message for message in outcome.failed.values())
