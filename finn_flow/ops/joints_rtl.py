# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""RTL variants of the layers with several streams.

=====================  =================  =========================================
variant                of                 kernel
=====================  =================  =========================================
DuplicateStreams_rtl   DuplicateStreams   ``stream_fork.sv``
StreamingConcat_rtl    StreamingConcat    ``stream_concat.sv``
StreamAdd_rtl          ElementwiseAdd     ``stream_add.sv``
StreamMultiply_rtl     ElementwiseMul     ``stream_multiply.sv``
=====================  =================  =========================================

FINN has RTL variants of ElementwiseAdd and ElementwiseMul of its own, for float operands on Versal
devices; so those of integers have other names, and our step of specialization chooses them.

LUT estimates: a register for each bit of a result, an adder of one LUT for each bit of a sum (and
of a partial product, where a factor has several ones), a multiplexer of ⌈inputs / 2⌉ LUTs for each
bit of a concatenation. A product of at most 27 x 18 bits takes a DSP.
"""

import math
from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.transformation.fpgadataflow.set_folding import divisors
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl
from dhq_brevitas.finn_flow.ops.joints import (
    DuplicateStreams,
    ElementwiseAdd,
    ElementwiseMul,
    StreamingConcat,
)
from dhq_brevitas.finn_flow.ops.widths import signed_width

#: Bits that a multiplier takes; of a wider operand `stream_multiply.sv` would need several.
MAX_PRODUCT_BITS = 32
MAX_SUM_BITS = 64


class DuplicateStreams_rtl(DuplicateStreams, KernelRtl):
    """Fork on ``stream_fork.sv``; attributes as in FINN's layer."""

    KERNEL = "stream_fork"
    FOLDING = "PE"

    execute_node = KernelRtl.execute_node

    def kernel_bits(self) -> tuple[list[int], int]:
        bits = self.get_input_datatype().bitwidth()
        return [bits], bits

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        return {
            "OUTPUTS": str(len(self.onnx_node.output)),
            "WIDTH": str(self.get_instream_width()),
        }

    def legal_lanes(self) -> list[int]:
        """Every legal value of PE, ascending."""
        return list(divisors(self.channels))

    def lut_estimation(self, fpgapart: str) -> int:
        return 2 * len(self.onnx_node.output) + 1


class StreamingConcat_rtl(StreamingConcat, KernelRtl):
    """Concatenation on ``stream_concat.sv``; attributes as in the layer."""

    KERNEL = "stream_concat"
    FOLDING = "SIMD"

    execute_node = KernelRtl.execute_node

    def kernel_bits(self) -> tuple[list[int], int]:
        bits = self.get_output_datatype().bitwidth()
        return [bits] * self.get_n_inputs(), bits

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        lanes = self.get_nodeattr("SIMD")
        beats = [channels // lanes for channels in self.get_nodeattr("ChannelsPerStream")]
        words = sum(count << (16 * i) for i, count in enumerate(beats))
        return {
            "INPUTS": str(len(beats)),
            "WIDTH": str(self.get_outstream_width()),
            "BEATS": f"{16 * len(beats)}'h{words:x}",
        }

    def lane_word(self, index: int, word: str, bits: int) -> str:
        factor = self.factors()[index]
        sign = "-" if factor < 0 else ""
        return word if factor == 1 else f"$signed({word}) * {sign}{bits}'sd{abs(factor)}"

    def check_attributes(self) -> None:
        """FlowError for lanes that do not divide every input, or too long vectors."""
        lanes, sizes = self.get_nodeattr("SIMD"), list(self.get_nodeattr("ChannelsPerStream"))
        if any(size % lanes or size // lanes >= 1 << 16 for size in sizes):
            raise FlowError(
                f"{self.label}: SIMD={lanes} does not fold its inputs of {sizes} channels; use one "
                f"of {self.legal_lanes()}"
            )

    def legal_lanes(self) -> list[int]:
        """Every legal value of SIMD, ascending."""
        return list(divisors(math.gcd(*self.get_nodeattr("ChannelsPerStream"))))

    def lut_estimation(self, fpgapart: str) -> int:
        inputs = self.get_n_inputs()
        return math.ceil(inputs / 2) * self.get_outstream_width() + 2 * inputs + 6


class _ElementwiseRtl(KernelRtl):
    """What sum and product share."""

    FOLDING = "PE"

    execute_node = KernelRtl.execute_node

    def kernel_bits(self) -> tuple[list[int], int]:
        given = [signed_width(self.get_input_datatype(index)) for index in range(2)]
        return given, signed_width(self.get_output_datatype())

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        (a, b), result = self.kernel_bits()
        widths = {"A_WIDTH": str(a), "B_WIDTH": str(b), "OUT_WIDTH": str(result)}
        return {"PE": str(self.get_nodeattr("PE")), **widths}

    def legal_lanes(self) -> list[int]:
        """Every legal value of PE, ascending."""
        return list(divisors(int(self.get_normal_output_shape()[-1])))


class StreamAdd_rtl(ElementwiseAdd, _ElementwiseRtl):
    """Sum on ``stream_add.sv``; attributes as in the layer."""

    KERNEL = "stream_add"

    execute_node = KernelRtl.execute_node

    def get_nodeattr_types(self) -> dict[str, Any]:
        return RTLBackend.get_nodeattr_types(self) | super().get_nodeattr_types()

    def check_attributes(self) -> None:
        """FlowError for sums that the kernel does not hold."""
        if self.kernel_bits()[1] > MAX_SUM_BITS:
            raise FlowError(
                f"{self.label}: its sums of {self.kernel_bits()[1]} bits have more than "
                f"{MAX_SUM_BITS}; quantize the operands before"
            )

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        a, b = self.factors()
        return super().kernel_parameters(model, folder) | {
            "A_FACTOR": str(a),
            "B_FACTOR": str(b),
        }

    def lut_estimation(self, fpgapart: str) -> int:
        adders = 1 + sum(abs(factor).bit_count() - 1 for factor in self.factors())
        return int(self.get_nodeattr("PE")) * adders * self.kernel_bits()[1]


class StreamMultiply_rtl(ElementwiseMul, _ElementwiseRtl):
    """Product on ``stream_multiply.sv``; attributes as in FINN's layer."""

    KERNEL = "stream_multiply"

    execute_node = KernelRtl.execute_node

    def get_nodeattr_types(self) -> dict[str, Any]:
        return RTLBackend.get_nodeattr_types(self) | super().get_nodeattr_types()

    def check_attributes(self) -> None:
        """FlowError for operands that the kernel does not take."""
        bits = self.kernel_bits()[0]
        if max(bits) > MAX_PRODUCT_BITS:
            raise FlowError(
                f"{self.label}: its operands of {bits[0]} and {bits[1]} bits may have at most "
                f"{MAX_PRODUCT_BITS}; quantize them before, for example by QuantIdentity"
            )

    def dsp_estimation(self, fpgapart: str) -> int:
        wide, narrow = sorted(self.kernel_bits()[0], reverse=True)
        slices = math.ceil(wide / 27) * math.ceil(narrow / 18)
        return int(self.get_nodeattr("PE")) * slices

    def lut_estimation(self, fpgapart: str) -> int:
        return 8
