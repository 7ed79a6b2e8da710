# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""RTL variant of the Hadamard layer: the kernel ``hadamard_transform.sv``."""

from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise_rtl import ChannelwiseRtl, bit_literal
from dhq_brevitas.finn_flow.ops.hadamard_transform import HadamardTransform
from dhq_brevitas.finn_flow.ops.widths import signed_width

#: Of the kernel's inputs, a sign among them.
MAX_INPUT_BITS = 24


class HadamardTransform_rtl(HadamardTransform, ChannelwiseRtl):
    """Hadamard layer on ``hadamard_transform.sv``; attributes as in the layer.

    The kernel is signed. An unsigned input gets a zero as sign; an unsigned output is the signed
    one of one bit more, saturated at zero.
    """

    KERNEL = "hadamard_transform"

    execute_node = ChannelwiseRtl.execute_node

    def lane_bits(self) -> tuple[int, int]:
        return signed_width(self.get_input_datatype()), signed_width(self.get_output_datatype())

    def check_attributes(self) -> None:
        """FlowError for the first attribute that is out of range, or beyond the kernel."""
        super().check_attributes()
        datatype, (bits, _) = self.get_input_datatype(), self.lane_bits()
        if bits > MAX_INPUT_BITS:
            raise FlowError(
                f"{self.label}: its inputs of {datatype.name} have {bits} bits with their sign, "
                f"and {self.KERNEL}.sv takes at most {MAX_INPUT_BITS}; quantize them before, use "
                "fewer bits for the weights or inputs of the layer before, or rotate behind the "
                "quantizer"
            )
        shift, sum_bits = int(self.get_nodeattr("requantShift")), bits + self.stages
        if shift >= sum_bits:
            raise FlowError(
                f"{self.label}: requantShift={shift} leaves nothing of its sums of {sum_bits} "
                "bits; use a smaller scale for the quantizer behind it"
            )

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        in_bits, out_bits = self.lane_bits()
        narrow = int(self.get_nodeattr("narrow"))
        if narrow and not self.get_output_datatype().signed():
            raise FlowError(
                f"{self.label}: narrow=1 with unsigned {self.get_output_datatype().name} has no "
                "RTL; use a signed output or narrow=0"
            )
        signs = self.signs
        return {
            "N": str(self.order),
            "SIMD": str(self.lanes),
            "IN_WIDTH": str(in_bits),
            "CHANNELS": str(self.channels),
            "SIGNS": bit_literal([0] * self.channels if signs is None else signs < 0),
            "SHIFT": str(max(0, int(self.get_nodeattr("requantShift")))),
            "OUT_WIDTH": str(out_bits),
            "NARROW": str(narrow),
        }
