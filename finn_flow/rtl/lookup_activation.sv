// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Streaming table activation: scale, bias, shift, wrap or clip, look up.
//
//   v     = (x·M + B) >>> SHIFT                                          (arithmetic, floor)
//   index = v mod 2^TABLE_BITS                                           WRAP 1 (periodic function)
//           clip(v, OFFSET, OFFSET + 2^TABLE_BITS - 1) - OFFSET          WRAP 0
//   y     = table[index]
//
// Words carry PE consecutive channels, lane 0 in the low bits; a vector of CHANNELS channels is
// CHANNELS/PE words ("folds"), which a counter follows to select per-channel constants.
//
//   s_axis ──► PE x lookup_affine ──► PE x lookup_address ──► ⌈PE/2⌉ x lookup_table ──► ±[y] ──► m_axis
//                   ▲ M, B                                      two lanes per memory
//              lookup_parameter
//
// Constants
//   HAS_SCALE 1: M is a signed SCALE_WIDTH-bit integer. HAS_SCALE 0 (shift only): M = 2^SCALE_SHIFT,
//   no multiplier. HAS_BIAS 1: B is a signed BIAS_WIDTH-bit integer; HAS_BIAS 0: B = 0. Each is per
//   tensor, SCALE and BIAS, or per channel (*_PER_CHANNEL), from SCALE_FILE and BIAS_FILE. Files are
//   $readmemh hexadecimal, two's complement, with CHANNELS/PE lines, line f = the PE numbers of
//   channels f·PE … f·PE + PE-1 side by side, the last channel leftmost. With WRAP x·M + B is
//   computed modulo 2^(SHIFT + TABLE_BITS).
//
// DIRECT 1, for CHANNELS = PE: M and B of every lane are the constants SCALES and BIASES, lane 0
// lowest, and neither they nor the sum have a register: powers of two are wires, and what comes
// before is on the way to the address. The table's entry is the output unless FOLD negates it.
//
// Table: TABLE_FILE has the first 2^(TABLE_BITS - FOLD) entries of the full table t, one OUT_WIDTH-bit
// word per line, n = 2^TABLE_BITS. The host may set FOLD when t has the symmetry exactly:
//   FOLD 0: none.
//   FOLD 1, odd:          t[n-1-i] = -t[i] for all i. First half stored.
//   FOLD 2, quarter wave: also t[n/2-1-i] = t[i] for i < n/2. First quarter stored.
// (At bin centers, t[i] = f((i + 1/2)/n), an odd function of period 1 has the first, a sine both.)
// A folded negative value is negated in OUT_WIDTH bits, so no stored word may be -2^(OUT_WIDTH-1).
//
// Throughput: one word per cycle, II = CHANNELS/PE. Latency, word in to word out without stalls:
//
//   4 + HAS_SCALE·(1 + [operands beyond 27 x 18 bits]) + [HAS_SCALE or HAS_BIAS] + [not WRAP]
//
// that is x, product, sum, difference, address, table, y; the localparam STAGES has the number. With
// DIRECT it is 2 + [FOLD > 0]: address, table, y.
// With WRAP the operands are first cut to SHIFT + TABLE_BITS bits.
//
// Handshake: m_axis_tvalid and m_axis_tdata are registers (m_axis_tdata the memory's where the entry
// is the output), tvalid never waits for tready, and a word stays until accepted. s_axis_tready =
// m_axis_tready or any stage empty, combinational; it does not depend on s_axis_tvalid.
// Reset (rst_n, synchronous, active low, one cycle suffices) drops every word inside; the next word
// is fold 0. Words offered during reset are lost.

module lookup_activation #(
    parameter int unsigned CHANNELS = 1,  // a multiple of PE
    parameter int unsigned PE = 1,
    parameter int unsigned IN_WIDTH = 16,  // 1 to 48
    parameter bit IN_SIGNED = 1,
    parameter bit HAS_SCALE = 0,
    parameter int unsigned SCALE_WIDTH = 16,  // signed, 1 to 48
    parameter bit SCALE_PER_CHANNEL = 0,
    parameter string SCALE_FILE = "scale.mem",
    parameter logic [SCALE_WIDTH-1:0] SCALE = '0,
    parameter int unsigned SCALE_SHIFT = 0,  // 0 to 48, only without HAS_SCALE
    parameter bit HAS_BIAS = 0,
    parameter int unsigned BIAS_WIDTH = 16,  // signed, 1 to 96
    parameter bit BIAS_PER_CHANNEL = 0,
    parameter string BIAS_FILE = "bias.mem",
    parameter logic [BIAS_WIDTH-1:0] BIAS = '0,
    parameter int unsigned SHIFT = 0,  // 0 to 64
    parameter bit WRAP = 1,
    parameter int OFFSET = 0,  // smallest v with an entry of its own, only without WRAP
    parameter int unsigned TABLE_BITS = 8,  // 1 to 16
    parameter string TABLE_FILE = "table.mem",
    parameter int unsigned FOLD = 0,
    parameter bit DIRECT = 0,
    parameter logic [PE*SCALE_WIDTH-1:0] SCALES = '0,
    parameter logic [PE*BIAS_WIDTH-1:0] BIASES = '0,
    parameter string TABLE_STYLE = "auto",  // "auto" by size, "distributed", "block"
    parameter int unsigned OUT_WIDTH = 8  // 1 to 32
) (
    input  logic                    clk,
    input  logic                    rst_n,
    input  logic [ PE*IN_WIDTH-1:0] s_axis_tdata,
    input  logic                    s_axis_tvalid,
    output logic                    s_axis_tready,
    output logic [PE*OUT_WIDTH-1:0] m_axis_tdata,
    output logic                    m_axis_tvalid,
    input  logic                    m_axis_tready
);

  if (PE < 1 || CHANNELS < 1 || CHANNELS % PE != 0) begin : g_check_pe
    $fatal(1, "PE=%0d must divide CHANNELS=%0d, both positive", PE, CHANNELS);
  end
  if (IN_WIDTH < 1 || IN_WIDTH > 48) begin : g_check_in_width
    $fatal(1, "IN_WIDTH=%0d must lie in 1 to 48", IN_WIDTH);
  end
  if (SCALE_WIDTH < 1 || SCALE_WIDTH > 48) begin : g_check_scale_width
    $fatal(1, "SCALE_WIDTH=%0d must lie in 1 to 48", SCALE_WIDTH);
  end
  if (SCALE_SHIFT > 48 || (HAS_SCALE && SCALE_SHIFT != 0)) begin : g_check_scale_shift
    $fatal(1, "SCALE_SHIFT=%0d must lie in 0 to 48, and be 0 with HAS_SCALE", SCALE_SHIFT);
  end
  if (BIAS_WIDTH < 1 || BIAS_WIDTH > 96) begin : g_check_bias_width
    $fatal(1, "BIAS_WIDTH=%0d must lie in 1 to 96", BIAS_WIDTH);
  end
  if (SHIFT > 64) begin : g_check_shift
    $fatal(1, "SHIFT=%0d must lie in 0 to 64", SHIFT);
  end
  if (WRAP && OFFSET != 0) begin : g_check_offset
    $fatal(1, "OFFSET=%0d must be 0 with WRAP: rotate the table instead", OFFSET);
  end
  if (TABLE_BITS < 1 || TABLE_BITS > 16) begin : g_check_table_bits
    $fatal(1, "TABLE_BITS=%0d must lie in 1 to 16", TABLE_BITS);
  end
  if (FOLD > 2 || FOLD >= TABLE_BITS) begin : g_check_fold
    $fatal(1, "FOLD=%0d must be 0, 1 or 2 and below TABLE_BITS=%0d", FOLD, TABLE_BITS);
  end
  if (OUT_WIDTH < 1 || OUT_WIDTH > 32) begin : g_check_out_width
    $fatal(1, "OUT_WIDTH=%0d must lie in 1 to 32", OUT_WIDTH);
  end

  if (DIRECT && CHANNELS != PE) begin : g_check_direct
    $fatal(1, "DIRECT is for CHANNELS=%0d equal to PE=%0d", CHANNELS, PE);
  end

  localparam int unsigned FOLDS = CHANNELS / PE;
  localparam int unsigned FOLD_WIDTH = dhq_rtl_pkg::index_width(FOLDS);
  // Bits of x·M + B, all or as many as matter.
  localparam int unsigned WIDTH = dhq_rtl_pkg::used_width(
      dhq_rtl_pkg::affine_width(
          IN_WIDTH, IN_SIGNED, HAS_SCALE, SCALE_WIDTH, SCALE_SHIFT, HAS_BIAS, BIAS_WIDTH
      ),
      SHIFT, WRAP, TABLE_BITS
  );
  localparam int unsigned AFFINE_STAGES = DIRECT ? 0 : dhq_rtl_pkg::affine_stages(
      HAS_SCALE, HAS_BIAS, dhq_rtl_pkg::min_of(IN_WIDTH + (IN_SIGNED ? 0 : 1), WIDTH),
      dhq_rtl_pkg::min_of(SCALE_WIDTH, WIDTH)
  );
  localparam int unsigned ADDRESS_STAGES = WRAP || DIRECT ? 1 : 2;
  localparam int unsigned TABLE_STAGE = AFFINE_STAGES + ADDRESS_STAGES;
  localparam bit ENTRY_OUT = DIRECT && FOLD == 0;
  localparam int unsigned STAGES = TABLE_STAGE + (ENTRY_OUT ? 1 : 2);

  logic [STAGES-1:0] enable;

  dhq_pipeline_control #(
      .STAGES(STAGES)
  ) control (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .enable
  );

  // ---------------------------------------------------------------------------------- constants
  // Without HAS_SCALE and HAS_BIAS nothing reads it.
  // verilator lint_off UNUSEDSIGNAL
  logic [FOLD_WIDTH-1:0] fold;
  // verilator lint_on UNUSEDSIGNAL

  if (!DIRECT && ((HAS_SCALE && SCALE_PER_CHANNEL) || (HAS_BIAS && BIAS_PER_CHANNEL))) begin : g_fold
    always_ff @(posedge clk) begin
      if (!rst_n) fold <= '0;
      else if (s_axis_tvalid && s_axis_tready)
        fold <= (fold == FOLD_WIDTH'(FOLDS - 1)) ? '0 : fold + 1'b1;
    end
  end else begin : g_no_fold
    assign fold = '0;
  end

  logic [PE-1:0][SCALE_WIDTH-1:0] scale;
  logic [PE-1:0][BIAS_WIDTH-1:0] bias;

  if (DIRECT) begin : g_scales
    assign scale = SCALES;
  end else if (HAS_SCALE) begin : g_scale
    lookup_parameter #(
        .PER_CHANNEL(SCALE_PER_CHANNEL),
        .FOLDS(FOLDS),
        .LANES(PE),
        .WIDTH(SCALE_WIDTH),
        .FILE(SCALE_FILE),
        .VALUE(SCALE)
    ) scales (
        .clk,
        .enable(enable[0]),
        .fold,
        .values(scale)
    );
  end else begin : g_no_scale
    assign scale = '0;
  end

  if (DIRECT) begin : g_biases
    assign bias = BIASES;
  end else if (HAS_BIAS) begin : g_bias
    lookup_parameter #(
        .PER_CHANNEL(BIAS_PER_CHANNEL),
        .FOLDS(FOLDS),
        .LANES(PE),
        .WIDTH(BIAS_WIDTH),
        .FILE(BIAS_FILE),
        .VALUE(BIAS)
    ) biases (
        .clk,
        .enable(enable[0]),
        .fold,
        .values(bias)
    );
  end else begin : g_no_bias
    assign bias = '0;
  end

  // -------------------------------------------------------------------------------------- lanes
  logic [PE-1:0][TABLE_BITS-FOLD-1:0] address;
  logic [PE-1:0] negate;

  for (genvar lane = 0; lane < PE; lane++) begin : g_lane
    logic signed [WIDTH-1:0] sum;
    logic signed [WIDTH-SHIFT-1:0] v;

    if (DIRECT) begin : g_direct
      localparam int unsigned X_WIDTH = dhq_rtl_pkg::min_of(IN_WIDTH + (IN_SIGNED ? 0 : 1), WIDTH);
      logic signed [X_WIDTH-1:0] x;
      assign x = X_WIDTH'($signed({IN_SIGNED && s_axis_tdata[(lane+1)*IN_WIDTH-1],
                                   s_axis_tdata[lane*IN_WIDTH+:IN_WIDTH]}));
      assign sum = ((HAS_SCALE ? WIDTH'(x) * WIDTH'($signed(scale[lane])) : WIDTH'(x)) <<< SCALE_SHIFT)
                   + (HAS_BIAS ? WIDTH'($signed(bias[lane])) : '0);
    end else begin : g_registered
      lookup_affine #(
          .IN_WIDTH(IN_WIDTH),
          .IN_SIGNED(IN_SIGNED),
          .HAS_SCALE(HAS_SCALE),
          .SCALE_WIDTH(SCALE_WIDTH),
          .SCALE_SHIFT(SCALE_SHIFT),
          .HAS_BIAS(HAS_BIAS),
          .BIAS_WIDTH(BIAS_WIDTH),
          .WIDTH(WIDTH)
      ) affine (
          .clk,
          .enable(enable[AFFINE_STAGES-1:0]),
          .data  (s_axis_tdata[lane*IN_WIDTH+:IN_WIDTH]),
          .scale (scale[lane]),
          .bias  (bias[lane]),
          .result(sum)
      );
    end

    assign v = (WIDTH - SHIFT)'(sum >>> SHIFT);

    lookup_address #(
        .WIDTH(WIDTH - SHIFT),
        .WRAP(WRAP),
        .DIRECT(DIRECT),
        .OFFSET(OFFSET),
        .INDEX_BITS(TABLE_BITS),
        .FOLD(FOLD)
    ) addresses (
        .clk,
        .enable (enable[AFFINE_STAGES+:ADDRESS_STAGES]),
        .v,
        .address(address[lane]),
        .negate (negate[lane])
    );
  end

  // -------------------------------------------------------------------------------------- table
  logic [PE-1:0][OUT_WIDTH-1:0] entry;

  for (genvar lane = 0; lane < PE; lane += 2) begin : g_table
    localparam int unsigned PORTS = (lane + 1 < PE) ? 2 : 1;

    lookup_table #(
        .PORTS(PORTS),
        .ADDRESS_BITS(TABLE_BITS - FOLD),
        .WIDTH(OUT_WIDTH),
        .FILE(TABLE_FILE),
        .STYLE(TABLE_STYLE)
    ) pair (
        .clk,
        .enable (enable[TABLE_STAGE]),
        .address(address[lane+:PORTS]),
        .data   (entry[lane+:PORTS])
    );
  end

  if (ENTRY_OUT) begin : g_entry
    assign m_axis_tdata = entry;
    // verilator lint_off UNUSEDSIGNAL
    logic [PE-1:0] none;
    // verilator lint_on UNUSEDSIGNAL
    assign none = negate;
  end else begin : g_result
    logic [PE-1:0] negate_entry;
    logic [PE-1:0][OUT_WIDTH-1:0] y;

    always_comb begin
      for (int unsigned lane = 0; lane < PE; lane++)
        y[lane] = (entry[lane] ^ {OUT_WIDTH{negate_entry[lane]}}) + OUT_WIDTH'(negate_entry[lane]);
    end

    always_ff @(posedge clk) begin
      if (enable[TABLE_STAGE]) negate_entry <= negate;
      if (enable[STAGES-1]) m_axis_tdata <= y;
    end
  end

`ifndef SYNTHESIS
  dhq_stream_monitor #(
      .WIDTH(PE * OUT_WIDTH),
      .HELD(1),
      .LATENCY(STAGES)
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
