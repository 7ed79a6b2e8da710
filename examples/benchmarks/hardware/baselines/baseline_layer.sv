// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// One linear layer, y = W·x + b, on PE · SIMD multiply-accumulate units, then a sine or nothing.
//
// FLOAT 1: float32 throughout. The SIMD products of an output are added in pairs, pairs of pairs, …,
//   and their sum to the accumulator, which starts at the bias:
//   acc = acc + ((x0·w0 + x1·w1) + (x2·w2 + x3·w3)), rounded after every operation. DSP_ADDERS as in
//   baseline_fp32_add.
// FLOAT 0: 16 bit integers, products added in ACC_WIDTH bits, exactly; with SINE the sum goes to
//   lookup_activation, which takes it modulo one turn (2^SHIFT · 2^TABLE_BITS).
//
//   s ──► two samples ──► PE·SIMD products ──► trees ──► PE accumulators ──► two samples ──► sine ──► m
//                               ▲ weights                  ▲ bias            PE to 1
//
// Order: for each SIMD inputs, all outputs, PE at a time; so an accumulator is used every OUTPUTS/PE
// cycles, and an adder of three cycles costs no throughput. A sample takes
// INPUTS/SIMD · OUTPUTS/PE cycles, or INPUTS or OUTPUTS if those are more: values enter and leave
// one a cycle. WEIGHT_FILE has a line for each cycle, output-major from the right: weight
// (o, i) of the cycle at bits ((o mod PE) · SIMD + i mod SIMD) · WIDTH; BIAS_FILE a line for each
// OUTPUTS/PE, the first output rightmost.
//
// Flow control is by samples: s_start announces one and needs s_space; its values then come when
// they will. Reset is synchronous, active low.

module baseline_layer #(
    parameter bit FLOAT = 1,
    parameter bit DSP_ADDERS = 0,  // FLOAT 1 only
    parameter int unsigned INPUTS = 4,  // a multiple of SIMD
    parameter int unsigned OUTPUTS = 4,  // a multiple of PE, at least 3 · PE
    parameter int unsigned SIMD = 1,  // a power of two
    parameter int unsigned PE = 1,
    parameter string WEIGHT_FILE = "weights.mem",
    parameter string BIAS_FILE = "bias.mem",
    parameter bit SINE = 1,
    parameter string SINE_FILE = "sine.mem",
    parameter int unsigned SHIFT = 0,  // FLOAT 0 only
    parameter int unsigned TABLE_BITS = 14,  // FLOAT 0 only
    localparam int unsigned WIDTH = FLOAT ? 32 : 16,
    localparam int unsigned ACC_WIDTH = FLOAT ? 32 : 40,
    localparam int unsigned OUT_WIDTH = FLOAT ? 32 : SINE ? 16 : ACC_WIDTH
) (
    input  logic                 clk,
    input  logic                 rst_n,
    input  logic [    WIDTH-1:0] s_data,
    input  logic                 s_valid,
    input  logic                 s_start,
    output logic                 s_space,
    output logic [OUT_WIDTH-1:0] m_data,
    output logic                 m_valid,
    output logic                 m_start,
    input  logic                 m_space
);

  localparam int unsigned ROWS = INPUTS / SIMD;
  localparam int unsigned GROUPS = OUTPUTS / PE;
  localparam int unsigned MULTIPLY = 2;
  localparam int unsigned ADD = FLOAT ? 3 : 1;
  localparam int unsigned LEVELS = $clog2(SIMD);
  // From the address to the operand of the accumulating adder.
  localparam int unsigned BEFORE = 1 + MULTIPLY + LEVELS * ADD;

  if (INPUTS % SIMD != 0 || OUTPUTS % PE != 0 || GROUPS < 3 || SIMD != 1 << LEVELS) begin : g_check
    $fatal(1, "INPUTS=%0d, OUTPUTS=%0d cannot be folded by SIMD=%0d, PE=%0d", INPUTS, OUTPUTS, SIMD,
           PE);
  end

  // ------------------------------------------------------------------- input: room for two samples
  logic [$clog2(INPUTS + 1)-1:0] in_index;
  logic in_bank, read_bank;
  logic [1:0] reserved, filled;
  logic in_last, taken;

  assign s_space = reserved < 2;
  assign in_last = s_valid && in_index == ($bits(in_index))'(INPUTS - 1);
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      in_index <= '0;
      in_bank <= 1'b0;
      reserved <= '0;
      filled <= '0;
    end else begin
      if (s_valid) in_index <= in_last ? '0 : in_index + 1'b1;
      if (in_last) in_bank <= !in_bank;
      reserved <= reserved + 2'(s_start) - 2'(taken);
      filled <= filled + 2'(in_last) - 2'(taken);
    end
  end

  // ------------------------------------------------------------------------------------- sequence
  logic running, last_group, last_cycle;
  logic [1:0] results;  // samples being computed or waiting to leave
  logic result_left;
  logic [$clog2(ROWS + 1)-1:0] row;
  logic [$clog2(GROUPS + 1)-1:0] group;
  logic [$clog2(ROWS * GROUPS + 1)-1:0] cycle;
  logic begin_sample;

  assign last_group = group == ($bits(group))'(GROUPS - 1);
  assign last_cycle = running && last_group && row == ($bits(row))'(ROWS - 1);
  assign begin_sample = (!running || last_cycle) && filled > 2'(last_cycle) && results < 2;
  assign taken = last_cycle;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      running <= 1'b0;
      read_bank <= 1'b0;
      results <= '0;
      row <= '0;
      group <= '0;
      cycle <= '0;
    end else begin
      if (begin_sample) running <= 1'b1;
      else if (last_cycle) running <= 1'b0;
      if (last_cycle) read_bank <= !read_bank;
      results <= results + 2'(begin_sample) - 2'(result_left);
      if (running) begin
        group <= last_group ? '0 : group + 1'b1;
        if (last_group) row <= last_cycle ? '0 : row + 1'b1;
        cycle <= last_cycle ? '0 : cycle + 1'b1;
      end
    end
  end

  // ------------------------------------------------------------------------------------- operands
  logic [PE-1:0][SIMD-1:0][WIDTH-1:0] weights;
  logic [SIMD-1:0][WIDTH-1:0] inputs;
  logic [PE*SIMD*WIDTH-1:0] weight_memory[ROWS*GROUPS];
  initial $readmemh(WEIGHT_FILE, weight_memory);
  always_ff @(posedge clk) weights <= weight_memory[cycle];

  for (genvar lane = 0; lane < SIMD; lane++) begin : g_input
    (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[2*ROWS];
    logic [$clog2(ROWS + 1)-1:0] in_row;
    if (SIMD == 1) assign in_row = in_index;
    else assign in_row = ($bits(in_row))'(in_index / SIMD);
    always_ff @(posedge clk) begin
      if (s_valid && in_index % SIMD == lane) memory[in_row + (in_bank ? ROWS : 0)] <= s_data;
      inputs[lane] <= memory[row + (read_bank ? ROWS : 0)];
    end
  end

  // ------------------------------------------------------------- products, trees and accumulators
  logic [BEFORE:0] first_at, last_at, valid_at;
  logic [$clog2(GROUPS + 1)-1:0] group_at[BEFORE + ADD + 1];
  logic [ADD:0] result_at;
  logic [PE-1:0][ACC_WIDTH-1:0] sums, biases, results_data;

  always_ff @(posedge clk) begin
    for (int unsigned i = 1; i <= BEFORE; i++) begin
      first_at[i] <= first_at[i-1];
      last_at[i] <= last_at[i-1];
      valid_at[i] <= valid_at[i-1] && rst_n;
    end
    for (int unsigned i = 1; i <= BEFORE + ADD; i++) group_at[i] <= group_at[i-1];
    for (int unsigned i = 1; i <= ADD; i++) result_at[i] <= result_at[i-1] && rst_n;
  end
  assign first_at[0] = row == 0;
  assign last_at[0] = row == ($bits(row))'(ROWS - 1);
  assign valid_at[0] = running;
  assign group_at[0] = group;
  assign result_at[0] = valid_at[BEFORE] && last_at[BEFORE];

  logic [PE*ACC_WIDTH-1:0] bias_memory[GROUPS];
  initial $readmemh(BIAS_FILE, bias_memory);
  assign biases = bias_memory[group_at[BEFORE]];

  for (genvar pe = 0; pe < PE; pe++) begin : g_pe
    for (genvar level = 0; level <= LEVELS; level++) begin : g_level
      logic [(SIMD>>level)-1:0][ACC_WIDTH-1:0] values;
      for (genvar i = 0; i < SIMD >> level; i++) begin : g_value
        if (level == 0 && FLOAT) begin : g_multiply
          baseline_fp32_multiply unit (
              .clk,
              .a(inputs[i]),
              .b(weights[pe][i]),
              .p(values[i])
          );
        end else if (level == 0) begin : g_integer_multiply
          logic signed [WIDTH-1:0] x, w;
          always_ff @(posedge clk) begin
            x <= inputs[i];
            w <= weights[pe][i];
            values[i] <= ACC_WIDTH'(x * w);
          end
        end else if (FLOAT) begin : g_add
          baseline_fp32_add #(
              .DSP(DSP_ADDERS)
          ) unit (
              .clk,
              .a(g_level[level-1].values[2*i]),
              .b(g_level[level-1].values[2*i+1]),
              .s(values[i])
          );
        end else begin : g_integer_add
          always_ff @(posedge clk)
            values[i] <= g_level[level-1].values[2*i] + g_level[level-1].values[2*i+1];
        end
      end
    end

    // The sum comes back GROUPS cycles later: ADD of them in the adder.
    logic [ACC_WIDTH-1:0] waiting[GROUPS-ADD+1];
    logic [ACC_WIDTH-1:0] accumulator;
    assign waiting[0] = sums[pe];
    for (genvar i = 1; i <= GROUPS - ADD; i++) begin : g_wait
      always_ff @(posedge clk) waiting[i] <= waiting[i-1];
    end
    assign accumulator = first_at[BEFORE] ? biases[pe] : waiting[GROUPS-ADD];
    if (FLOAT) begin : g_accumulate
      baseline_fp32_add #(
          .DSP(DSP_ADDERS)
      ) unit (
          .clk,
          .a(accumulator),
          .b(g_level[LEVELS].values[0]),
          .s(sums[pe])
      );
    end else begin : g_integer_accumulate
      always_ff @(posedge clk) sums[pe] <= accumulator + g_level[LEVELS].values[0];
    end
  end

  // ------------------------------------------------------------------ output: room for two samples
  (* ram_style = "distributed" *) logic [PE*ACC_WIDTH-1:0] result_memory[2*GROUPS];
  logic write_bank, leave_bank, leaving, leave_last;
  logic [1:0] waiting_samples;
  logic [$clog2(GROUPS + 1)-1:0] leave_group;
  logic [$clog2(PE + 1)-1:0] leave_pe;
  logic written, leave_begin;

  assign written = result_at[ADD] && group_at[BEFORE+ADD] == ($bits(group))'(GROUPS - 1);
  assign leave_last = leaving && leave_pe == ($bits(leave_pe))'(PE - 1)
                      && leave_group == ($bits(group))'(GROUPS - 1);
  assign leave_begin = (!leaving || leave_last) && waiting_samples > 2'(leave_last) && m_space;
  assign result_left = leave_last;
  assign m_start = leave_begin;
  always_ff @(posedge clk) begin
    if (result_at[ADD])
      result_memory[group_at[BEFORE+ADD] + (write_bank ? GROUPS : 0)] <= sums;
    if (!rst_n) begin
      write_bank <= 1'b0;
      leave_bank <= 1'b0;
      leaving <= 1'b0;
      waiting_samples <= '0;
      leave_group <= '0;
      leave_pe <= '0;
    end else begin
      if (written) write_bank <= !write_bank;
      waiting_samples <= waiting_samples + 2'(written) - 2'(leave_last);
      if (leave_begin) leaving <= 1'b1;
      else if (leave_last) leaving <= 1'b0;
      if (leave_last) leave_bank <= !leave_bank;
      if (leaving) begin
        leave_pe <= leave_pe == ($bits(leave_pe))'(PE - 1) ? '0 : leave_pe + 1'b1;
        if (leave_pe == ($bits(leave_pe))'(PE - 1)) leave_group <= leave_last ? '0 : leave_group + 1'b1;
      end
    end
  end

  logic [ACC_WIDTH-1:0] value;
  logic value_valid;
  assign results_data = result_memory[leave_group+(leave_bank?GROUPS : 0)];
  always_ff @(posedge clk) begin
    value <= results_data[leave_pe];
    value_valid <= leaving && rst_n;
  end

  // ----------------------------------------------------------------------------------------- sine
  if (!SINE) begin : g_linear
    assign m_data = value;
    assign m_valid = value_valid;
  end else if (FLOAT) begin : g_float_sine
    logic [6:0] valid;
    baseline_fp32_sine #(
        .TABLE_FILE(SINE_FILE)
    ) sine (
        .clk,
        .t(value),
        .y(m_data)
    );
    assign valid[0] = value_valid;
    always_ff @(posedge clk) for (int i = 1; i < 7; i++) valid[i] <= valid[i-1] && rst_n;
    assign m_valid = valid[6];
  end else begin : g_table
    // The next layer has room for the whole sample, so it never holds back.
    lookup_activation #(
        .IN_WIDTH(ACC_WIDTH),
        .SHIFT(SHIFT),
        .TABLE_BITS(TABLE_BITS),
        .TABLE_FILE(SINE_FILE),
        .FOLD(2),
        .OUT_WIDTH(WIDTH)
    ) sine (
        .clk,
        .rst_n,
        .s_axis_tdata (value),
        .s_axis_tvalid(value_valid),
        .s_axis_tready(),
        .m_axis_tdata (m_data),
        .m_axis_tvalid(m_valid),
        .m_axis_tready(1'b1)
    );
  end

endmodule
