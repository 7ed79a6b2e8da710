# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The engine's kernels under Verilator: coordinate_source, sample_sink, sample_packer, UART.

The scenarios are the cocotb tests of ``engine_bench``; here are the parameter sets.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from simulate import Bits, Instance, build, simulate

BENCHES = [Path(__file__).with_name("engine_kernels.sv")]
SCENARIOS = 3


def packed(values: list[int], width: int) -> Bits:
    mask = (1 << width) - 1
    return Bits(
        width * len(values), sum((value & mask) << (width * i) for i, value in enumerate(values))
    )


def source(sizes, starts, steps, *, lanes=1, width=8, index=16) -> Instance:
    parameters = {
        "AXES": len(sizes),
        "LANES": lanes,
        "WIDTH": width,
        "INDEX_WIDTH": index,
        "LASTS": packed([size - 1 for size in sizes], index),
        "STARTS": packed(starts, width),
        "STEPS": packed(steps, width),
    }
    described = {"kind": "source", "sizes": sizes, "starts": starts, "steps": steps, "latency": 1}
    return Instance("source_bench", parameters, 1, lanes * width, described)


def sink(
    scales, biases, shift, *, lanes=1, width=16, signed=True, out=8, out_signed=False, late=None
) -> Instance:
    """Narrow where the samples are signed; ``late``: corrected, by channel and sample."""
    scale_width, bias_width = 28, 60
    high = (1 << (out - out_signed)) - 1
    bounds = [-(1 << (width - 1)), (1 << (width - 1)) - 1] if signed else [0, (1 << width) - 1]
    parameters = {
        "CHANNELS": len(scales),
        "LANES": lanes,
        "IN_WIDTH": width,
        "IN_SIGNED": int(signed),
        "SCALE_WIDTH": scale_width,
        "BIAS_WIDTH": bias_width,
        "SCALES": packed(scales, scale_width),
        "BIASES": packed(biases, bias_width),
        "SHIFT": shift,
        "OUT_WIDTH": out,
        "OUT_SIGNED": int(out_signed),
        "NARROW": int(out_signed),
        "CORRECTED": int(late is not None),
        "FILE": f"late_{len(scales)}.mem",
    }
    described = {
        "kind": "sink",
        "scales": scales,
        "biases": biases,
        "bounds": bounds,
        "samples": [-high if out_signed else 0, high],
        # x, product in two, sum, sample; memory, difference
        "latency": 5 if late is None else 7,
        "late": late,
    }
    return Instance("sample_sink", parameters, lanes * width, lanes * out, described)


def packer(width, gather, line, lines) -> Instance:
    parameters = {"WIDTH": width, "GATHER": gather, "LINE": line, "LINES": lines}
    described = {"kind": "packer", "latency": gather}
    return Instance("packer_bench", parameters, width, gather * width + 2, described)


def uart(size, cycles, receiver_cycles=None) -> Instance:
    parameters = {
        "BYTES": size,
        "CYCLES": cycles,
        "RECEIVER_CYCLES": receiver_cycles or cycles,
    }
    return Instance("uart_bench", parameters, 8 * size, 8, {"kind": "uart"})


def server(size, cycles, packet) -> Instance:
    parameters = {"BYTES": size, "CYCLES": cycles, "PACKET": packet}
    return Instance("server_bench", parameters, 8 * size, 8, {"kind": "server"})


#: By the bits of a sample of 4 bits, 0 to 3; none for the lowest sample.
LATE = [[(k * k + 2 * k + c) % 4 * (k not in (0, 8)) for k in range(16)] for c in range(4)]
INSTANCES = [
    source([4, 6], [-2, -3], [1, 1]),
    source([4, 6], [-2, -3], [1, 1], lanes=2),
    source([9], [-8], [2], width=5, index=20),
    source([2, 1, 3], [5, -1, 100], [-3, 0, 7], lanes=3, width=9),
    source([2, 3, 2, 2], [0, 0, 0, 0], [1, 1, 1, 1], lanes=2, index=2),
    sink([510, 255, 510], [27264602, 32156777, 40070192], 18, width=24),
    sink([510, 255, -510], [27264602, 32156777, -40070], 18, width=24, lanes=3),
    sink([268427265 >> 1], [33550337], 25, width=20, out=16, out_signed=True),
    sink([7, 0], [-3, 1000], 2, width=9, signed=False),
    sink([3], [-2], 3, width=7, out=4, late=LATE[:1]),
    sink([1, 3, 4, 2], [-2, 9, 0, 1], 2, width=6, out=4, lanes=2, late=LATE),
    sink([1, 3], [-2, 9], 3, width=7, out=4, out_signed=True, late=LATE[:2]),
    packer(8, 1, 5, 1),
    packer(8, 3, 4, 3),
    packer(24, 1, 1, 2),
    packer(16, 2, 3, 1),
    uart(1, 4),
    uart(3, 9),
    uart(1, 25, 26),
    uart(1, 25, 24),
    server(1, 4, 7),
    server(3, 6, 1),
]


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """With the memories of the corrections."""
    for rows in (LATE[:1], LATE[:2], LATE):
        text = "".join(f"{count}\n" for row in rows for count in row)
        (tmp_path / f"late_{len(rows)}.mem").write_text(text)
    return tmp_path


def test_kernels(model_cache: Path, work_dir: Path) -> None:
    outcome = simulate(build(model_cache, INSTANCES, BENCHES), INSTANCES, "engine_bench", work_dir)
    assert outcome.failed == {}
    assert len(outcome.passed) == SCENARIOS * len(INSTANCES)


#: What the bench is told of an instance of INSTANCES, and the kernel is not.
WRONG = {
    0: {"starts": [-2, -4]},
    5: {"biases": [27264602 + (1 << 17), 32156777, 40070192]},
    6: {"samples": [0, 254]},
    9: {"late": [[3 - count for count in LATE[0]]]},
    12: {"LINE": 6},
}


def test_wrong_words_are_noticed(model_cache: Path, work_dir: Path) -> None:
    """Negative control: these instances fail, and no others."""
    folder = build(model_cache, INSTANCES, BENCHES)
    told = [
        replace(one, bench={**one.bench, **WRONG.get(index, {})})
        for index, one in enumerate(INSTANCES)
    ]
    failed = simulate(folder, told, "engine_bench", work_dir).failed
    assert len(failed) == SCENARIOS * len(WRONG)
    assert {int(re.search(r"index=(\d+)", name)[1]) for name in failed} == set(WRONG)


def test_a_line_of_another_rate_is_noticed(model_cache: Path, tmp_path: Path) -> None:
    """Negative control: a tenth off, the last bits are read from their neighbors."""
    instances = [uart(1, 25, 28)]
    folder = build(model_cache, instances, BENCHES)
    assert simulate(folder, instances, "engine_bench", tmp_path).failed
