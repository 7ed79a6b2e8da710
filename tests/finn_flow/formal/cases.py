# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What is proved of which kernel, and the faults that each property must find."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
PER_TENSOR = Case("lookup_memory", {**SCALES, "PER_CHANNEL": 0, "BLOCK": 1}, MEMORIES)
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
# The least codes of the samples 0 to 3 of each channel, of 5 bits.
LEAST = (9, 9, 9, 9, 29, 0, 2, 9, 0, 1, 30, 9)
CORRECTED = Case(
    "sample_sink",
    {**BY_CHANNEL, "CORRECTED": 1, "STAGES": 6, "LEAST": vector(LEAST, 5)},
    {"thresholds.mem": (*LEAST, 0, 0, 0, 0)},
)
PACKER = Case("sample_packer")
LINES = Case("matrix_vector_memory", {"LINES": "12'h3a5"}, {"weights.mem": (5, 10, 3)})
MULTIPLIER = Case("matrix_vector_multiplier")
SIGN = Case("matrix_vector_multiplier", {"SIGNS": 1, "WIDE": 1})
BUFFER = Case("matrix_vector_buffer")
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
    Case("matrix_vector_buffer", {"LANES": 1, "WORDS": 3, "CHAIN": 1}),
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


@dataclass(frozen=True)
class Mutant:
    """A fault put into the copy of one file, which ``prop`` of ``case``, or any, must refute."""

    case: Case
    prop: str | None
    file: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.case.kernel} {self.prop or 'any'}: {self.before} -> {self.after}"

    def sources(self) -> Mapping[str, str]:
        """The case's texts with the fault; ValueError if the text is not there."""
        texts = self.case.sources()
        if self.before not in texts[self.file]:
            raise ValueError(f"{self.before!r} is not in {self.file}")
        return {**texts, self.file: texts[self.file].replace(self.before, self.after)}


_KEEP = "else if (load) m_valid <= s_valid;"
_EMPTY = "if (!rst_n) m_valid <= 1'b0;"
_ENABLE = "m_ready || (~valid >> i) != '0"
# The handshake of a kernel is that of its registers or of its control.
HANDSHAKE = {
    "dhq_stream_register.sv": (
        ("a_hold", _KEEP, "else m_valid <= s_valid;"),
        ("a_stable", "      if (load) m_data <= s_data;", "      m_data <= s_data;"),
        ("a_count", _EMPTY, _EMPTY.replace("1'b0", "1'b1")),
        ("a_capacity", "assign s_ready = load;", "assign s_ready = 1'b1;"),
        ("a_offer", _KEEP, _KEEP.replace("s_valid;", "s_valid && m_ready;")),
        ("a_ready", "assign s_ready = load;", "assign s_ready = !m_valid;"),
        ("a_value", "assign s_ready = load;", "assign s_ready = 1'b1;"),
    ),
    "dhq_pipeline_control.sv": (
        ("a_hold", " | (~enable & valid)", ""),
        ("a_stable", _ENABLE, _ENABLE + " || i + 1 == STAGES"),
        ("a_count", "valid <= '0;", "valid <= '1;"),
        ("a_capacity", "assign s_ready = enable[0];", "assign s_ready = 1'b1;"),
        ("a_offer", _ENABLE, "m_ready"),
        ("a_ready", _ENABLE, "(~valid >> i) != '0"),
        ("a_value", "assign s_ready = enable[0];", "assign s_ready = 1'b1;"),
    ),
}
BY_REGISTER = (REGISTER, LANES, WORDS, REQUANTIZER, SMALLEST)
BY_CONTROL = (CONTROL, AFFINE, CLIPPED, LOOKUP, ADD, MULTIPLY, SINK)
OWN = (
    (SKID, "a_value", "dhq_stream_register.sv", "spare_valid ? spare_data : s_data", "s_data"),
    (SKID, "a_capacity", "dhq_stream_register.sv", "s_ready = !spare_valid", "s_ready = 1'b1"),
    (DELAY, "a_value", "hadamard_delay.sv", "memory[write_index] <=", "memory[read_index] <="),
    (BLOCK_DELAY, "a_value", "hadamard_delay.sv", "memory[read_index_next]", "memory[read_index]"),
    (SEQUENCER, "a_value", "hadamard_sign_sequencer.sv", "(WORDS - 1)", "(WORDS - 2)"),
    (SEQUENCER, "a_value", "hadamard_sign_sequencer.sv", "(BLOCKS - 1)", "(BLOCKS - 2)"),
    (SEQUENCER, "a_value", "hadamard_sign_sequencer.sv", "(WORDS > 1) ? 1 : 0", "0"),
    (LANES, "a_value", "hadamard_lane_stage.sv", "step(s_valid && s_ready)", "step(s_valid)"),
    (LANES, "a_value", "hadamard_lane_stage.sv", "(lane != lower) ^ ", ""),
    (WORDS, "a_value", "hadamard_word_stage.sv", "(DEPTH - 1)", "(DEPTH - 2)"),
    (WORDS, "a_value", "hadamard_word_stage.sv", "(!out_difference || in_index != out_index)", "1"),
    (WORDS, "a_capacity", "hadamard_word_stage.sv", "|| in_index != out_index", "|| 1"),
    (WORDS, "a_value", "hadamard_word_stage.sv", "(in_second && s_valid)", "in_second"),
    (WORDS, "a_offer", "hadamard_word_stage.sv", "out_difference || (in", "m_ready && (in"),
    (SIGNED_WORDS, "a_value", "hadamard_word_stage.sv", ".step(give)", ".step(take)"),
    (REQUANTIZER, "a_value", "hadamard_requantizer.sv", " - 64'd1)", ")"),
    (REQUANTIZER, "a_value", "hadamard_requantizer.sv", "fits && !lowest", "fits"),
    (
        REQUANTIZER,
        "a_value",
        "hadamard_requantizer.sv",
        "step(s_valid && s_ready)",
        "step(s_ready)",
    ),
    (NEGATED_ROW, "a_value", "hadamard_transform.sv", "has_negated_row() ? 1 : 0", "0"),
    (NEGATED_ROW, "a_value", "hadamard_transform.sv", "NEGATE(NEGATE)", "NEGATE('0)"),
    (AFFINE, "a_value", "lookup_affine.sv", "if (enable[1]) begin", "if (enable[0]) begin"),
    (UNSIGNED_AFFINE, "a_value", "lookup_affine.sv", "IN_SIGNED && data[", "data["),
    (CLIPPED, "a_value", "lookup_address.sv", "DIFFERENCE_WIDTH = 1 +", "DIFFERENCE_WIDTH = 0 +"),
    (CLIPPED, "a_value", "lookup_address.sv", "negate  <= index[INDEX_BITS-1]", "negate <= 1'b0"),
    (PER_CHANNEL, "a_parameter", "lookup_parameter.sv", "if (enable) values", "values"),
    (
        PER_TENSOR,
        "a_constant",
        "lookup_parameter.sv",
        "{LANES{VALUE}}",
        "{~VALUE, VALUE}",
    ),
    (PER_TENSOR, "a_entry", "lookup_table.sv", "memory[address[port]]", "memory[address[0]]"),
    (LOOKUP, "a_value", "lookup_activation.sv", "(FOLDS - 1)", "(FOLDS - 2)"),
    (LOOKUP, "a_value", "lookup_activation.sv", "s_axis_tvalid && s_axis_tready", "s_axis_tready"),
    (LOOKUP, "a_value", "lookup_activation.sv", "if (enable[TABLE_STAGE]) negate", "negate"),
    (ADD, "a_pair", "stream_add.sv", "{move && s_axis_tvalid[0], move", "{move, move"),
    (ADD, "a_value", "stream_add.sv", "b * OUT_WIDTH'(B_FACTOR)", "b * OUT_WIDTH'(A_FACTOR)"),
    (MULTIPLY, "a_pair", "stream_multiply.sv", "{move && s_axis_tvalid[0], move", "{move, move"),
    (MULTIPLY, "a_value", "stream_multiply.sv", "if (enable[1]) product", "product"),
    (SINK, "a_value", "sample_sink.sv", "word == WORD_WIDTH'(WORDS - 1)", "word == '1"),
    (SINK, "a_value", "sample_sink.sv", "negative ? LOW : HIGH", "HIGH"),
    (CORRECTED, "a_value", "sample_sink.sv", "code[ALL-2] >= least", "code[ALL-2] > least"),
    (CORRECTED, "a_value", "sample_sink.sv", "if (enable[i]) channel[i]", "channel[i]"),
    (LINES, "a_value", "matrix_vector_memory.sv", "if (enable) data", "data"),
    (
        ONE,
        "a_hold",
        "dhq_stream_register.sv",
        "else if (load) begin",
        "else if (load || !s_valid) begin",
    ),
    (ONE, "a_stable", "dhq_stream_register.sv", "if (load) m_data <= spare", "m_data <= spare"),
    (ONE, "a_count", "dhq_stream_register.sv", "m_valid     <= 1'b0;", "m_valid     <= 1'b1;"),
    (ONE, "a_capacity", "matrix_vector.sv", "s_axis_tready = enable;", "s_axis_tready = 1'b1;"),
    (STREAM, "a_ready", "matrix_vector.sv", "!result || loadable", "!result"),
    (TREE, "a_value", "matrix_vector.sv", "value[2*i+1]", "value[2*i]"),
    (TERNARY, "a_value", "matrix_vector_multiplier.sv", "WIDE == 1 || sign[0]) ? SUM", "1) ? SUM"),
    (SIGN, "a_value", "matrix_vector_multiplier.sv", "|| sign[0]) && minus", "|| sign[0])"),
)
_ROOM, _VALID = "assign s_axis_tready = !m_axis_tvalid || m_axis_tready;", "take && last_part"
PACKER_FAULTS = (
    ("a_hold", "if (take || give) m_axis_tvalid", "m_axis_tvalid"),
    ("a_stable", "if (take) m_axis_tdata", "if (s_axis_tvalid) m_axis_tdata"),
    ("a_count", "m_axis_tvalid <= 1'b0;", "m_axis_tvalid <= 1'b1;"),
    ("a_capacity", _ROOM, "assign s_axis_tready = 1'b1;"),
    ("a_offer", f"<= {_VALID};", f"<= {_VALID} && m_axis_tready;"),
    ("a_ready", _ROOM, "assign s_axis_tready = !m_axis_tvalid;"),
    ("a_value", "word == WORD_WIDTH'(LINE - 1)", "word == WORD_WIDTH'(LINE - 2)"),
    ("a_value", "line == LINE_WIDTH'(LINES - 1)", "line == LINE_WIDTH'(LINES)"),
    ("a_value", "{s_axis_tdata, m_axis_tdata} >> WIDTH", "{m_axis_tdata, s_axis_tdata}"),
)
_STEP, _ALL = "m_axis_tvalid && m_axis_tready", "&(taken | m_axis_tready)"
_TURN = f"else if ({_STEP}) begin"
FORK_FAULTS = (
    ("a_hold", "taken | m_axis_tready;", "'1;"),
    ("a_stable", "= s_axis_tdata;", "= s_axis_tdata ^ {WIDTH{taken[0]}};"),
    ("a_once", "~taken & ", ""),
    ("a_all", _ALL, _ALL.replace("&", "|", 1)),
    ("a_ready", _ALL, "&taken"),
    ("a_value", "= s_axis_tdata;", "= s_axis_tdata ^ {WIDTH{taken[0]}};"),
)
CONCAT_FAULTS = (
    ("a_hold", _TURN, "else if (m_axis_tvalid) begin"),
    ("a_stable", _TURN, "else if (m_axis_tvalid) begin"),
    ("a_offer", "|(source & s_axis_tvalid)", "|s_axis_tvalid"),
    ("a_ready", "source & {INPUTS{m_axis_tready}}", "{INPUTS{m_axis_tready}}"),
    ("a_value", "COUNT_WIDTH'(BEATS[i] - 1'b1)", "COUNT_WIDTH'(BEATS[i])"),
)
GRID_FAULTS = (
    ("a_hold", "m_axis_tvalid <= rst_n;", "m_axis_tvalid <= rst_n && !m_axis_tvalid;"),
    ("a_stable", f"{_STEP} && last_beat", "m_axis_tvalid && last_beat"),
    ("a_offer", "m_axis_tvalid <= rst_n;", "m_axis_tvalid <= rst_n && m_axis_tready;"),
    ("a_value", "wraps[i+1] && index[i] ==", "index[i] =="),
    ("a_value", f"{_STEP} && last_beat", _STEP),
)
BUFFER_FAULTS = (
    ("a_complete", "word == WW'(WORDS - 1)", "word == WW'(WORDS - 2)"),
    ("a_complete", "enable && begin_vector && complete", "begin_vector && complete"),
    ("a_capacity", "fill != FW'(DEPTH)", "1'b1"),
    ("a_offer", "fill != FW'(DEPTH)", "fill == '0"),
    ("a_value", "releasing[CHAIN-1]", "releasing[0]"),
    ("a_value", "rewind && !done ? base", "rewind ? base"),
    ("a_value", "CW'(lane / IN_LANES)", "'0"),
)
_RESULTS = "out_valid <= result || (out_valid && !leaving);"
PRODUCT_FAULTS = (
    ("a_value", "else if (step) accumulator <= total", "else accumulator <= total"),
    ("a_value", "if (!rst_n || (step && result)) accumulator", "if (!rst_n) accumulator"),
    ("a_value", "enable = !result || loadable", "enable = 1'b1"),
    ("a_offer", _RESULTS, "out_valid <= (result && m_axis_tready) || (out_valid && !leaving);"),
)
TRANSMITTER_FAULTS = (
    ("a_ready", "left == '0;", "left[BIT_WIDTH-1:1] == '0;"),
    ("a_value", "frame[BITS-1:1]}", "frame[BITS-1:2], 1'b1}"),
    ("a_value", "shift ? CYCLE_WIDTH'(CYCLES - 1)", "shift ? CYCLE_WIDTH'(CYCLES - 2)"),
)
_SEEN = "seen <= {line, seen[1]};"
RECEIVER_FAULTS = (
    ("a_hold", "if (m_axis_tready) m_axis_tvalid <= 1'b0;", "m_axis_tvalid <= 1'b0;"),
    ("a_stable", _SEEN, f"{_SEEN} m_axis_tdata <= bits;"),
    ("a_count", "left == 4'd1 && seen[0]", "left == 4'd4 && seen[0]"),
    ("a_offer", "m_axis_tvalid <= 1'b1;", "m_axis_tvalid <= m_axis_tready;"),
    ("a_value", "{seen[0], bits[7:1]}", "{bits[6:0], seen[0]}"),
    ("a_value", "CYCLES / 2 - 1", "CYCLES - 1"),
)
SERVER_FAULTS = (
    ("a_busy", "&& s_axis_tready && s_axis_tlast", "&& s_axis_tlast"),
    ("a_ready", "ready && busy", "ready"),
    ("a_value", "s_axis_tvalid && busy", "s_axis_tvalid"),
)
MULTIPLIER_FAULTS = (
    ("a_value", "SUM'(product)", "SUM'(difference * factor)"),
    ("a_cascade", "assign sum_out = p;", "assign sum_out = previous;"),
)
# The depth that this package gives the queue, one word less, and FINN's.
_DEEPER = "CORE_PIPELINE_DEPTH + 2;"
FINNS_QUEUE = Mutant(MVAU, None, "mvu_vvu_axi.sv", _DEEPER, "CORE_PIPELINE_DEPTH;")
MUTANTS = (
    *(Mutant(*given) for given in OWN),
    *(
        Mutant(case, prop, f"{case.kernel}.sv", before, after)
        for case, faults in (
            (PACKER, PACKER_FAULTS),
            (FORK, FORK_FAULTS),
            (CONCAT, CONCAT_FAULTS),
            (GRID, GRID_FAULTS),
            (BUFFER, BUFFER_FAULTS),
            (MULTIPLIER, MULTIPLIER_FAULTS),
            (SQUARE, PRODUCT_FAULTS),
            (TRANSMITTER, TRANSMITTER_FAULTS),
            (RECEIVER, RECEIVER_FAULTS),
            (SERVER, SERVER_FAULTS),
        )
        for prop, before, after in faults
    ),
    FINNS_QUEUE,
    Mutant(MVAU_3, None, "mvu_vvu_axi.sv", _DEEPER, "CORE_PIPELINE_DEPTH + 1;"),
    *(
        Mutant(case, prop, file, before, after)
        for file, cases in zip(HANDSHAKE, (BY_REGISTER, BY_CONTROL), strict=True)
        for case in cases
        for prop, before, after in HANDSHAKE[file]
    ),
)
# Each property once, and each kind of counter.
FAST_MUTANTS = (*(m for m in MUTANTS if m.case in (REGISTER, WORDS, SEQUENCER, FORK)), FINNS_QUEUE)
