# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What is proved of which kernel."""

from dataclasses import replace

import numpy as np
from engine import Case, finn_mvau_sources

from dhq_brevitas.finn_flow.ops.matrix_vector import memory_lines, stored_bits

# A table of 8 entries as $readmemh and as a parameter; odd, and a sine's quarter wave.
ODD = (1, 3, 2, 7, 9, 14, 13, 15)
QUARTER = (2, 5, 5, 2, 14, 11, 11, 14)


def vector(values: tuple[int, ...], width: int) -> str:
    """A packed parameter, element 0 in the low bits."""
    total = sum(value << (i * width) for i, value in enumerate(values))
    return f"{len(values) * width}'h{total:x}"


def lookup(table: tuple[int, ...], fold: int, **parameters: int | str) -> Case:
    """lookup_activation with 3 bit codes in a table of 4 bit entries."""
    memories = {"table.mem": table[: len(table) >> fold]}
    if parameters.get("HAS_SCALE"):
        parameters["SCALES"] = vector((3, 2, 1), 2)  # -1, -2, 1
        memories["scale.mem"] = (3, 2, 1)
    if parameters.get("HAS_BIAS"):
        parameters["BIASES"] = vector((1, 2, 3), 2)
        memories["bias.mem"] = (1, 2, 3)
    geometry = {"TABLE_BITS": 3, "OUT_WIDTH": 4, "FOLD": fold, "TABLE": vector(table, 4)}
    return Case("lookup_activation", {**geometry, **parameters}, memories)


def product(
    weights: list[list[int]], pe: int, simd: int, *, chain: int = 1, **options: int | None
) -> Case:
    """matrix_vector on 2 bit inputs, with the memory that a build writes."""
    matrix, cycles = np.array(weights), options.pop("cycles", None)
    rows, columns = matrix.shape
    bits, x_bits = stored_bits(matrix), options.get("IN_WIDTH", 2)
    codes = (matrix < 0).astype(int) if bits == 1 else matrix & ((1 << bits) - 1)
    geometry = {"MW": columns, "MH": rows, "PE": pe, "SIMD": simd, "CHAIN": chain}
    geometry |= {"WEIGHT_WIDTH": bits, "W": vector(tuple(map(int, codes.ravel())), bits)}
    geometry["ACC_WIDTH"] = (int(np.abs(matrix).sum(1).max()) << x_bits).bit_length() + 1
    lines = memory_lines(matrix, pe, simd, chain).split()
    memories = {"weights.mem": [int(line, 16) for line in lines]}
    return Case("matrix_vector", {**geometry, **options}, memories, cycles=cycles)


MEMORIES = {"table.mem": (3, 9, 15, 4)}
SCALES = {"SCALES": "18'o267135", "TABLE": "16'h4f93"}
PER_CHANNEL = Case("lookup_memory", SCALES, {**MEMORIES, "scale.mem": (0o35, 0o71, 0o26)})
PER_TENSOR = Case(
    "lookup_memory", {**SCALES, "PER_CHANNEL": 0, "BLOCK": 1}, {**MEMORIES, "scale.mem": (5,)}
)
REGISTER, SKID = Case("stream_register"), Case("stream_register", {"SKID": 1})
CONTROL = Case("pipeline_control", {"STAGES": 3})
DELAY, BLOCK_DELAY = Case("delay", {"DEPTH": 4}), Case("delay", {"DEPTH": 4, "BLOCK": 1})
SEQUENCER = Case("sign_sequencer", {"ROWS": "6'b011010"})
LANES = Case(
    "lane_stage",
    {"SIMD": 4, "DISTANCE": 2, "WORDS": 2, "BLOCKS": 3, "SWAPS": "6'b011010", "WIDTH": 1},
)
WORDS = Case("word_stage", {"DEPTH": 2})
SIGNED_WORDS = Case("word_stage", {"DEPTH": 2, "BLOCKS": 2, "SWAPS": "4'b0110"})
REQUANTIZER = Case(
    "requantizer",
    {"SHIFT": 2, "OUT_WIDTH": 3, "NARROW": 1, "NEGATE": "3'b101", "BLOCKS": 3, "WORDS": 2},
)
SMALLEST = Case("transform", {"N": 2, "CAPACITY": 3, "LATENCY": 2})
# The signs are a row of -H: one sum needs one bit more.
NEGATED_ROW = Case(
    "transform", {"N": 2, "SIGNS": "2'b11", "OUT_WIDTH": 4, "CAPACITY": 4, "LATENCY": 3}
)
AFFINE = Case("lookup_affine")
UNSIGNED_AFFINE = Case("lookup_affine", {"HAS_BIAS": 0, "IN_SIGNED": 0})
CLIPPED = Case("lookup_address", {"WRAP": 0, "OFFSET": -3, "FOLD": 2})
# The queue behind FINN's MVAU, by the assertion in FINN's file, too.
MVAU, MVAU_3 = (
    Case(
        "finn_mvau",
        {"SIMD": simd, "CAPACITY": 14},
        cycles=cycles,
        handshake=True,
        sources=finn_mvau_sources,
    )
    for simd, cycles in ((2, None), (3, 24))
)
LOOKUP = lookup(ODD, 1, HAS_BIAS=1, FOLDS=3, STAGES=5)
ADD = Case("stream_add", {"A_FACTOR": 3, "B_FACTOR": -2, "OUT_WIDTH": 5, "STAGES": 2})
MULTIPLY = Case("stream_multiply")
FORK = Case("stream_fork", {"OUTPUTS": 3})
CONCAT = Case("stream_concat")
GRID = Case(
    "coordinate_source",
    {"AXES": 3, "LASTS": "48'h000200000001", "STARTS": "9'o357", "STEPS": "9'o431"},
)
BY_CHANNEL = {"WORDS": 3, "SCALES": vector((1, 2, 3), 2), "BIASES": vector((1, 6, 3), 3)}
SINK = Case("sample_sink", BY_CHANNEL)
# Of the samples 0 to 3 of each channel.
LATE = (0, 1, 0, 2, 0, 3, 1, 0, 0, 0, 1, 2)
CORRECTED = Case(
    "sample_sink",
    {
        **{"WORDS": 3, "SCALE_WIDTH": 3, "SCALES": vector((1, 2, 3), 3)},
        **{"BIASES": vector((1, 6, 3), 3), "CORRECTED": 1, "STAGES": 6, "LATE": vector(LATE, 2)},
    },
    {"late.mem": (*LATE, 0, 0, 0, 0)},
)
PACKER = Case("sample_packer")
LINES = Case("matrix_vector_memory", {"LINES": "12'h3a5"}, {"weights.mem": (5, 10, 3)})
MULTIPLIER = Case("matrix_vector_multiplier")
SIGN = Case("matrix_vector_multiplier", {"SIGNS": 1, "WIDE": 1})
BUFFER = Case("matrix_vector_buffer")
# Vectors of words that are no power of two begin anywhere.
UNALIGNED = Case("matrix_vector_buffer", {"LANES": 1, "WORDS": 3, "CHAIN": 1})
ONE = product([[-3]], 1, 1, IN_WIDTH=1)
SQUARE = product([[1, -4], [3, 2]], 1, 1, cycles=20)
STREAM = product([[1, -4], [3, 2]], 2, 1, OUT_LANES=2, FULL_RATE=1, cycles=20)
CHAINED = product([[1, -4, 2, 3], [3, 2, -1, -3]], 1, 2, chain=2, IN_WIDTH=1, cycles=22)
TREE = product([[1, -4, 2, 3], [3, 2, -1, -3]], 1, 4, chain=2, IN_WIDTH=1, cycles=22)
SIGNS = product([[1, -1, 1, 1], [-1, -1, 1, -1]], 2, 2, chain=2, IN_WIDTH=1, cycles=22)
TERNARY = product([[1, 0, -1, 0], [-1, 1, 0, 1]], 2, 2, IN_SIGNED=0, IN_LANES=2, cycles=20)
TRANSMITTER, RECEIVER = Case("uart_transmitter"), Case("uart_receiver")
SERVER = Case("uart_server")

FAST = (REGISTER, SKID, CONTROL, DELAY, SEQUENCER, WORDS, SMALLEST, CLIPPED, PER_CHANNEL)
FAST += (ADD, FORK, CONCAT, GRID, PACKER)
CASES = (
    *FAST,
    Case("pipeline_control", {"STAGES": 1}),
    Case("pipeline_control", {"STAGES": 8, "WIDTH": 1}),
    BLOCK_DELAY,
    Case("delay", {"DEPTH": 1}),
    Case("delay", {"DEPTH": 16}),
    Case("delay", {"DEPTH": 16, "BLOCK": 1}),
    Case("sign_sequencer", {"PERIOD": 1, "WORDS": 3, "LANES": 2, "ROWS": "6'b011011"}),
    Case("sign_sequencer", {"PERIOD": 4, "WORDS": 4, "BLOCKS": 1, "ROWS": "4'b0100"}),
    Case("lane_stage"),
    LANES,
    Case("lane_stage", {**LANES.parameters, "SKID": 1}),
    Case("word_stage", {"DEPTH": 1}),
    SIGNED_WORDS,
    Case("word_stage", {"DEPTH": 1, "SIMD": 2, "WORDS": 4, "BLOCKS": 3, "SWAPS": "6'b011010"}),
    Case("word_stage", {"DEPTH": 2, "SKID": 1}),
    Case("word_stage", {"DEPTH": 4}),
    Case("word_stage", {"DEPTH": 4, "BLOCK_RAM": 1}),
    REQUANTIZER,
    Case("requantizer", {"SHIFT": 1, "OUT_WIDTH": 5}),
    Case("requantizer", {"WIDTH": 4, "OUT_WIDTH": 4, "NARROW": 1, "SIMD": 2}),
    Case("requantizer", {"NEGATE": "2'b10", "BLOCKS": 2, "OUT_WIDTH": 7}),
    NEGATED_ROW,
    Case("transform", {"N": 2, "SIMD": 2, "CAPACITY": 1, "LATENCY": 1}),
    Case("transform", {"N": 4, "SIMD": 1, "IN_WIDTH": 1, "CAPACITY": 8, "LATENCY": 5}),
    Case("transform", {"N": 4, "SIMD": 2, "IN_WIDTH": 1, "CAPACITY": 4, "LATENCY": 3}),
    Case("transform", {"N": 4, "SIMD": 4, "IN_WIDTH": 1, "CAPACITY": 2, "LATENCY": 2}),
    Case(
        "transform",
        {
            **{"N": 4, "SIMD": 2, "IN_WIDTH": 1, "SIGNS": "8'b10010110", "BLOCKS": 2},
            **{"SHIFT": 1, "OUT_WIDTH": 2, "NARROW": 1, "CAPACITY": 7, "LATENCY": 6},
        },
        cycles=12,
    ),
    Case("transform", {"N": 8, "SIMD": 4, "IN_WIDTH": 1, "CAPACITY": 5, "LATENCY": 4}, cycles=9),
    Case(
        "transform",
        {"N": 16, "SIMD": 2, "IN_WIDTH": 1, "CAPACITY": 18, "LATENCY": 11},
        handshake=True,
    ),
    AFFINE,
    UNSIGNED_AFFINE,
    Case("lookup_affine", {"HAS_SCALE": 0, "SCALE_SHIFT": 2}),
    Case("lookup_affine", {"HAS_SCALE": 0, "HAS_BIAS": 0}),
    Case("lookup_address"),
    Case("lookup_address", {"FOLD": 1}),
    Case("lookup_address", {"WRAP": 0, "OFFSET": 20}),
    PER_TENSOR,
    LOOKUP,
    lookup(QUARTER, 2),
    replace(lookup(ODD, 0, HAS_SCALE=1, HAS_BIAS=1, FOLDS=3, SHIFT=1, STAGES=6), cycles=14),
    lookup(ODD, 1, WRAP=0, OFFSET=-2, PE=2, STAGES=5),
    lookup(ODD, 1, HAS_SCALE=1, HAS_BIAS=1, PE=3, SHIFT=1, DIRECT=1, STAGES=3),
    lookup(ODD, 0, HAS_BIAS=1, PE=3, WRAP=0, OFFSET=-2, DIRECT=1, STAGES=2),
    MVAU,
    MVAU_3,
    Case("stream_add"),
    Case("stream_add", {"PE": 2, "B_FACTOR": -4}),
    MULTIPLY,
    Case("stream_multiply", {"PE": 2, "A_WIDTH": 2}),
    Case("stream_multiply", {"OUT_WIDTH": 3}),
    Case("stream_fork"),
    CONCAT,
    Case("stream_concat", {"INPUTS": 3, "BEATS": "48'h000100030001"}),
    Case("coordinate_source", {"LANES": 2}),
    Case(
        "coordinate_source",
        {
            **{"AXES": 4, "LANES": 2, "LASTS": "64'h0001000100000001"},
            **{"STARTS": "12'o3571", "STEPS": "12'o4312"},
        },
    ),
    Case(
        "sample_sink",
        {
            **{"LANES": 2, "SCALES": vector((1, 3), 2), "BIASES": vector((7, 3), 3)},
            **{"OUT_SIGNED": 1, "NARROW": 1},
        },
    ),
    SINK,
    Case("sample_sink", {"IN_SIGNED": 0, "OUT_SIGNED": 1}),
    CORRECTED,
    Case("sample_packer", {"GATHER": 1}),
    Case("sample_packer", {"GATHER": 3, "LINE": 1, "WIDTH": 1}),
    LINES,
    replace(LINES, parameters={**LINES.parameters, "BLOCK": 0}),
    MULTIPLIER,
    Case("matrix_vector_multiplier", {"FIRST": 1}),
    SIGN,
    Case("matrix_vector_multiplier", {"SIGNS": 1, "WIDE": 2}),
    BUFFER,
    Case("matrix_vector_buffer", {"WORDS": 1, "DEPTH": 2, "PASSES": 1}),
    Case("matrix_vector_buffer", {"LANES": 3, "IN_LANES": 3, "PASSES": 1}),
    UNALIGNED,
    ONE,
    SQUARE,
    STREAM,
    product([[1, -4], [3, 2]], 2, 2, chain=2, IN_LANES=2, OUT_LANES=2, cycles=18),
    product([[1, -4, 2]], 1, 1, IN_SIGNED=0, IN_WIDTH=1, cycles=20),
    CHAINED,
    TREE,
    SIGNS,
    TERNARY,
    TRANSMITTER,
    Case("uart_transmitter", {"BYTES": 2, "CYCLES": 3}, cycles=130),
    RECEIVER,
    Case("uart_receiver", {"CYCLES": 5}, cycles=64),
    SERVER,
)
