// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// matrix_vector: W·x. Both ways through it are timed as its header says, whatever stalls.

module prove_matrix_vector #(
    parameter int unsigned MW = 2,
    parameter int unsigned MH = 2,
    parameter int unsigned PE = 1,
    parameter int unsigned SIMD = 1,
    parameter int unsigned IN_LANES = 1,
    parameter int unsigned OUT_LANES = 1,
    parameter int unsigned IN_WIDTH = 2,
    parameter bit IN_SIGNED = 1,
    parameter int unsigned WEIGHT_WIDTH = 3,
    parameter int unsigned ACC_WIDTH = 5,
    parameter int unsigned CHAIN = 1,
    parameter bit [MH-1:0][MW-1:0][WEIGHT_WIDTH-1:0] W = '0,  // of weights.mem, in its order
    parameter bit FULL_RATE = 0
) (
    input logic clk,
    input logic rst_n,
    input logic pick,
    input logic [IN_LANES*IN_WIDTH-1:0] s_data,
    input logic s_valid,
    input logic m_ready
);

  localparam int unsigned COLUMNS = MW / SIMD;
  localparam bit BUFFERED = PE < MH || SIMD > 1;
  localparam int unsigned STAGES =
      (WEIGHT_WIDTH <= 2 ? 3 : 4) + CHAIN - 1 + $clog2((SIMD + CHAIN - 1) / CHAIN);
  localparam int unsigned LATENCY = STAGES + (BUFFERED ? COLUMNS + 3 : 2) + CHAIN;
  // The input memory and the pipeline; vectors of which there are sums, results and two outputs.
  localparam int unsigned CAPACITY =
      ((BUFFERED ? 32 : 0) + STAGES) * SIMD / IN_LANES + 4 * MW / IN_LANES;

  logic s_ready, m_valid;
  logic [OUT_LANES-1:0][ACC_WIDTH-1:0] m_data, expected;
  logic [MW-1:0][IN_WIDTH-1:0] x;
  logic [dhq_rtl_pkg::index_width(MH/OUT_LANES)-1:0] word;

  matrix_vector #(
      .MW(MW), .MH(MH), .PE(PE), .SIMD(SIMD), .IN_LANES(IN_LANES), .OUT_LANES(OUT_LANES),
      .IN_WIDTH(IN_WIDTH), .IN_SIGNED(IN_SIGNED), .WEIGHT_WIDTH(WEIGHT_WIDTH),
      .ACC_WIDTH(ACC_WIDTH), .CHAIN(CHAIN)
  ) dut (
      .clk, .rst_n,
      .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
      .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
  );

  // A weight of 1 bit is a sign: 0 is +1.
  function automatic int weight(input logic [WEIGHT_WIDTH-1:0] code);
    if (WEIGHT_WIDTH == 1) return code[0] ? -1 : 1;
    return 32'($signed(code));
  endfunction

  always_comb
    for (int lane = 0; lane < OUT_LANES; lane++) begin
      automatic int y = 0;
      for (int i = 0; i < MW; i++)
        y += weight(W[32'(word)*OUT_LANES+lane][i])
            * (IN_SIGNED ? 32'($signed(x[i])) : 32'(x[i]));
      expected[lane] = ACC_WIDTH'(y);
    end

  stream_checker #(
      .IN(IN_LANES * IN_WIDTH), .OUT(OUT_LANES * ACC_WIDTH), .WORDS(MW / IN_LANES),
      .OUT_WORDS(MH / OUT_LANES), .CAPACITY(CAPACITY), .HELD(MW / IN_LANES), .LATENCY(LATENCY),
      .FULL_RATE(FULL_RATE)
  ) check (.*, .block(x), .index());

endmodule
