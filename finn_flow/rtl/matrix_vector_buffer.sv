// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// Input memory of matrix_vector: at least two vectors of WORDS words, a word is LANES numbers.
//
// Numbers enter IN_LANES at a time. `complete` says that a vector is there that was not begun. The
// parent asks for the words of a vector in order, again and again:
//
//   next          the next word is wanted
//   rewind        it ends a pass over the vector
//   last_pass     this is the last pass, after which the next vector follows
//   begin_vector  if a vector is complete it is begun
//
// all with enable; column is the place of the word in the vector, which WORDS a power of two read it
// by. Lane l of a word is on x for the enabled cycle 1 + l mod CHAIN cycles after next.
// Each lane has a memory of its own: numbers come in several at a time or few, and leave at different
// times, without registers. A word is released when its last lane was read in the last pass.
// Reset empties it.

module matrix_vector_buffer #(
    parameter int unsigned LANES = 4,
    parameter int unsigned IN_LANES = 1,  // a divisor of LANES
    parameter int unsigned WIDTH = 8,
    parameter int unsigned WORDS = 4,
    parameter int unsigned CHAIN = 4,  // at most LANES
    parameter int unsigned DEPTH = 32  // words, a power of two above WORDS
) (
    input  logic                             clk,
    input  logic                             rst_n,
    input  logic [IN_LANES-1:0][WIDTH-1:0] s_data,
    input  logic                             s_valid,
    output logic                             s_ready,
    output logic                             complete,
    input  logic                             enable,
    input  logic                             begin_vector,
    input  logic                             next,
    // Aligned vectors need no rewind, others no column.
    // verilator lint_off UNUSEDSIGNAL
    input  logic                             rewind,
    input  logic [dhq_rtl_pkg::index_width(WORDS)-1:0] column,
    // verilator lint_on UNUSEDSIGNAL
    input  logic                             last_pass,
    output logic [   LANES-1:0][WIDTH-1:0] x
);

  localparam int unsigned AW = dhq_rtl_pkg::index_width(DEPTH);
  localparam int unsigned FW = dhq_rtl_pkg::index_width(DEPTH + 1);
  localparam int unsigned WW = dhq_rtl_pkg::index_width(WORDS);
  localparam int unsigned CHUNKS = LANES / IN_LANES;
  localparam int unsigned CW = dhq_rtl_pkg::index_width(CHUNKS);
  localparam int unsigned VW = dhq_rtl_pkg::index_width(DEPTH / WORDS + 1);
  // Then vectors begin at multiples of WORDS, and an address is the number of a vector and a column.
  localparam bit ALIGNED = dhq_rtl_pkg::is_power_of_two(WORDS);

  // ------------------------------------------------------------------------------------- writing
  logic [AW:0] written;  // words, modulo twice the depth
  logic [AW-1:0] write_at;
  logic [CW-1:0] chunk;
  logic [FW-1:0] fill;  // words written and not released
  logic accept, word_in, release_word, taken;

  assign write_at = written[AW-1:0];
  assign s_ready  = fill != FW'(DEPTH);
  assign accept   = s_valid && s_ready;
  assign word_in  = accept && chunk == CW'(CHUNKS - 1);
  assign taken    = enable && begin_vector && complete;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {written, chunk, fill} <= '0;
    end else begin
      if (accept) chunk <= word_in ? '0 : chunk + 1'b1;
      if (word_in) written <= written + 1'b1;
      if (word_in != release_word) fill <= word_in ? fill + 1'b1 : fill - 1'b1;
    end
  end

  // ------------------------------------------------------------------------------------- reading
  logic [AW-1:0] pointer;
  // The initial value keeps Yosys from taking these registers into the memories, from where they
  // come back without their clock enable, a LUT a bit.
  logic [CHAIN-1:0][AW-1:0] read_at;
  initial read_at = '0;
  logic [CHAIN-1:0] releasing;

  // In its last pass a word is read for the last time.
  assign release_word = enable && releasing[CHAIN-1];

  always_ff @(posedge clk) begin
    if (!rst_n) releasing <= '0;
    else if (enable) releasing <= CHAIN'({releasing, next && last_pass});
    if (enable) read_at <= (CHAIN * AW)'({read_at, pointer});
  end

  if (ALIGNED) begin : g_aligned
    localparam int unsigned WB = $clog2(WORDS);
    logic [AW-WB:0] begun;  // vectors, modulo twice as many as there is room for
    logic [AW-WB-1:0] reading;

    assign complete = begun != written[AW:WB];
    assign pointer  = (AW'(reading) << WB) | AW'(column);

    always_ff @(posedge clk) begin
      if (!rst_n) begun <= '0;
      else if (taken) begun <= begun + 1'b1;
      if (taken) reading <= begun[AW-WB-1:0];
    end
  end else begin : g_anywhere
    logic [AW-1:0] at, base;
    logic [WW-1:0] word;  // of the vector
    logic [VW-1:0] vectors;  // complete and not begun
    logic vector_in, done;

    assign vector_in = word_in && word == WW'(WORDS - 1);
    assign complete  = vectors != '0;
    assign done      = rewind && last_pass;
    assign pointer   = at;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        {at, base, word, vectors} <= '0;
      end else begin
        if (word_in) word <= vector_in ? '0 : word + 1'b1;
        if (vector_in != taken) vectors <= vector_in ? vectors + 1'b1 : vectors - 1'b1;
        if (enable && next) begin
          at <= rewind && !done ? base : at + 1'b1;
          if (done) base <= at + 1'b1;
        end
      end
    end
  end

  for (genvar lane = 0; lane < LANES; lane++) begin : g_lane
    (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[DEPTH];
    always_ff @(posedge clk)
      if (accept && chunk == CW'(lane / IN_LANES)) memory[write_at] <= s_data[lane%IN_LANES];
    assign x[lane] = memory[read_at[lane%CHAIN]];
  end

endmodule
