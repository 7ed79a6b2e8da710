# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The faults that each property must find."""

from collections.abc import Mapping
from dataclasses import dataclass

from cases import (
    ADD,
    AFFINE,
    BLOCK_DELAY,
    BUFFER,
    CLIPPED,
    CONCAT,
    CONTROL,
    CORRECTED,
    DELAY,
    FORK,
    GRID,
    LANES,
    LINES,
    LOOKUP,
    MULTIPLIER,
    MULTIPLY,
    MVAU,
    MVAU_3,
    NEGATED_ROW,
    ONE,
    PACKER,
    PER_CHANNEL,
    PER_TENSOR,
    RECEIVER,
    REGISTER,
    REQUANTIZER,
    SEQUENCER,
    SERVER,
    SIGN,
    SIGNED_WORDS,
    SINK,
    SKID,
    SMALLEST,
    SQUARE,
    STREAM,
    TERNARY,
    TRANSMITTER,
    TREE,
    UNALIGNED,
    UNSIGNED_AFFINE,
    WORDS,
)
from engine import Case


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
    (PER_TENSOR, "a_constant", "lookup_parameter.sv", "{LANES{VALUE}}", "{~VALUE, VALUE}"),
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
    (CORRECTED, "a_value", "sample_sink.sv", "2'(rest >= step)", "2'(rest > step)"),
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
    (TREE, "a_value", "matrix_vector.sv", "value[level-1][2*i+1]", "value[level-1][2*i]"),
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
UNALIGNED_FAULTS = (
    ("a_complete", "word == WW'(WORDS - 1)", "word == WW'(WORDS - 2)"),
    ("a_value", "rewind && !done ? base", "rewind ? base"),
)
BUFFER_FAULTS = (
    ("a_complete", "enable && begin_vector && complete", "begin_vector && complete"),
    ("a_capacity", "fill != FW'(DEPTH)", "1'b1"),
    ("a_offer", "fill != FW'(DEPTH)", "fill == '0"),
    ("a_value", "releasing[CHAIN-1]", "releasing[0]"),
    ("a_value", "CW'(lane / IN_LANES)", "'0"),
)
_RESULTS = "out_valid <= (result && loadable) || (out_valid && !leaving);"
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
    ("a_value", "product <= difference * factor", "product <= difference * b"),
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
            (UNALIGNED, UNALIGNED_FAULTS),
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
