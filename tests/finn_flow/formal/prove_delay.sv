// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// hadamard_delay: a read delivers what was written last to its index.
//
// Watched is one index that never changes, of any value. In block RAM its word is there two cycles
// after the write; the parent's own proof shows that it waits so long.

module prove_delay #(
    parameter int unsigned DEPTH = 4,
    parameter int unsigned WIDTH = 2,
    parameter bit BLOCK = 0,
    localparam int unsigned INDEX_WIDTH = dhq_rtl_pkg::index_width(DEPTH)
) (
    input logic clk,
    input logic write,
    input logic [INDEX_WIDTH-1:0] write_index,
    input logic [INDEX_WIDTH-1:0] read_index_next,
    input logic [WIDTH-1:0] write_data,
    input logic [INDEX_WIDTH-1:0] watched
);

  logic [INDEX_WIDTH-1:0] read_index, earlier;
  logic [WIDTH-1:0] read_data, last;
  logic started, written, fresh;

  hadamard_delay #(.DEPTH(DEPTH), .WIDTH(WIDTH), .RAM_STYLE(BLOCK ? "block" : "auto")) dut (.*);

  initial {started, written} = 2'b0;
  always_ff @(posedge clk) begin
    read_index <= read_index_next;
    started <= 1'b1;
    earlier <= watched;
    fresh <= write && write_index == watched;
    if (write && write_index == watched) {written, last} <= {1'b1, write_data};
  end

  always_comb begin
    if (started) assume (watched == earlier);
    assume (write_index < DEPTH && read_index_next < DEPTH);
    if (written && read_index == watched && !(BLOCK && fresh)) a_value : assert (read_data == last);
  end

endmodule
