# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The Verilog around an accelerator that makes it a source of samples, and needs no input.

coordinate_source ──► accelerator ──► sample_sink ──► sample_packer ──► m_axis_0
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dhq_brevitas.finn_flow.engine.grid import CodeGrid
from dhq_brevitas.finn_flow.engine.integer_affine import IntegerAffine
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.widths import signed_bits
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat
from dhq_brevitas.signals.samples import SampleFormat

KERNELS = ("coordinate_source", "sample_sink", "sample_packer")
SHELLS = ("axis", "pixels")
#: File of IntegerAffine.late.
LATE = "dhq_late.dat"
#: Where AXI4-Stream Video has red, green and blue: green lowest (UG934, video format 2).
VIDEO_ORDER = (1, 2, 0)

_ENGINE = """\
// A source of samples that needs no input; generated, do not edit.

module {name} (
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF m_axis_0, ASSOCIATED_RESET ap_rst_n" *)
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
    input  wire ap_clk,
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire ap_rst_n,
    output wire [{data}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready,
    output wire m_axis_0_tlast,{ignored}
    output wire m_axis_0_tuser
);

  wire [{codes}:0] codes_tdata;
  wire [{sums}:0] sums_tdata;
  wire [{samples}:0] samples_tdata;
  wire [{gathered}:0] gathered;
  wire codes_tvalid, codes_tready, sums_tvalid, sums_tready, samples_tvalid, samples_tready;
  assign m_axis_0_tdata = {output};

{source}
  {accelerator} accelerator (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .s_axis_0_tdata({input}),
      .s_axis_0_tvalid(codes_tvalid),
      .s_axis_0_tready(codes_tready),
      .m_axis_0_tdata(sums_tdata),
      .m_axis_0_tvalid(sums_tvalid),
      .m_axis_0_tready(sums_tready)
  );

{sink}
{packer}
endmodule
"""


@dataclass(frozen=True)
class OutputStream:
    """How samples leave.

    Attributes:
        order: channel of each sample of a beat that holds a whole pixel; of the first beat
            otherwise, and the channels go on from beat to beat.
        sample_bits: of a sample.
        width: bits of TDATA; those above the samples are zero.
        gather: words of the accelerator in a beat.
        line: beats to TLAST; lines: lines to the next TUSER.
        video: whether TUSER belongs to the stream, as in AXI4-Stream Video; a DMA has none.
    """

    order: tuple[int, ...]
    sample_bits: int
    width: int
    gather: int
    line: int
    lines: int
    video: bool

    @property
    def lanes(self) -> int:
        """Samples of a beat."""
        return len(self.order)

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.line * self.lines

    @classmethod
    def of(
        cls, shell: str, grid: CodeGrid, words: StreamFormat, samples: SampleFormat
    ) -> "OutputStream":
        """The stream of a shell; FlowError for one that does not suit the grid or the samples.

        ``words``: how the accelerator gives its results.
        """
        points, channels = math.prod(grid.sizes), words.lanes * words.beats
        if shell == "axis":
            used = words.lanes * samples.bits
            width = 8 << max(0, (used - 1).bit_length() - 3)
            order = tuple(range(words.lanes))
            return cls(order, samples.bits, width, 1, points * words.beats, 1, False)
        if shell != "pixels":
            raise FlowError(f"shell={shell!r} does not exist: use one of {', '.join(SHELLS)}")
        if len(grid.sizes) != 2 or channels not in (1, 3) or samples.bits != 8:
            raise FlowError(
                f"--shell pixels is for pictures of 1 or 3 channels of 8 bits; this signal has "
                f"{len(grid.sizes)} axes and {channels} channels of {samples.bits} bits: use "
                "--shell axis"
            )
        order = VIDEO_ORDER if channels == 3 else (0,)
        return cls(order, 8, 8 * channels, words.beats, grid.sizes[1], grid.sizes[0], True)


def engine_text(
    name: str,
    accelerator: str,
    grid: CodeGrid,
    affine: IntegerAffine,
    given: StreamFormat,
    wanted: StreamFormat,
    stream: OutputStream,
    samples: SampleFormat,
) -> str:
    """The module ``name`` around the module ``accelerator``, whose streams are as described."""
    in_used = given.lanes * given.datatype.bitwidth()
    out_used = wanted.lanes * wanted.datatype.bitwidth()
    word = wanted.lanes * samples.bits
    packer: dict[str, int | str] = {
        "WIDTH": word,
        "GATHER": stream.gather,
        "LINE": stream.line,
        "LINES": stream.lines,
    }
    order = (f"gathered[{samples.bits * c} +: {samples.bits}]" for c in reversed(stream.order))
    marks = {f"m_axis_{mark}": f"m_axis_0_{mark}" for mark in ("tlast", "tuser")}
    return _ENGINE.format(
        name=name,
        accelerator=accelerator,
        data=stream.width - 1,
        ignored="" if stream.video else '\n    (* X_INTERFACE_IGNORE = "true" *)',
        codes=in_used - 1,
        sums=_padded(out_used) - 1,
        samples=word - 1,
        gathered=word * stream.gather - 1,
        output=_zero_extended(f"{{{', '.join(order)}}}", word * stream.gather, stream.width),
        input=_zero_extended("codes_tdata", in_used, _padded(in_used)),
        source=_instance(
            "coordinate_source", "source", _source_parameters(grid, given), {"m_axis": "codes"}
        ),
        sink=_instance(
            "sample_sink",
            "sink",
            _sink_parameters(affine, wanted, samples),
            {"s_axis": "sums", "m_axis": "samples"},
            {"s_axis_tdata": f"sums_tdata[{out_used - 1}:0]"},
        ),
        packer=_instance(
            "sample_packer",
            "packer",
            packer,
            {"s_axis": "samples", "m_axis": "m_axis_0"},
            {"m_axis_tdata": "gathered", **marks},
        ),
    )


def _source_parameters(grid: CodeGrid, given: StreamFormat) -> dict[str, int | str]:
    bits = given.datatype.bitwidth()
    lasts = [side - 1 for side in grid.sizes]
    index_bits = max(16, max(lasts).bit_length())
    return {
        "AXES": len(grid.sizes),
        "LANES": given.lanes,
        "WIDTH": bits,
        "INDEX_WIDTH": index_bits,
        "LASTS": packed_literal(lasts, index_bits),
        "STARTS": packed_literal(grid.starts, bits),
        "STEPS": packed_literal(grid.steps, bits),
    }


def _sink_parameters(
    affine: IntegerAffine, wanted: StreamFormat, samples: SampleFormat
) -> dict[str, int | str]:
    scale_bits, bias_bits = (
        signed_bits(min(values), max(values)) for values in (affine.scales, affine.biases)
    )
    corrections = {"CORRECTED": 1, "FILE": f'"./{LATE}"'}
    return {
        "CHANNELS": wanted.lanes * wanted.beats,
        "LANES": wanted.lanes,
        "IN_WIDTH": wanted.datatype.bitwidth(),
        "IN_SIGNED": int(wanted.datatype.signed()),
        "SCALE_WIDTH": scale_bits,
        "BIAS_WIDTH": bias_bits,
        "SCALES": packed_literal(affine.scales, scale_bits),
        "BIASES": packed_literal(affine.biases, bias_bits),
        "SHIFT": affine.shift,
        "OUT_WIDTH": samples.bits,
        "OUT_SIGNED": int(samples.signed),
        "NARROW": int(samples.signed and samples.low > -(1 << (samples.bits - 1))),
        **(corrections if affine.late is not None else {}),
    }


def late_text(affine: IntegerAffine, bits: int) -> str:
    """The memory of sample_sink with CORRECTED, a line for each channel and sample of ``bits``."""
    late = np.zeros((affine.high - affine.low, 1), int) if affine.late is None else affine.late
    rows = np.zeros((late.shape[1], 1 << bits), np.int64)
    rows[:, np.arange(affine.low + 1, affine.high + 1) & ((1 << bits) - 1)] = late.T
    return "".join(f"{count}\n" for count in rows.reshape(-1))


def packed_literal(values: Sequence[int], width: int) -> str:
    """Verilog literal of ``values`` of ``width`` bits in two's complement, the first lowest."""
    mask = (1 << width) - 1
    word = sum((value & mask) << (width * i) for i, value in enumerate(values))
    return f"{width * len(values)}'h{word:x}"


def _padded(bits: int) -> int:
    return -(-bits // 8) * 8


def _zero_extended(net: str, bits: int, width: int) -> str:
    return net if width == bits else f"{{{width - bits}'b0, {net}}}"


def _instance(
    module: str,
    name: str,
    parameters: dict[str, int | str],
    streams: dict[str, str],
    others: dict[str, str] | None = None,
) -> str:
    """An instance whose ports ``<port>_tdata`` … are connected to ``<stream>_tdata`` …"""
    ports = {"clk": "ap_clk", "rst_n": "ap_rst_n"}
    for port, stream in streams.items():
        ports |= {f"{port}_{part}": f"{stream}_{part}" for part in ("tdata", "tvalid", "tready")}
    ports |= others or {}
    return "\n".join(
        [
            f"  {module} #(",
            ",\n".join(f"      .{key}({value})" for key, value in parameters.items()),
            f"  ) {name} (",
            ",\n".join(f"      .{key}({value})" for key, value in ports.items()),
            "  );",
            "",
        ]
    )
