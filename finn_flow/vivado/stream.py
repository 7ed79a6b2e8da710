# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An accelerator behind DMA: widths of bytes that are powers of two, and TLAST.

s_axis_0 ──► accelerator ──► sample_packer ──► m_axis_0
"""

from dhq_brevitas.finn_flow.engine.design import add_top
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host import Stream
from dhq_brevitas.finn_flow.stitching.design import StitchedDesign
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat

STREAM = "dhq_stream"
_MAX_BYTES = 128  # of a beat of AXI DMA (PG021)

_TEXT = """\
// The accelerator with streams as DMA needs them: m_axis_0_tlast marks the last beat of {points}
// samples; generated, do not edit.

module {name} (
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axis_0:m_axis_0, ASSOCIATED_RESET ap_rst_n" *)
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
    input  wire ap_clk,
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire ap_rst_n,
    input  wire [{given}:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    input  wire s_axis_0_tlast,
    output wire [{wanted}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready,
    output wire m_axis_0_tlast
);

  wire [{sums}:0] sums_tdata;
  wire sums_tvalid, sums_tready;

  {accelerator} accelerator (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .s_axis_0_tdata(s_axis_0_tdata[{codes}:0]),
      .s_axis_0_tvalid(s_axis_0_tvalid),
      .s_axis_0_tready(s_axis_0_tready),
      .m_axis_0_tdata(sums_tdata),
      .m_axis_0_tvalid(sums_tvalid),
      .m_axis_0_tready(sums_tready)
  );

  sample_packer #(
      .WIDTH({packed}),
      .LINE({beats})
  ) packer (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .s_axis_tdata({input}),
      .s_axis_tvalid(sums_tvalid),
      .s_axis_tready(sums_tready),
      .m_axis_tdata(m_axis_0_tdata),
      .m_axis_tvalid(m_axis_0_tvalid),
      .m_axis_tready(m_axis_0_tready),
      .m_axis_tlast(m_axis_0_tlast),
      .m_axis_tuser()
  );

endmodule
"""


def make_stream(design: StitchedDesign, points: int) -> tuple[Stream, Stream]:
    """Adds the module ``dhq_stream`` to the folder of ``design``; its input and its output.

    A packet has ``points`` samples. FlowError for several inputs or outputs, and for beats that
    are too wide.
    """
    if len(design.input_formats) != 1 or len(design.output_formats) != 1:
        raise FlowError(
            f"the block design has a DMA of one input and one output, the accelerator "
            f"{len(design.input_formats)} and {len(design.output_formats)}"
        )
    given = dma_stream(design.input_format, points)
    wanted = dma_stream(design.output_format, points)
    used = design.output_format.lanes * wanted.bits
    sums, width = -(-used // 8) * 8, 8 * wanted.beat_bytes
    used_codes = design.input_format.lanes * given.bits
    text = _TEXT.format(
        name=STREAM,
        accelerator=design.top,
        points=points,
        given=8 * given.beat_bytes - 1,
        wanted=width - 1,
        sums=sums - 1,
        codes=-(-used_codes // 8) * 8 - 1,
        packed=width,
        beats=points * design.output_format.beats,
        input="sums_tdata" if sums == width else f"{{{width - sums}'b0, sums_tdata}}",
    )
    add_top(design, STREAM, text, ("sample_packer",))
    return given, wanted


def dma_stream(layout: StreamFormat, points: int) -> Stream:
    """Packets of ``points`` samples of a stream; FlowError for beats that are too wide."""
    bits, size = layout.datatype.bitwidth(), 1
    while 8 * size < layout.lanes * bits:
        size *= 2
    if size > _MAX_BYTES:
        raise FlowError(
            f"a beat of {layout.lanes} values of {bits} bits is wider than the {8 * _MAX_BYTES} "
            "bits of AXI DMA: build with more --cycles-per-sample"
        )
    channels = layout.lanes * layout.beats
    return Stream(points, channels, bits, layout.datatype.signed(), layout.lanes, size)
