# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Every module is free of Verilator warnings as top, and refuses parameters outside its range."""

import re
import subprocess

import pytest
from simulate import rtl_sources, verilator

MODULES = {
    "coordinate_source": [
        "",
        "AXES=3 LANES=3 LASTS=48'h000500040003 STARTS=24'hfefeff STEPS=24'h010101",
        "AXES=1 INDEX_WIDTH=19 LASTS=19'd440999 WIDTH=19 STARTS=19'd0 STEPS=19'd2",
        "AXES=4 LANES=2 LASTS=64'h2000300040005 STARTS=32'd0 STEPS=32'd0",
    ],
    "dhq_pipeline_control": ["", "STAGES=1"],
    "dhq_stream_monitor": ["", "WIDTH=1 HELD=4 LATENCY=9"],
    "dhq_stream_register": ["", "SKID=1", "WIDTH=1"],
    "hadamard_delay": ["", "DEPTH=1", "DEPTH=512", 'DEPTH=4 RAM_STYLE="block"'],
    "hadamard_lane_stage": ["", "SIMD=8 DISTANCE=4 SWAPS=4'h5", "SKID=1 WIDTH=1"],
    "hadamard_requantizer": [
        "",
        "SHIFT=4 OUT_WIDTH=8 SIMD=3",
        "SHIFT=15 OUT_WIDTH=2 NARROW=1",
        "NEGATE=1",
        "BLOCKS=3 NEGATE=3'h2 SHIFT=1 OUT_WIDTH=4 WORDS=4",
        "OUT_WIDTH=32",
    ],
    "hadamard_sign_sequencer": [
        "",
        "PERIOD=4096 WORDS=4096 BLOCKS=5",
        "LANES=2 PERIOD=4 WORDS=8 BLOCKS=3 ROWS=24'h123456",
    ],
    "hadamard_transform": [
        "",
        "N=2 SIMD=1",
        "N=2 SIMD=2 IN_WIDTH=1",
        "N=4 SIMD=2 CHANNELS=12 SIGNS=12'h123",
        "N=64 SIMD=8 SHIFT=3 OUT_WIDTH=8 NARROW=1",
        "N=512 SIMD=512",
        "N=4096 SIMD=1 IN_WIDTH=24",
        "N=16 SIMD=4 SIGNS=16'hffff OUT_WIDTH=13",
        'N=32 SIMD=2 RAM_STYLE="block"',
        "N=4096 SIMD=512 CHANNELS=12288 SIGNS=12288'h5",
        "N=4096 SIMD=512 CHANNELS=12288",
    ],
    "hadamard_word_stage": ["", "SIMD=4 DEPTH=8 WORDS=16 SWAPS=32'h1234 SKID=1", "DEPTH=512"],
    "lookup_activation": [
        "",
        "HAS_SCALE=1 SCALE_WIDTH=4 SCALE=4'd9",
        "HAS_BIAS=1 WRAP=0 OFFSET=-128",
        "HAS_SCALE=1 HAS_BIAS=1 CHANNELS=12 PE=3 SCALE_PER_CHANNEL=1 BIAS_PER_CHANNEL=1"
        " BIAS_WIDTH=60 IN_WIDTH=30 SHIFT=20",
        "FOLD=2 IN_SIGNED=0",
        "FOLD=1 TABLE_BITS=2 WRAP=0 IN_WIDTH=1 OUT_WIDTH=1 SHIFT=7 SCALE_SHIFT=3",
        "IN_WIDTH=3 TABLE_BITS=16",
        "WRAP=0 SHIFT=60 IN_WIDTH=4",
        "DIRECT=1",
        "DIRECT=1 HAS_BIAS=1 BIAS_WIDTH=40 HAS_SCALE=1 SCALE_WIDTH=30 TABLE_BITS=2",
        "DIRECT=1 CHANNELS=3 PE=3 HAS_SCALE=1 SCALE_WIDTH=3 SCALES=9'o124 HAS_BIAS=1 WRAP=0 FOLD=1",
    ],
    "lookup_address": [
        "",
        "DIRECT=1 WRAP=0",
        "WRAP=0 OFFSET=-5",
        "FOLD=1",
        "FOLD=2 WRAP=0",
        "WIDTH=2",
    ],
    "lookup_affine": ["", "HAS_SCALE=0", "HAS_SCALE=0 HAS_BIAS=0", "IN_SIGNED=0 WIDTH=5"],
    "lookup_parameter": ["", "PER_CHANNEL=0", "LANES=3 FOLDS=1"],
    "stream_add": [
        "",
        "A_FACTOR=4 B_FACTOR=-1 OUT_WIDTH=12",
        "PE=3 A_WIDTH=1 B_WIDTH=20 A_FACTOR=853 B_FACTOR=1731 OUT_WIDTH=33",
        "OUT_WIDTH=64 A_WIDTH=64 B_WIDTH=64",
        "A_FACTOR=16777216 OUT_WIDTH=40",
        "OUT_WIDTH=4",
    ],
    "stream_concat": ["", "INPUTS=3 BEATS=48'h000100400003 WIDTH=1", "BEATS=32'hffff0001"],
    "stream_fork": ["", "OUTPUTS=5 WIDTH=1"],
    "stream_multiply": ["", "PE=2 A_WIDTH=1 B_WIDTH=1", "A_WIDTH=32 B_WIDTH=24", "OUT_WIDTH=9"],
    "sample_packer": ["", "GATHER=3 LINE=5 LINES=4", "WIDTH=16 LINE=1"],
    "sample_sink": [
        "",
        "LANES=3",
        "CHANNELS=1 OUT_WIDTH=16 OUT_SIGNED=1 NARROW=1 SCALES=12'd5 BIASES=24'd3",
        "IN_SIGNED=0 IN_WIDTH=24 SHIFT=30 SCALE_WIDTH=20 SCALES=60'd7",
        "CORRECTED=1",
        "CORRECTED=1 CHANNELS=1 SCALES=12'd5 BIASES=24'd3",
        "CORRECTED=1 CHANNELS=4 LANES=2 SCALES=48'd5 BIASES=96'd3",
    ],
    "uart_receiver": ["", "CYCLES=27"],
    "uart_server": ["", "BYTES=3 CYCLES=20"],
    "uart_transmitter": ["", "BYTES=3 CYCLES=27"],
    "lookup_table": ["", "PORTS=1", 'STYLE="block"', "ADDRESS_BITS=12"],
    "matrix_vector": [
        "",
        "MW=1 MH=1 PE=1 SIMD=1 CHAIN=1 WEIGHT_WIDTH=1 IN_WIDTH=1 IN_SIGNED=0",
        "MW=4 MH=6 PE=3 CHAIN=1",
        "MW=8 MH=4 PE=4 SIMD=1 CHAIN=1 ACC_WIDTH=30 WEIGHT_WIDTH=2",
        "MW=2 MH=4 SIMD=2 OUT_LANES=4 IN_LANES=2",
        'MW=128 MH=128 PE=8 SIMD=16 CHAIN=8 PACK=2 DSP="DSP48E2" ACC_WIDTH=21',
        'MW=10 MH=5 PE=5 SIMD=10 CHAIN=3 PACK=2 DSP="DSP48E1" WEIGHT_WIDTH=5 OFFSET=16',
        'MW=10 MH=3 PE=3 SIMD=5 CHAIN=3 IN_WIDTH=24 WEIGHT_WIDTH=16 ACC_WIDTH=45 DSP="DSP48E2"',
    ],
    "matrix_vector_buffer": ["", "LANES=6 IN_LANES=3 WORDS=1 CHAIN=2", "IN_LANES=4"],
    "matrix_vector_memory": ["", "LINES=1", 'STYLE="distributed"'],
    "matrix_vector_multiplier": [
        "",
        "FIRST=0",
        "SIGNS=1 WIDE=2",
        "SIGNS=1 WIDE=1",
        'DSP="DSP48E2"',
    ],
}
# Parameters outside their range, and what the message says of them.
REFUSED = [
    ("coordinate_source", "AXES=3 LANES=2", "LANES=2 must divide AXES=3"),
    ("sample_sink", "LANES=2", "LANES=2 must divide CHANNELS=3"),
    ("sample_sink", "OUT_WIDTH=33", "OUT_WIDTH=33 must lie in 2 to 32"),
    ("sample_sink", "CORRECTED=1 OUT_WIDTH=17", "CORRECTED is for samples of at most 16 bits"),
    ("sample_packer", "GATHER=0", "GATHER=0, LINE=4 and LINES=1 must be positive"),
    ("uart_transmitter", "CYCLES=1", "BYTES=1 must be positive and CYCLES=1 at least 2"),
    ("uart_receiver", "CYCLES=3", "CYCLES=3 must be at least 4"),
    ("hadamard_transform", "N=12 SIMD=4", "N=12 must be a power of two from 2 to 4096"),
    ("hadamard_transform", "N=8192 SIMD=4", "N=8192 must be"),
    ("hadamard_transform", "N=8 SIMD=16", "SIMD=16 must be a power of two from 1 to N=8"),
    ("hadamard_transform", "IN_WIDTH=25", "IN_WIDTH=25 must lie in 1 to 24"),
    ("hadamard_transform", "CHANNELS=300", "CHANNELS=300 must be a positive multiple of N=256"),
    ("hadamard_transform", "SHIFT=16", "SHIFT=16 must be below IN_WIDTH + log2 N = 16"),
    ("hadamard_transform", "OUT_WIDTH=1", "OUT_WIDTH=1 must lie in 2 to 64"),
    ("hadamard_transform", 'RAM_STYLE="ultra"', "RAM_STYLE=ultra must be"),
    ("lookup_activation", "CHANNELS=6 PE=4", "PE=4 must divide CHANNELS=6"),
    ("lookup_activation", "IN_WIDTH=49", "IN_WIDTH=49 must lie in 1 to 48"),
    ("lookup_activation", "SCALE_WIDTH=49", "SCALE_WIDTH=49 must lie in 1 to 48"),
    ("lookup_activation", "HAS_SCALE=1 SCALE_SHIFT=2", "SCALE_SHIFT=2 must lie in 0 to 48"),
    ("lookup_activation", "BIAS_WIDTH=97", "BIAS_WIDTH=97 must lie in 1 to 96"),
    ("lookup_activation", "SHIFT=65", "SHIFT=65 must lie in 0 to 64"),
    ("lookup_activation", "OFFSET=3", "OFFSET=3 must be 0 with WRAP"),
    ("lookup_activation", "TABLE_BITS=17", "TABLE_BITS=17 must lie in 1 to 16"),
    ("lookup_activation", "FOLD=2 TABLE_BITS=2", "FOLD=2 must be 0, 1 or 2 and below TABLE_BITS=2"),
    ("lookup_activation", "OUT_WIDTH=33", "OUT_WIDTH=33 must lie in 1 to 32"),
    ("lookup_activation", "DIRECT=1 CHANNELS=2", "DIRECT is for CHANNELS=2 equal to PE=1"),
    ("lookup_activation", 'TABLE_STYLE="ultra"', "STYLE=ultra must be"),
    ("stream_add", "A_FACTOR=0", "A_FACTOR=0 and B_FACTOR=1 must not be 0"),
    ("stream_add", "B_WIDTH=65", "A_WIDTH=8, B_WIDTH=65 and OUT_WIDTH=9 lie in 1 to 64"),
    ("stream_concat", "BEATS=32'h20000", "each with a word: BEATS=20000"),
    ("stream_concat", "INPUTS=1", "INPUTS=1 must be at least 2"),
    ("stream_fork", "OUTPUTS=1", "OUTPUTS=1 must be at least 2"),
    ("stream_multiply", "A_WIDTH=33", "A_WIDTH=33 and B_WIDTH=8 lie in 1 to 32"),
    ("stream_multiply", "OUT_WIDTH=17", "OUT_WIDTH=17 must lie in 1 to A_WIDTH + B_WIDTH=16"),
    ("matrix_vector", "PE=3", "PE=3 must divide MH=8"),
    ("matrix_vector", "SIMD=3", "SIMD=3 must divide MW=8"),
    ("matrix_vector", "IN_LANES=3", "IN_LANES=3 must divide SIMD=2"),
    ("matrix_vector", "OUT_LANES=3", "OUT_LANES=3 must divide PE=4"),
    ("matrix_vector", "IN_WIDTH=25", "IN_WIDTH=25 must lie in 1 to 24"),
    ("matrix_vector", "WEIGHT_WIDTH=17", "WEIGHT_WIDTH=17 must lie in 1 to 16"),
    ("matrix_vector", "ACC_WIDTH=49", "ACC_WIDTH=49 must lie in 1 to 48"),
    ("matrix_vector", "CHAIN=3", "CHAIN=3 must lie in 1 to SIMD=2"),
    ("matrix_vector", 'DSP="DSP58"', "DSP=DSP58 must be empty, DSP48E1 or DSP48E2"),
    ("matrix_vector", "PACK=2", "PACK=2 weights of 8 bits, 18 bits apart, do not fit"),
    ("matrix_vector", 'PACK=2 DSP="DSP48E1"', "PACK=2 weights of 8 bits, 18 bits apart"),
    ("matrix_vector", 'STYLE="ultra"', "STYLE=ultra must be"),
]


def lint(module: str, parameters: str) -> tuple[int, str]:
    executable, environment = verilator()
    done = subprocess.run(
        [executable, "--lint-only", "-Wall", "-Werror-USERFATAL", "--quiet", "--top-module", module]
        + [f"-G{p}" for p in parameters.split()]
        + [str(p) for p in rtl_sources()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "parameters"), [(m, p) for m in MODULES for p in MODULES[m]])
def test_clean(module: str, parameters: str) -> None:
    status, messages = lint(module, parameters)
    assert status == 0, messages
    assert "%Warning" not in messages


@pytest.mark.parametrize(("module", "parameters", "message"), REFUSED)
def test_refused(module: str, parameters: str, message: str) -> None:
    status, messages = lint(module, parameters)
    assert status != 0
    assert message in messages


def hierarchical(text: str) -> list[str]:
    """References into other scopes, but for comments, strings and what is not synthesized."""
    code = re.sub(r'//[^\n]*|/\*.*?\*/|"[^"]*"', "", text, flags=re.DOTALL)
    code = re.sub(r"`ifndef SYNTHESIS.*?`endif", "", code, flags=re.DOTALL)
    return re.findall(r"\w+(?:\[[^]\n]*\])?\.[A-Za-z_]\w*", code)


def test_no_hierarchical_references() -> None:
    """Not all tools follow them; nor is the monitor instantiated where SYNTHESIS is defined."""
    assert hierarchical("assign a = g_stage[i-1].data; // b.c") == ["g_stage[i-1].data"]
    for path in rtl_sources():
        assert hierarchical(path.read_text()) == [], path.name


def test_every_module_is_linted() -> None:
    assert {p.stem for p in rtl_sources()} - {"dhq_rtl_pkg"} == set(MODULES)
