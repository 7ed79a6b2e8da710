// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// lookup_parameter and lookup_table: what the file says at the index, with the enable.

module prove_lookup_memory #(
    parameter bit PER_CHANNEL = 1,
    parameter bit BLOCK = 0,
    parameter bit [3:0][3:0] TABLE = '0,  // of table.mem
    parameter bit [2:0][1:0][2:0] SCALES = '0  // of scale.mem: 3 folds of 2 channels; the first is the constant
) (
    input logic clk,
    input logic enable,
    input logic [1:0] fold,
    input logic [1:0][1:0] address
);

  logic [1:0][2:0] values, scales;
  logic [1:0][3:0] data, entries;
  logic loaded;

  lookup_parameter #(
      .PER_CHANNEL(PER_CHANNEL), .FOLDS(3), .LANES(2), .WIDTH(3), .FILE("scale.mem"),
      .VALUE(SCALES[0][0])
  ) parameters (.*);

  lookup_table #(
      .PORTS(2), .ADDRESS_BITS(2), .WIDTH(4), .FILE("table.mem"),
      .STYLE(BLOCK ? "block" : "distributed")
  ) tables (.*);

  initial loaded = 1'b0;
  always_ff @(posedge clk)
    if (enable) begin
      loaded  <= 1'b1;
      scales  <= SCALES[fold];
      entries <= {TABLE[address[1]], TABLE[address[0]]};
    end

  always_comb begin
    assume (fold < 3);
    if (!PER_CHANNEL) a_constant : assert (values == {2{SCALES[0][0]}});
    if (loaded) begin
      if (PER_CHANNEL) a_parameter : assert (values == scales);
      a_entry : assert (data == entries);
    end
  end

endmodule
