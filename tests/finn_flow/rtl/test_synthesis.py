# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The kernels in Yosys for UltraScale+: no error, no latch, the resources the headers promise."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from simulate import rtl_sources

from dhq_brevitas.finn_flow.ops.adder_graph import adder_graph

pytest.importorskip("pyosys", reason="pip install pyosys")

SCRIPT = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1].split(";"):
    libyosys.run_pass(command, design)
"""


def yosys(commands: str, work_dir: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, commands],
        cwd=work_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def read(module: str, parameters: str) -> str:
    sources = " ".join(str(p) for p in rtl_sources() if "monitor" not in p.name)
    options = " ".join(f"-G {p}" for p in parameters.split())
    return f"read_slang --threads 1 -DSYNTHESIS --top {module} {options} {sources}"


XCUP = "synth_xilinx -family xcup -flatten -noiopad -noclkbuf"


def synthesize(
    module: str, parameters: str, work_dir: Path, synthesis: str = XCUP
) -> dict[str, int]:
    """Cells by type; fails as :func:`cells_of` does."""
    return cells_of(f"{read(module, parameters)};{synthesis}", work_dir)


def cells_of(commands: str, work_dir: Path) -> dict[str, int]:
    """Cells by type; fails on a latch or on a problem that Yosys's ``check`` reports."""
    status, log = yosys(f"{commands};check -assert;stat", work_dir)
    assert status == 0, log[-3000:]
    cells = {name: int(n) for n, name in re.findall(r"^ +(\d+) +([A-Z]\w+)$", log, re.MULTILINE)}
    assert "FDRE" in cells or "TRELLIS_FF" in cells, log[-3000:]
    assert not any(name.startswith("LD") or "DLATCH" in name for name in cells)
    return cells


def luts(cells: dict[str, int]) -> int:
    """LUTs of logic; RAM32M16 and RAM64M8 take eight each beside them."""
    return sum(n for name, n in cells.items() if re.fullmatch(r"LUT\d|INV", name))


@pytest.mark.parametrize(
    ("order", "lanes"),
    [(256, 1), pytest.param(256, 8, marks=pytest.mark.exhaustive), (16, 16)],
)
def test_adders_at_the_bound(order: int, lanes: int, tmp_path: Path) -> None:
    """One carry chain per lane and stage, SIMD·log2 N in all; beyond them only index counters."""
    cells = synthesize("hadamard_transform", f"N={order} SIMD={lanes} IN_WIDTH=8", tmp_path)
    stages = order.bit_length() - 1
    widths = [8 + stage + 1 for stage in range(stages)]
    adders = lanes * sum(-(-width // 4) for width in widths)
    counters = 2 * sum(-(-k // 4) for k in range((order // lanes).bit_length()))
    assert adders <= cells["CARRY4"] <= adders + counters
    assert not any(name.startswith("DSP") for name in cells)
    # An adder bit is a LUT; control and memory multiplexers are small beside it.
    assert luts(cells) <= 1.1 * lanes * sum(widths) + 24 * stages


@pytest.mark.exhaustive
def test_signs_cost_no_adder(tmp_path: Path) -> None:
    plain = synthesize("hadamard_transform", "N=16 SIMD=4", tmp_path)
    signed = synthesize("hadamard_transform", "N=16 SIMD=4 SIGNS=16'h9d3c", tmp_path)
    assert signed["CARRY4"] <= plain["CARRY4"] + 4  # word counters of the sign tables


@pytest.mark.exhaustive
def test_delays_by_depth(tmp_path: Path) -> None:
    """N 1024, one lane: 512 and 256 words in block RAM, 128 to 2 in LUTRAM, 1 in registers."""
    cells = synthesize("hadamard_transform", "N=1024 SIMD=1", tmp_path)
    assert cells["RAMB18E2"] == 4
    assert cells["RAM32M16"] + cells["RAM64M8"] > 0
    none = synthesize("hadamard_transform", 'N=512 SIMD=1 RAM_STYLE="distributed"', tmp_path)
    assert "RAMB18E2" not in none


def write_sine(work_dir: Path, bits: int, fold: int) -> None:
    table = np.rint(127 * np.sin(2 * np.pi * (np.arange(1 << bits) + 0.5) / (1 << bits)))
    stored = table.astype(int)[: 1 << (bits - fold)]
    (work_dir / "table.mem").write_text("".join(f"{v & 255:x}\n" for v in stored))


def test_two_lanes_share_a_block_ram(tmp_path: Path) -> None:
    write_sine(tmp_path, 11, 0)
    cells = synthesize(
        "lookup_activation", "CHANNELS=4 PE=4 TABLE_BITS=11 IN_WIDTH=18 SHIFT=4", tmp_path
    )
    assert cells["RAMB18E2"] == 2


def test_folding_saves(tmp_path: Path) -> None:
    counts = []
    for fold in (0, 2):
        write_sine(tmp_path, 9, fold)
        cells = synthesize("lookup_activation", f"TABLE_BITS=9 FOLD={fold}", tmp_path)
        assert not any(name.startswith("RAMB") for name in cells)
        counts.append(luts(cells))
    assert counts[1] < counts[0] / 2


def test_multiplier_is_a_dsp(tmp_path: Path) -> None:
    write_sine(tmp_path, 8, 0)
    rows = np.random.default_rng(1).integers(0, 1 << 32, 64)
    for name in ("scale.mem", "bias.mem"):
        (tmp_path / name).write_text("".join(f"{v:x}\n" for v in rows))
    cells = synthesize(
        "lookup_activation",
        "CHANNELS=128 PE=2 IN_WIDTH=18 SHIFT=16 HAS_SCALE=1 SCALE_PER_CHANNEL=1 HAS_BIAS=1"
        " BIAS_PER_CHANNEL=1",
        tmp_path,
    )
    assert cells["DSP48E2"] == 2


@pytest.mark.parametrize(
    ("synthesis", "multiplier", "memory"),
    [
        (XCUP, "DSP48E2", "RAMB18E2"),
        (XCUP.replace("xcup", "xc7"), "DSP48E1", "RAMB18E1"),
        ("synth_ecp5", "MULT18X18D", "DP16KD"),
    ],
    ids=["xcup", "xc7", "ecp5"],
)
def test_matrix_vector_as_logic(
    synthesis: str, multiplier: str, memory: str, tmp_path: Path
) -> None:
    """Without slices to instantiate: a multiplier a product on every device, weights in memory."""
    lines = np.random.default_rng(1).integers(0, 1 << 32, 64)
    (tmp_path / "weights.mem").write_text("".join(f"{line:x}\n" for line in lines))
    parameters = "MW=16 MH=16 PE=2 SIMD=2"
    cells = synthesize("matrix_vector", parameters, tmp_path, synthesis)
    assert cells[multiplier] == 4
    assert cells[memory] == 1


def test_signs_need_no_multiplier(tmp_path: Path) -> None:
    """±1: an adder bit a LUT, nothing else for a product."""
    lines = np.random.default_rng(1).integers(0, 16, 64)
    (tmp_path / "weights.mem").write_text("".join(f"{line:x}\n" for line in lines))
    parameters = 'MW=16 MH=16 PE=2 SIMD=2 WEIGHT_WIDTH=1 ACC_WIDTH=12 STYLE="distributed"'
    cells = synthesize("matrix_vector", parameters, tmp_path)
    assert not any(name.startswith(("DSP", "RAMB")) for name in cells)
    assert luts(cells) <= 4 * 10 + 160


@pytest.mark.parametrize("synthesis", [XCUP, "synth_ecp5"])
def test_adder_graph(synthesis: str, tmp_path: Path) -> None:
    """Neither latch nor multiplier; for UltraScale+ the estimates hold within 15 %."""
    pytest.importorskip("da4ml", reason="pip install 'dhq-brevitas[adders]'")
    from test_adder_graph import instances, matrix

    from dhq_brevitas.finn_flow.ops.adder_graph_rtl import INSTANTIATED
    from dhq_brevitas.finn_flow.ops.channelwise_rtl import kernel_sources

    weights, in_row = matrix(9, 6, 4, 6), 3
    _, (path,) = instances(tmp_path, [(weights, "INT6", in_row)])
    kernels = [str(p) for name in INSTANTIATED for p in kernel_sources(name)]
    sources = " ".join(name for name in [*kernels, str(path)] if "monitor" not in name)
    options = "--threads 1 -DSYNTHESIS --top graph_0"
    cells = cells_of(f"read_slang {options} {sources};{synthesis}", tmp_path)
    assert not any(name.startswith(("DSP", "MULT", "RAMB", "DP16")) for name in cells)
    if synthesis == XCUP:
        graph = adder_graph(weights, DataType["INT6"], in_row)
        assert luts(cells) == pytest.approx(graph.lut, rel=0.15)
        assert cells["FDRE"] == pytest.approx(graph.ff, rel=0.15)


def test_bad_parameters_are_refused(tmp_path: Path) -> None:
    status, log = yosys(read("hadamard_transform", "N=12 SIMD=4"), tmp_path)
    assert status != 0
    assert "N=12 must be a power of two" in log


@pytest.mark.exhaustive
def test_joints_cost_what_their_headers_say(tmp_path: Path) -> None:
    """No data register in a fork and a concatenation, one in a sum, a DSP in a product."""
    fork = synthesize("stream_fork", "OUTPUTS=3 WIDTH=64", tmp_path)
    assert (fork["FDRE"], luts(fork) <= 12) == (3, True)
    concat = synthesize("stream_concat", "INPUTS=3 WIDTH=16 BEATS=48'h000200080003", tmp_path)
    assert concat["FDRE"] + concat.get("FDSE", 0) == 3 + 3
    assert luts(concat) <= 2 * 16 + 24
    total = synthesize("stream_add", "PE=2 A_FACTOR=4 OUT_WIDTH=11", tmp_path)
    assert total["FDRE"] == 2 * 11 + 1
    product = synthesize("stream_multiply", "PE=3 A_WIDTH=8 B_WIDTH=12", tmp_path)
    assert product["DSP48E2"] == 3
    assert luts(product) <= 12
