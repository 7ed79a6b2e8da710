// SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
// SPDX-License-Identifier: BSD-3-Clause
//
// What the host does behind the accelerator, in integers: codes become samples.
//
//   sample = clip(floor((code·SCALES[channel] + BIASES[channel]) / 2^SHIFT))
//
//   s_axis ──►[x]─►×─►[product]─►+─►[sum]──►>>> SHIFT, clip──►[sample]──► m_axis
//
// With CORRECTED the least 0 to 3 codes of a sample belong to the sample below: FILE ($readmemh) has
// for channel c and sample s (its bits, unsigned) at c·2^OUT_WIDTH + s how many. SCALES are positive
// then; by how many steps a code is above the least of its sample, the sum's lowest SHIFT bits say.
//
//   [sample, steps]──►[late, steps, sample]──► sample - (steps < late) ──►[sample]──► m_axis
//
// Whoever sets SCALES, BIASES and SHIFT shows that this equals the host's rounding for every code.
// A word is LANES codes of IN_WIDTH bits, the first in the low bits; CHANNELS/LANES words are the
// channels of one sample. Nothing is lost before the shift. The sample is unsigned, or signed with
// OUT_SIGNED, and clipped to OUT_WIDTH bits; with NARROW not to the lowest code.
// Latency: that of lookup_affine and 1 cycle, 2 more with CORRECTED; one word per cycle. s_axis_tready depends on
// m_axis_tready combinationally. Reset (synchronous, active low) empties it, and the next word is
// the first of a sample.

module sample_sink #(
    parameter int unsigned CHANNELS = 3,
    parameter int unsigned LANES = 1,
    parameter int unsigned IN_WIDTH = 16,
    parameter bit IN_SIGNED = 1,
    parameter int unsigned SCALE_WIDTH = 12,
    parameter int unsigned BIAS_WIDTH = 24,
    parameter logic [CHANNELS*SCALE_WIDTH-1:0] SCALES = {CHANNELS{SCALE_WIDTH'(5)}},
    parameter logic [CHANNELS*BIAS_WIDTH-1:0] BIASES = {CHANNELS{BIAS_WIDTH'(1000)}},
    parameter int unsigned SHIFT = 8,
    parameter int unsigned OUT_WIDTH = 8,
    parameter bit OUT_SIGNED = 0,
    parameter bit NARROW = 0,
    parameter bit CORRECTED = 0,
    parameter string FILE = "late.mem",
    localparam int unsigned WORDS = CHANNELS / LANES
) (
    input  logic                       clk,
    input  logic                       rst_n,
    input  logic [ LANES*IN_WIDTH-1:0] s_axis_tdata,
    input  logic                       s_axis_tvalid,
    output logic                       s_axis_tready,
    output logic [LANES*OUT_WIDTH-1:0] m_axis_tdata,
    output logic                       m_axis_tvalid,
    input  logic                       m_axis_tready
);

  if (LANES == 0 || CHANNELS % LANES != 0) begin : g_bad_lanes
    $error("LANES=%0d must divide CHANNELS=%0d", LANES, CHANNELS);
  end
  if (OUT_WIDTH < 2 || OUT_WIDTH > 32) begin : g_bad_width
    $error("OUT_WIDTH=%0d must lie in 2 to 32", OUT_WIDTH);
  end
  if (CORRECTED && OUT_WIDTH > 16) begin : g_bad_correction
    $error("CORRECTED is for samples of at most 16 bits");
  end

  localparam int unsigned FULL = dhq_rtl_pkg::affine_width(
      IN_WIDTH, IN_SIGNED, 1, SCALE_WIDTH, 0, 1, BIAS_WIDTH
  );
  // At least one bit above the sample's.
  localparam int unsigned SUM = dhq_rtl_pkg::max_of(FULL, SHIFT + OUT_WIDTH + 1);
  localparam int unsigned STAGES = dhq_rtl_pkg::affine_stages(
      1, 1, IN_WIDTH + (IN_SIGNED ? 0 : 1), SCALE_WIDTH
  );
  localparam int unsigned WORD_WIDTH = dhq_rtl_pkg::index_width(WORDS);
  localparam int unsigned CHANNEL_WIDTH = dhq_rtl_pkg::index_width(CHANNELS);
  localparam int unsigned ADDRESS_WIDTH = OUT_WIDTH + (CHANNELS == 1 ? 0 : CHANNEL_WIDTH);
  localparam logic [OUT_WIDTH-1:0] HIGH = {!OUT_SIGNED, {(OUT_WIDTH - 1) {1'b1}}};
  localparam logic [OUT_WIDTH-1:0] LOW = !OUT_SIGNED ? '0 : NARROW ? ~HIGH + 1'b1 : ~HIGH;

  localparam int unsigned ALL = STAGES + 1 + (CORRECTED ? 2 : 0);

  logic [ALL-1:0] enable;
  logic [WORD_WIDTH-1:0] word;

  dhq_pipeline_control #(
      .STAGES(ALL)
  ) control (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .enable
  );

  always_ff @(posedge clk) begin
    if (!rst_n) word <= '0;
    else if (s_axis_tvalid && s_axis_tready)
      word <= (word == WORD_WIDTH'(WORDS - 1)) ? '0 : word + 1'b1;
  end

  for (genvar lane = 0; lane < LANES; lane++) begin : g_lane
    logic signed [SCALE_WIDTH-1:0] scale;
    logic signed [BIAS_WIDTH-1:0] bias;
    logic signed [SUM-1:0] sum, shifted;

    always_ff @(posedge clk) begin
      if (enable[0]) begin
        for (int unsigned i = 0; i < WORDS; i++) begin
          if (WORDS == 1 || word == WORD_WIDTH'(i)) begin
            scale <= SCALES[SCALE_WIDTH*(LANES*i+lane)+:SCALE_WIDTH];
            bias  <= BIASES[BIAS_WIDTH*(LANES*i+lane)+:BIAS_WIDTH];
          end
        end
      end
    end

    lookup_affine #(
        .IN_WIDTH(IN_WIDTH),
        .IN_SIGNED(IN_SIGNED),
        .SCALE_WIDTH(SCALE_WIDTH),
        .BIAS_WIDTH(BIAS_WIDTH),
        .WIDTH(SUM)
    ) affine (
        .clk,
        .enable(enable[STAGES-1:0]),
        .data(s_axis_tdata[IN_WIDTH*lane+:IN_WIDTH]),
        .scale,
        .bias,
        .result(sum)
    );

    assign shifted = sum >>> SHIFT;

    // Bits above the sample decide, since a comparison would be a carry chain behind the sum.
    logic [OUT_WIDTH-1:0] sample;
    logic negative, outside;
    assign negative = shifted[SUM-1];
    assign outside = OUT_SIGNED
        ? shifted[SUM-1:OUT_WIDTH-1] != {(SUM - OUT_WIDTH + 1){negative}}
          || (NARROW && shifted[OUT_WIDTH-1:0] == {1'b1, {(OUT_WIDTH - 1){1'b0}}})
        : shifted[SUM-1:OUT_WIDTH] != '0;
    always_ff @(posedge clk) begin
      if (enable[STAGES])
        sample <= !outside ? shifted[OUT_WIDTH-1:0] : negative ? LOW : HIGH;
    end

    if (CORRECTED) begin : g_corrected
      // The channels go along with the pipeline.
      logic [CHANNEL_WIDTH-1:0] channel[STAGES+1];
      logic [1:0] late[1 << ADDRESS_WIDTH];
      logic [SUM+1:0] rest, step, two, three;
      logic [1:0] steps, base_steps, base_late;
      logic [OUT_WIDTH-1:0] base, corrected;
      initial $readmemh(FILE, late);

      assign rest  = {2'b0, sum} & ~({(SUM + 2) {1'b1}} << SHIFT);
      assign step  = (SUM + 2)'(SCALES[SCALE_WIDTH*channel[STAGES-1]+:SCALE_WIDTH]);
      assign two   = step << 1;
      assign three = step + two;
      always_ff @(posedge clk) begin
        if (enable[0]) channel[0] <= CHANNEL_WIDTH'(LANES * word + lane);
        for (int unsigned i = 1; i <= STAGES; i++) if (enable[i]) channel[i] <= channel[i-1];
        if (enable[STAGES])
          steps <= outside ? 2'd3 : 2'(rest >= step) + 2'(rest >= two) + 2'(rest >= three);
        if (enable[ALL-2]) begin
          {base, base_steps} <= {sample, steps};
          base_late <= late[ADDRESS_WIDTH'({channel[STAGES], sample})];
        end
        if (enable[ALL-1]) corrected <= base - OUT_WIDTH'(base_steps < base_late);
      end
      assign m_axis_tdata[OUT_WIDTH*lane+:OUT_WIDTH] = corrected;
    end else begin : g_plain
      assign m_axis_tdata[OUT_WIDTH*lane+:OUT_WIDTH] = sample;
    end
  end

endmodule
