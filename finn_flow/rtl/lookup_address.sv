// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One lane from the integer v to the address of the stored table.
//
//   WRAP 1: index = v mod 2^INDEX_BITS                                          (truncation)
//   WRAP 0: index = clip(v, OFFSET, OFFSET + 2^INDEX_BITS - 1) - OFFSET
//
//   FOLD 0: address = index,                    negate = 0
//   FOLD 1: address = index, or ~index where its top bit is set; negate = the top bit
//   FOLD 2: address = index, or ~index where its second bit is set; negate = the top bit
//   (address without the FOLD top bits)
//
//   v ──► (- OFFSET ──►[difference]──► clip, WRAP 0) ──► fold ──►[address, negate]
//
// enable[i] loads register i. Latency 1 cycle, 2 without WRAP and DIRECT, which leaves the register of
// the difference out. Nothing is reset.

module lookup_address #(
    parameter int unsigned WIDTH = 16,  // of v
    parameter bit WRAP = 1,
    parameter bit DIRECT = 0,
    parameter int OFFSET = 0,
    parameter int unsigned INDEX_BITS = 8,
    parameter int unsigned FOLD = 0,
    localparam int unsigned STAGES = WRAP || DIRECT ? 1 : 2
) (
    input  logic                              clk,
    input  logic        [         STAGES-1:0] enable,
    // WRAP drops the bits above the index.
    // verilator lint_off UNUSEDSIGNAL
    input  logic signed [          WIDTH-1:0] v,
    // verilator lint_on UNUSEDSIGNAL
    output logic        [INDEX_BITS-FOLD-1:0] address,
    output logic                              negate
);

  logic [INDEX_BITS-1:0] index;

  if (WRAP) begin : g_wrap
    assign index = INDEX_BITS'(v);
  end else begin : g_clip
    // Holds v, OFFSET and the largest index, and one bit for the difference.
    localparam int unsigned DIFFERENCE_WIDTH = 1 + dhq_rtl_pkg::max_of(
        dhq_rtl_pkg::max_of(WIDTH, dhq_rtl_pkg::signed_width(OFFSET)), INDEX_BITS + 1
    );
    logic signed [DIFFERENCE_WIDTH-1:0] difference, difference_now;
    logic negative, above;

    assign difference_now = DIFFERENCE_WIDTH'(v) - DIFFERENCE_WIDTH'(OFFSET);
    if (DIRECT) begin : g_now
      assign difference = difference_now;
    end else begin : g_register
      always_ff @(posedge clk) if (enable[0]) difference <= difference_now;
    end

    assign negative = difference[DIFFERENCE_WIDTH-1];
    assign above = !negative && (difference >> INDEX_BITS) != '0;
    assign index = negative ? '0 : above ? '1 : difference[INDEX_BITS-1:0];
  end

  if (FOLD == 0) begin : g_whole
    always_ff @(posedge clk) if (enable[STAGES-1]) address <= index;
    assign negate = 1'b0;
  end else begin : g_fold
    always_ff @(posedge clk) begin
      if (enable[STAGES-1]) begin
        address <= index[INDEX_BITS-FOLD-1:0] ^ {(INDEX_BITS - FOLD) {index[INDEX_BITS-FOLD]}};
        negate  <= index[INDEX_BITS-1];
      end
    end
  end

endmodule
