// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Last part of hadamard_transform: pending sign, rounding shift, saturation.
//
//   y = clip(round_half_even(±h / 2^SHIFT), low, 2^(OUT_WIDTH-1) - 1),
//   low = -2^(OUT_WIDTH-1), or one more with NARROW
//
//   s_data ──► [negate] ──► [round] ──► [clip] ──► m_data
//
// Each step exists only where it can change a value: negate if NEGATE has a bit set, round if
// SHIFT > 0, clip if the rounded width can leave the output range. Latency: one cycle per existing
// step (dhq_rtl_pkg::requantizer_latency); with none of them a wire. One word per cycle. No memory:
// ties go to even by adding 2^(SHIFT-1) - 1 plus the quotient's last bit before the shift.
// m_valid, m_data: registers of the last step. s_ready depends on m_ready combinationally.
// Reset (synchronous, active low) drops all words.

module hadamard_requantizer #(
    parameter int unsigned SIMD = 1,
    parameter int unsigned WIDTH = 16,  // of ±h, a bound the parent guarantees
    parameter int unsigned WORDS = 1,  // words per block of the transform
    parameter int unsigned BLOCKS = 1,
    parameter bit [BLOCKS-1:0] NEGATE = '0,  // blocks whose result is negated
    parameter int unsigned SHIFT = 0,
    parameter int unsigned OUT_WIDTH = 16,
    parameter bit NARROW = 0
) (
    // Wires only, if no step exists.
    // verilator lint_off UNUSEDSIGNAL
    input  logic                           clk,
    input  logic                           rst_n,
    // verilator lint_on UNUSEDSIGNAL
    input  logic [SIMD-1:0][    WIDTH-1:0] s_data,
    input  logic                           s_valid,
    output logic                           s_ready,
    output logic [SIMD-1:0][OUT_WIDTH-1:0] m_data,
    output logic                           m_valid,
    input  logic                           m_ready
);

  localparam int unsigned ROUNDED_WIDTH = dhq_rtl_pkg::rounded_width(WIDTH, SHIFT);
  localparam bit CLIP = dhq_rtl_pkg::must_clip(ROUNDED_WIDTH, OUT_WIDTH, NARROW);

  // ------------------------------------------------------------------------------------- negate
  logic [SIMD-1:0][WIDTH-1:0] signed_data;
  logic signed_valid, signed_ready;

  if (NEGATE != '0) begin : g_negate
    logic negate;
    logic [SIMD-1:0][WIDTH-1:0] result;

    hadamard_sign_sequencer #(
        .WORDS (WORDS),
        .BLOCKS(BLOCKS),
        .ROWS  (NEGATE)
    ) signs (
        .clk,
        .rst_n,
        .step(s_valid && s_ready),
        .bits(negate)
    );

    always_comb begin
      for (int unsigned lane = 0; lane < SIMD; lane++)
        result[lane] = (s_data[lane] ^ {WIDTH{negate}}) + WIDTH'(negate);
    end

    dhq_stream_register #(
        .WIDTH(SIMD * WIDTH)
    ) negated (
        .clk,
        .rst_n,
        .s_data (result),
        .s_valid,
        .s_ready,
        .m_data (signed_data),
        .m_valid(signed_valid),
        .m_ready(signed_ready)
    );
  end else begin : g_keep
    assign signed_data  = s_data;
    assign signed_valid = s_valid;
    assign s_ready      = signed_ready;
  end

  // -------------------------------------------------------------------------------------- round
  logic [SIMD-1:0][ROUNDED_WIDTH-1:0] rounded_data;
  logic rounded_valid, rounded_ready;

  if (SHIFT > 0) begin : g_round
    localparam bit [WIDTH:0] BELOW_HALF = (WIDTH + 1)'((64'd1 << (SHIFT - 1)) - 64'd1);
    logic [SIMD-1:0][ROUNDED_WIDTH-1:0] result;

    always_comb begin
      for (int unsigned lane = 0; lane < SIMD; lane++) begin
        automatic logic [WIDTH-1:0] h = signed_data[lane];
        automatic logic [WIDTH:0] sum = {h[WIDTH-1], h} + BELOW_HALF + (WIDTH + 1)'(h[SHIFT]);
        result[lane] = ROUNDED_WIDTH'(sum >> SHIFT);
      end
    end

    dhq_stream_register #(
        .WIDTH(SIMD * ROUNDED_WIDTH)
    ) rounded (
        .clk,
        .rst_n,
        .s_data (result),
        .s_valid(signed_valid),
        .s_ready(signed_ready),
        .m_data (rounded_data),
        .m_valid(rounded_valid),
        .m_ready(rounded_ready)
    );
  end else begin : g_exact
    assign rounded_data  = signed_data;
    assign rounded_valid = signed_valid;
    assign signed_ready  = rounded_ready;
  end

  // --------------------------------------------------------------------------------------- clip
  if (CLIP) begin : g_clip
    localparam bit [OUT_WIDTH-1:0] HIGH = {1'b0, {(OUT_WIDTH - 1) {1'b1}}};
    localparam bit [OUT_WIDTH-1:0] LOW = {1'b1, {(OUT_WIDTH - 1) {1'b0}}} | OUT_WIDTH'(NARROW);
    // Bits that are all equal in a value that fits.
    localparam int unsigned HEAD = ROUNDED_WIDTH - OUT_WIDTH + 1;
    logic [SIMD-1:0][OUT_WIDTH-1:0] result;

    always_comb begin
      for (int unsigned lane = 0; lane < SIMD; lane++) begin
        automatic logic [ROUNDED_WIDTH-1:0] value = rounded_data[lane];
        automatic logic negative = value[ROUNDED_WIDTH-1];
        automatic logic fits = value[ROUNDED_WIDTH-1-:HEAD] == {HEAD{negative}};
        automatic logic lowest = NARROW && negative && value[OUT_WIDTH-2:0] == '0;
        result[lane] = (fits && !lowest) ? value[OUT_WIDTH-1:0] : negative ? LOW : HIGH;
      end
    end

    dhq_stream_register #(
        .WIDTH(SIMD * OUT_WIDTH)
    ) clipped (
        .clk,
        .rst_n,
        .s_data (result),
        .s_valid(rounded_valid),
        .s_ready(rounded_ready),
        .m_data,
        .m_valid,
        .m_ready
    );
  end else begin : g_extend
    always_comb begin
      for (int unsigned lane = 0; lane < SIMD; lane++)
        m_data[lane] = OUT_WIDTH'($signed(rounded_data[lane]));
    end
    assign m_valid = rounded_valid;
    assign rounded_ready = m_ready;
  end

endmodule
