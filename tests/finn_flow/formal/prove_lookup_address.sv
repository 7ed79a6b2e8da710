// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// lookup_address, with its pipeline control: the folded address of v mod n, or of v clipped.

module prove_lookup_address #(
    parameter int unsigned WIDTH = 5,
    parameter bit WRAP = 1,
    parameter int OFFSET = 0,
    parameter int unsigned INDEX_BITS = 3,
    parameter int unsigned FOLD = 0,
    localparam int unsigned STAGES = WRAP ? 1 : 2
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int N = 1 << INDEX_BITS;
  localparam int STORED = N >> FOLD;

  logic s_ready, m_valid, negate;
  logic [STAGES-1:0] enable;
  logic [INDEX_BITS-FOLD-1:0] address;
  logic [WIDTH-1:0] v;
  logic [INDEX_BITS-FOLD:0] expected;

  dhq_pipeline_control #(.STAGES(STAGES)) control (.*);

  lookup_address #(
      .WIDTH(WIDTH), .WRAP(WRAP), .OFFSET(OFFSET), .INDEX_BITS(INDEX_BITS), .FOLD(FOLD)
  ) dut (.clk, .enable, .v(s_data), .address, .negate);

  // Odd: t[n-1-i] = -t[i]. Quarter wave: also t[n/2-1-i] = t[i].
  always_comb begin
    automatic int i = WRAP ? 32'($signed(v)) & (N - 1) : 32'($signed(v)) - OFFSET;
    automatic bit negative = 0;
    i = (i < 0) ? 0 : (i >= N) ? N - 1 : i;
    if (FOLD == 2 && i % (N / 2) >= N / 4) i = i / (N / 2) * (N / 2) + N / 2 - 1 - i % (N / 2);
    if (FOLD == 2 && i >= N / 2) {negative, i} = {1'b1, i - N / 2};
    if (FOLD == 1 && i >= N / 2) {negative, i} = {1'b1, N - 1 - i};
    expected = {negative, (INDEX_BITS - FOLD)'(i)};
  end

  stream_checker #(
      .IN(WIDTH), .OUT(INDEX_BITS - FOLD + 1), .CAPACITY(STAGES), .LATENCY(STAGES)
  ) check (.*, .m_data({negate, address}), .block(v), .word(), .index());

endmodule
