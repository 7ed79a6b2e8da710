// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// A network of sine layers on one multiplier and one table; see naive.py, which fills in @NAMES@.
//
// LOAD takes the inputs into half of the memory of activations, RUN issues the products of a layer,
// DRAIN waits until the last one is in the other half. The sink must always be ready.

module peer (
    input  logic ap_clk, ap_rst_n,
    input  logic [@IN_WIDTH@-1:0] s_axis_0_tdata,
    input  logic s_axis_0_tvalid,
    output logic s_axis_0_tready,
    output logic [@OUT_WIDTH@-1:0] m_axis_0_tdata,
    output logic m_axis_0_tvalid,
    input  logic m_axis_0_tready
);
  localparam int unsigned LATENCY = 4;  // from a product to the activation in memory
  localparam int unsigned NW = $clog2(@HIDDEN@ > 3 ? @HIDDEN@ : 4);

  typedef enum logic [1:0] {LOAD, RUN, DRAIN} state_t;
  state_t state;
  logic half;
  logic [$clog2(@LAYERS@)-1:0] layer;
  logic [NW-1:0] column, row, last_column, last_row;
  logic [$clog2(@WEIGHTS@)-1:0] at;
  logic [$clog2(@ROWS@)-1:0] row_at;
  logic issue, row_end, final_layer;

  assign final_layer = layer == @LAYERS@ - 1;
  assign last_column = layer == 0 ? NW'(@INPUTS@ - 1) : NW'(@HIDDEN@ - 1);
  assign last_row = final_layer ? NW'(@OUTPUTS@ - 1) : NW'(@HIDDEN@ - 1);
  assign issue = state == RUN;
  assign row_end = column == last_column;
  assign s_axis_0_tready = state == LOAD;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      state <= LOAD;
      {half, layer, column, row, at, row_at} <= '0;
    end else case (state)
      LOAD: if (s_axis_0_tvalid) begin
        column <= column == @INPUTS@ - 1 ? '0 : column + 1'b1;
        if (column == @INPUTS@ - 1) state <= RUN;
      end
      RUN: begin
        at <= at == @WEIGHTS@ - 1 ? '0 : at + 1'b1;
        column <= row_end ? '0 : column + 1'b1;
        if (row_end) begin
          row_at <= row_at == @ROWS@ - 1 ? '0 : row_at + 1'b1;
          row <= row == last_row ? '0 : row + 1'b1;
          if (row == last_row) state <= DRAIN;
        end
      end
      default: begin
        column <= column == LATENCY - 1 ? '0 : column + 1'b1;
        if (column == LATENCY - 1) begin
          half <= !half;
          layer <= final_layer ? '0 : layer + 1'b1;
          state <= final_layer ? LOAD : RUN;
        end
      end
    endcase
  end

  (* rom_style = "block" *) logic [@WEIGHT_WIDTH@-1:0] weights[@WEIGHTS@];
  (* ram_style = "registers", rom_style = "distributed" *) logic [@SUM_WIDTH@-1:0] biases[@ROWS@];
  (* rom_style = "block" *) logic [@WIDTH@-1:0] sines[2**@TABLE_BITS@];
  (* ram_style = "distributed" *) logic [@WIDTH@-1:0] activations[2*2**NW];
  initial begin
    $readmemh("@FOLDER@/weights.mem", weights);
    $readmemh("@FOLDER@/biases.mem", biases);
    $readmemh("@FOLDER@/table.mem", sines);
  end

  logic signed [@WEIGHT_WIDTH@-1:0] w;
  logic signed [@WIDTH@-1:0] x, y;
  logic signed [@WEIGHT_WIDTH@+@WIDTH@-1:0] product;
  logic signed [@SUM_WIDTH@-1:0] bias, sum;
  logic [2:0] used, first, last, out;
  logic [NW-1:0] place;
  logic found;

  always_ff @(posedge ap_clk) begin
    used  <= ap_rst_n ? {used[1:0], issue} : '0;
    first <= {first[1:0], column == '0};
    last  <= {last[1:0], issue && row_end};
    out   <= {out[1:0], final_layer};
    w <= weights[at];
    x <= activations[{half, column}];
    product <= w * x;
    if (first[0]) bias <= biases[row_at];
    if (used[1]) sum <= (first[1] ? bias : sum) + product;
    found <= ap_rst_n && last[2] && !out[2];
    y     <= sines[sum[@SHIFT@+:@TABLE_BITS@]];
    if (!ap_rst_n || s_axis_0_tready) place <= '0;
    else if (found) place <= place == @HIDDEN@ - 1 ? '0 : place + 1'b1;
    if (s_axis_0_tready ? s_axis_0_tvalid : found)
      activations[s_axis_0_tready ? {half, column} : {!half, place}] <=
          s_axis_0_tready ? @WIDTH@'($signed(s_axis_0_tdata)) : y;
  end
  assign m_axis_0_tvalid = last[2] && out[2];
  assign m_axis_0_tdata = @OUT_WIDTH@'(sum);
endmodule
