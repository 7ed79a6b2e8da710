// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Product of a constant matrix and the vectors of a stream, y = W·x, exact.
//
// W has MH rows and MW columns. Words carry IN_LANES consecutive elements of x and OUT_LANES of y,
// the first in the low bits. PE rows times SIMD columns are multiplied in a cycle: for every group n
// of PE rows, for every group k of SIMD columns, as in FINN's MVAU.
//
//   s_axis ─► input memory ─► GROUPS x SIMD multipliers, their ─► accumulators ─► results ─► m_axis
//             (2 vectors)     sums taken along chains             PE              PE     OUT_LANES at
//                                  ▲                                                     a time
//                               weights, read one word ahead
//
// Throughput: a vector every max(MW/SIMD, PE/OUT_LANES)·MH/PE cycles, while the source has words and the
// sink takes them; the input may take as long (IN_LANES lanes a cycle). Latency, last word of a
// vector in to first word out with nothing else inside: the localparam LATENCY at the end.
//
// Multipliers: DSP "DSP48E2" or "DSP48E1" instantiates the slices of AMD's devices; "" is logic, and
// multipliers wherever a tool maps such. Weights of 1 or 2 bits never need one: of 1 bit, 0 stands
// for +1 and 1 for -1; of 2 bits they must be -1, 0 or 1.
// With a slice PACK rows share a multiplier: their weights sit OFFSET bits apart in its wide input,
// w0 + w1·2^OFFSET + …, the signs subtracted by the slice's pre-adder so that the memory holds plain
// weights. At most CHAIN products are summed before the rows are taken apart, which is exact as
// long as every such sum but the last row's is within ±(2^(OFFSET-1) - 1): row i is field i of the
// sum plus the sign bit of field i - 1. That, and the bits of y (ACC_WIDTH), depend on the weights,
// and whoever writes the memory sees to them.
//
// Chains: product s of a chain is added one cycle after product s - 1, so its weight and input are
// due a cycle later. Inputs are read later; in the memory the weights sit later:
// WEIGHT_FILE has MW/SIMD·MH/PE lines for $readmemh, line n·MW/SIMD + k the weights of rows
// n·PE + r and columns k·SIMD + s at bits (r·SIMD + s)·WEIGHT_WIDTH, but those of column s
// s mod CHAIN lines further down, counted around the end. A vector begins directly behind the
// last one, or when the chains are empty. STYLE "block" is block RAM, "distributed" LUTs.
//
// Handshake: s_axis_tready and m_axis_tvalid are registers or compare registers; neither depends on
// the other side, and a stalled output stops the whole pipeline by one enable from registers.
// Results leave without further input. Reset (rst_n, synchronous, active low, one cycle suffices)
// drops everything inside; the next word is the first of a vector.

module matrix_vector #(
    parameter int unsigned MW = 8,
    parameter int unsigned MH = 8,
    parameter int unsigned PE = 4,
    parameter int unsigned SIMD = 2,
    parameter int unsigned IN_LANES = 1,  // a divisor of SIMD
    parameter int unsigned OUT_LANES = 1,  // a divisor of PE
    parameter int unsigned IN_WIDTH = 8,  // 1 to 24
    parameter bit IN_SIGNED = 1,
    parameter int unsigned WEIGHT_WIDTH = 8,  // 1 to 16
    parameter int unsigned ACC_WIDTH = 20,  // 1 to 48
    parameter int unsigned CHAIN = 2,  // 1 to SIMD
    parameter int unsigned PACK = 1,  // more than 1 with a DSP slice only
    parameter int unsigned OFFSET = 18,  // bits from row to row, with PACK > 1
    parameter string DSP = "",
    parameter string STYLE = "block",
    parameter string WEIGHT_FILE = "weights.mem"
) (
    input  logic                           clk,
    input  logic                           rst_n,
    input  logic [  IN_LANES*IN_WIDTH-1:0] s_axis_tdata,
    input  logic                           s_axis_tvalid,
    output logic                           s_axis_tready,
    output logic [OUT_LANES*ACC_WIDTH-1:0] m_axis_tdata,
    output logic                           m_axis_tvalid,
    input  logic                           m_axis_tready
);

  localparam int unsigned WIDE_BITS = DSP == "DSP48E1" ? 25 : 27;
  localparam int unsigned X_WIDTH = IN_WIDTH + (IN_SIGNED ? 0 : 1);

  if (PE < 1 || MH < 1 || MH % PE != 0) begin : g_check_pe
    $fatal(1, "PE=%0d must divide MH=%0d, both positive", PE, MH);
  end
  if (SIMD < 1 || MW < 1 || MW % SIMD != 0) begin : g_check_simd
    $fatal(1, "SIMD=%0d must divide MW=%0d, both positive", SIMD, MW);
  end
  if (IN_LANES < 1 || SIMD % IN_LANES != 0) begin : g_check_in_lanes
    $fatal(1, "IN_LANES=%0d must divide SIMD=%0d", IN_LANES, SIMD);
  end
  if (OUT_LANES < 1 || PE % OUT_LANES != 0) begin : g_check_out_lanes
    $fatal(1, "OUT_LANES=%0d must divide PE=%0d", OUT_LANES, PE);
  end
  if (IN_WIDTH < 1 || IN_WIDTH > 24) begin : g_check_in_width
    $fatal(1, "IN_WIDTH=%0d must lie in 1 to 24", IN_WIDTH);
  end
  if (WEIGHT_WIDTH < 1 || WEIGHT_WIDTH > 16) begin : g_check_weight_width
    $fatal(1, "WEIGHT_WIDTH=%0d must lie in 1 to 16", WEIGHT_WIDTH);
  end
  if (ACC_WIDTH < 1 || ACC_WIDTH > 48) begin : g_check_acc_width
    $fatal(1, "ACC_WIDTH=%0d must lie in 1 to 48", ACC_WIDTH);
  end
  if (CHAIN < 1 || CHAIN > SIMD) begin : g_check_chain
    $fatal(1, "CHAIN=%0d must lie in 1 to SIMD=%0d", CHAIN, SIMD);
  end
  if (DSP != "" && DSP != "DSP48E1" && DSP != "DSP48E2") begin : g_check_dsp
    $fatal(1, "DSP=%s must be empty, DSP48E1 or DSP48E2", DSP);
  end
  if (PACK < 1 || (PACK > 1 && (DSP == "" || WEIGHT_WIDTH < 3 || X_WIDTH > 18
                                || (PACK - 1) * OFFSET + WEIGHT_WIDTH > WIDE_BITS))) begin : g_check_pack
    $fatal(1, "PACK=%0d weights of %0d bits, %0d bits apart, do not fit the multiplier DSP=%s with inputs of %0d bits",
           PACK, WEIGHT_WIDTH, OFFSET, DSP, X_WIDTH);
  end

  localparam bit SIGNS = WEIGHT_WIDTH <= 2;
  localparam string SLICE = SIGNS ? "" : DSP;
  localparam int unsigned COLUMNS = MW / SIMD;
  localparam int unsigned ROWS = MH / PE;
  localparam int unsigned LINES = COLUMNS * ROWS;
  localparam int unsigned LINE_BITS = PE * SIMD * WEIGHT_WIDTH;
  localparam int unsigned SEGMENTS = (SIMD + CHAIN - 1) / CHAIN;
  localparam int unsigned LEVELS = $clog2(SEGMENTS);
  localparam int unsigned DRAIN = PE / OUT_LANES;
  // From the address of a line to the sums of its chains, and on to its accumulation.
  localparam int unsigned SUM_STAGES = 1 + (SIGNS ? 2 : SLICE == "" ? 3 : 4) + CHAIN - 1;
  localparam int unsigned STAGES = SUM_STAGES + LEVELS;
  // Without chains and repetition the stream is used as it comes.
  localparam bit BUFFERED = ROWS > 1 || SIMD > 1;

  logic enable;

  // ------------------------------------------------------------------------- sequence and inputs
  localparam int unsigned AW = dhq_rtl_pkg::index_width(LINES);
  localparam int unsigned KW = dhq_rtl_pkg::index_width(COLUMNS);

  logic [AW-1:0] line;
  logic [KW-1:0] column;
  logic active, last, line_end;
  logic [SIMD-1:0][IN_WIDTH-1:0] x;

  assign line_end = line == AW'(LINES - 1);
  assign last = active && column == KW'(COLUMNS - 1);

  if (BUFFERED) begin : g_buffered
    localparam int unsigned GW = dhq_rtl_pkg::index_width(CHAIN);
    // Two vectors, and the words that arrive until the last lane of one is read.
    localparam int unsigned NEEDED = (2 * LINES - COLUMNS + CHAIN + 3 + ROWS - 1) / ROWS;
    localparam int unsigned DEPTH = 1 << $clog2(dhq_rtl_pkg::max_of(NEEDED, 32));
    localparam int unsigned PASS_START = LINES - COLUMNS;

    logic [GW-1:0] gap;  // cycles until the chains are empty
    logic complete, free;

    assign free = active ? line_end : gap == '0;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        {active, gap, line} <= '0;
      end else if (enable) begin
        line <= line_end ? '0 : line + 1'b1;
        if (free) begin
          active <= complete;
          if (complete) line <= '0;
        end
        if (active) gap <= GW'(CHAIN > 1 ? CHAIN - 2 : 0);
        else if (gap != '0) gap <= gap - 1'b1;
      end
    end

    if (dhq_rtl_pkg::is_power_of_two(COLUMNS)) begin : g_part
      assign column = COLUMNS == 1 ? '0 : KW'(line);
    end else begin : g_count
      logic [KW-1:0] count;
      assign column = count;
      always_ff @(posedge clk) begin
        if (!rst_n || (enable && free && complete)) count <= '0;
        else if (enable) count <= column == KW'(COLUMNS - 1) ? '0 : column + 1'b1;
      end
    end

    matrix_vector_buffer #(
        .LANES(SIMD),
        .IN_LANES(IN_LANES),
        .WIDTH(IN_WIDTH),
        .WORDS(COLUMNS),
        .CHAIN(CHAIN),
        .DEPTH(DEPTH)
    ) inputs (
        .clk,
        .rst_n,
        .s_data(s_axis_tdata),
        .s_valid(s_axis_tvalid),
        .s_ready(s_axis_tready),
        .complete,
        .enable,
        .begin_vector(free),
        .next(active),
        .rewind(last),
        .last_pass(ROWS == 1 || line >= AW'(PASS_START)),
        .column,
        .x
    );
  end else begin : g_stream
    assign active = s_axis_tvalid;
    assign s_axis_tready = enable;
    assign column = line;

    always_ff @(posedge clk) begin
      if (!rst_n) line <= '0;
      else if (enable && active) line <= line_end ? '0 : line + 1'b1;
      if (enable) x <= s_axis_tdata;
    end
  end

  // ------------------------------------------------------------------------------------- weights
  logic [PE-1:0][SIMD-1:0][WEIGHT_WIDTH-1:0] weights;

  matrix_vector_memory #(
      .LINES(LINES),
      .WIDTH(LINE_BITS),
      .STYLE(STYLE),
      .FILE(WEIGHT_FILE)
  ) lines (
      .clk,
      .enable,
      .line,
      .data(weights)
  );

  // -------------------------------------------------------------------------------------- chains
  localparam int unsigned GROUPS = (PE + PACK - 1) / PACK;
  localparam bit X_WIDE = SLICE != "" && X_WIDTH > 18;
  localparam int unsigned W_PORT = SLICE == "" ? WEIGHT_WIDTH : X_WIDE ? 18 : WIDE_BITS;
  localparam int unsigned WIDE = SLICE == "" ? WEIGHT_WIDTH : WIDE_BITS;
  localparam int unsigned NARROW = SLICE == "" ? X_WIDTH : 18;
  localparam int unsigned SUM = SLICE == "" ? dhq_rtl_pkg::min_of(
      ACC_WIDTH, WEIGHT_WIDTH + X_WIDTH + unsigned'($clog2(CHAIN))
  ) : 48;

  // Term of a row from a chain: field + carry.
  logic signed [PE-1:0][SEGMENTS-1:0][ACC_WIDTH-1:0] field;
  logic [PE-1:0][SEGMENTS-1:0] carry;

  for (genvar group = 0; group < GROUPS; group++) begin : g_group
    localparam int unsigned BASE = group * PACK;
    localparam int unsigned COUNT = dhq_rtl_pkg::min_of(PACK, PE - BASE);

    logic signed [SIMD-1:0][SUM-1:0] sum, cascade;

    for (genvar lane = 0; lane < SIMD; lane++) begin : g_lane
      localparam int unsigned BEFORE = lane % CHAIN == 0 ? lane : lane - 1;
      logic signed [W_PORT-1:0] values;
      // verilator lint_off UNUSEDSIGNAL
      logic signed [W_PORT-1:0] signs;  // none with a wide input
      // verilator lint_on UNUSEDSIGNAL
      logic signed [X_WIDTH-1:0] input_value;
      logic signed [WIDE-1:0] d, a;
      logic signed [NARROW-1:0] b;

      assign input_value = X_WIDTH'($signed({IN_SIGNED && x[lane][IN_WIDTH-1], x[lane]}));
      if (PACK == 1) begin : g_one
        assign values = W_PORT'($signed(weights[BASE][lane]));
        assign signs  = '0;
      end else begin : g_packed
        always_comb begin
          values = '0;
          signs  = '0;
          for (int unsigned i = 0; i < COUNT; i++) begin
            values[i*OFFSET+:WEIGHT_WIDTH-1] = weights[BASE+i][lane][WEIGHT_WIDTH-2:0];
            if (i * OFFSET + WEIGHT_WIDTH == W_PORT)
              values[i*OFFSET+WEIGHT_WIDTH-1] = weights[BASE+i][lane][WEIGHT_WIDTH-1];
            else signs[i*OFFSET+WEIGHT_WIDTH-1] = weights[BASE+i][lane][WEIGHT_WIDTH-1];
          end
        end
      end
      if (X_WIDE) begin : g_x_wide
        assign d = WIDE'(input_value);
        assign a = '0;
        assign b = NARROW'(values);
      end else begin : g_w_wide
        assign d = WIDE'(values);
        assign a = WIDE'(signs);
        assign b = NARROW'(input_value);
      end

      matrix_vector_multiplier #(
          .DSP(SLICE),
          .SIGNS(SIGNS),
          .WIDE(WIDE),
          .NARROW(NARROW),
          .SUM(SUM),
          .FIRST(lane % CHAIN == 0)
      ) multiplier (
          .clk,
          .enable,
          .d,
          .a,
          .b,
          .sum_in(cascade[BEFORE]),
          .sum_out(cascade[lane]),
          .p(sum[lane])
      );
    end

    for (genvar row = 0; row < COUNT; row++) begin : g_row
      localparam int unsigned LOW = row * OFFSET;
      localparam int unsigned BITS = row == COUNT - 1 ? SUM - LOW : OFFSET;
      for (genvar segment = 0; segment < SEGMENTS; segment++) begin : g_segment
        localparam int unsigned END = dhq_rtl_pkg::min_of((segment + 1) * CHAIN, SIMD) - 1;
        // A shorter last chain waits for the others.
        localparam int unsigned WAIT = (segment + 1) * CHAIN - 1 - END;
        // Of a slice's sum some bits are no one's.
        // verilator lint_off UNUSEDSIGNAL
        logic [SUM-1:0] chain_sum;
        // verilator lint_on UNUSEDSIGNAL
        if (WAIT == 0) begin : g_now
          assign chain_sum = sum[END];
        end else begin : g_later
          logic [WAIT-1:0][SUM-1:0] later;
          always_ff @(posedge clk) if (enable) later <= (WAIT * SUM)'({later, sum[END]});
          assign chain_sum = later[WAIT-1];
        end
        assign field[BASE+row][segment] = ACC_WIDTH'($signed(chain_sum[LOW+:BITS]));
        if (row == 0) begin : g_bottom
          assign carry[BASE+row][segment] = 1'b0;
        end else begin : g_above
          assign carry[BASE+row][segment] = chain_sum[LOW-1];
        end
      end
    end
  end

  // --------------------------------------------------------------------------------- accumulators
  // a + b + carry with one adder.
  function automatic logic [ACC_WIDTH-1:0] add(input logic [ACC_WIDTH-1:0] a,
                                               input logic [ACC_WIDTH-1:0] b, input logic plus);
    return (ACC_WIDTH)'(({a, 1'b1} + {b, plus}) >> 1);
  endfunction

  logic [PE-1:0][ACC_WIDTH-1:0] term, accumulator, total;
  logic [PE-1:0] term_carry;

  if (LEVELS == 0) begin : g_single
    for (genvar row = 0; row < PE; row++) begin : g_row
      assign term[row] = field[row][0];
      assign term_carry[row] = carry[row][0];
    end
  end else begin : g_tree
    for (genvar row = 0; row < PE; row++) begin : g_row
      // Level by level; the upper ones have fewer values.
      // verilator lint_off UNDRIVEN
      // verilator lint_off UNUSEDSIGNAL
      logic [LEVELS:0][SEGMENTS-1:0][ACC_WIDTH-1:0] value;
      logic [LEVELS:0][SEGMENTS-1:0] plus;
      // verilator lint_on UNUSEDSIGNAL
      // verilator lint_on UNDRIVEN
      assign value[0] = field[row];
      assign plus[0]  = carry[row];
      for (genvar level = 1; level <= LEVELS; level++) begin : g_level
        localparam int unsigned COUNT = (SEGMENTS + (1 << level) - 1) >> level;
        localparam int unsigned BELOW = (SEGMENTS + (1 << (level - 1)) - 1) >> (level - 1);
        for (genvar i = 0; i < COUNT; i++) begin : g_sum
          if (2 * i + 1 < BELOW) begin : g_add
            always_ff @(posedge clk) begin
              if (enable) begin
                value[level][i] <= add(value[level-1][2*i], value[level-1][2*i+1],
                                       plus[level-1][2*i]);
                plus[level][i] <= plus[level-1][2*i+1];
              end
            end
          end else begin : g_pass
            always_ff @(posedge clk) begin
              if (enable) begin
                value[level][i] <= value[level-1][2*i];
                plus[level][i]  <= plus[level-1][2*i];
              end
            end
          end
        end
      end
      assign term[row] = value[LEVELS][0];
      assign term_carry[row] = plus[LEVELS][0];
    end
  end

  for (genvar row = 0; row < PE; row++) begin : g_total
    assign total[row] = add(term[row], accumulator[row], term_carry[row]);
  end

  // The flags of a line arrive with its sums. At the last line of a pass the totals are results,
  // and the accumulators begin at 0 again.
  logic [STAGES-1:0] steps, lasts;
  logic step, result, loadable;

  assign step   = enable && steps[STAGES-1];
  assign result = lasts[STAGES-1];
  assign enable = !result || loadable;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {steps, lasts} <= '0;
    end else if (enable) begin
      steps <= STAGES'({steps, active});
      lasts <= STAGES'({lasts, last});
    end
    if (!rst_n || (step && result)) accumulator <= '0;
    else if (step) accumulator <= total;
  end

  // ------------------------------------------------------------------------------------- results
  localparam int unsigned TW = dhq_rtl_pkg::index_width(DRAIN);

  // Results that come at least a cycle later than the last ones have left wait for that. Others are
  // taken in the cycle in which the last of them leaves, and a second word keeps ready a register.
  localparam bit SPACED = COLUMNS > DRAIN;

  logic [DRAIN-1:0][OUT_LANES-1:0][ACC_WIDTH-1:0] held;
  logic [TW-1:0] turn;
  logic out_valid, out_ready, leaving;

  assign leaving  = out_valid && out_ready && turn == TW'(DRAIN - 1);
  assign loadable = !out_valid || (!SPACED && leaving);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {out_valid, turn} <= '0;
    end else begin
      out_valid <= (result && loadable) || (out_valid && !leaving);
      if (out_valid && out_ready) turn <= leaving ? '0 : turn + 1'b1;
    end
    if (result && loadable) held <= total;
  end

  if (SPACED) begin : g_spaced
    assign m_axis_tdata = held[turn];
    assign m_axis_tvalid = out_valid;
    assign out_ready = m_axis_tready;
  end else begin : g_dense
    dhq_stream_register #(
        .WIDTH(OUT_LANES * ACC_WIDTH),
        .SKID(1)
    ) out (
        .clk,
        .rst_n,
        .s_data (held[turn]),
        .s_valid(out_valid),
        .s_ready(out_ready),
        .m_data (m_axis_tdata),
        .m_valid(m_axis_tvalid),
        .m_ready(m_axis_tready)
    );
  end

`ifndef SYNTHESIS
  localparam int unsigned LATENCY = STAGES + (BUFFERED ? COLUMNS + 3 : 2) - 32'(SPACED);

  dhq_stream_monitor #(
      .WIDTH(OUT_LANES * ACC_WIDTH),
      .S_WORDS(MW / IN_LANES),
      .M_WORDS(MH / OUT_LANES),
      .LATENCY(LATENCY + CHAIN)  // the chains of the last vector may still have to run empty
  ) monitor (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
`endif

endmodule
