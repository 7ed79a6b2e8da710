# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Hardware layer: streaming Walsh-Hadamard transform with an optional power-of-two requantiser."""

from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import max_int, min_int

from dhq_brevitas.export.hadamard_op import output_datatype
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp
from dhq_brevitas.hadamard import MAX_ORDER, hadamard_transform_int

# A delay line up to this depth is built from shift registers, a deeper one from block RAM.
MAX_SHIFT_REGISTER_DEPTH = 128


class HadamardTransform(ChannelwiseOp):
    """y = (x · D)(I ⊗ H), unnormalised, on integers; then optionally a requantisation.

    H is the ±1 Hadamard matrix of ``Order`` in Sylvester order, applied to each of the
    NumChannels / Order blocks; D are the ``signs`` (NumChannels entries of ±1, or empty for +1).
    b-bit signed input grows to exactly b + log2(Order) bits, one more if the signs negate a whole
    row of H (-1 times the lowest code has one bit more). With ``requantShift`` = s >= 0,

        y = clip(round_half_even(h / 2^s))

    to ``outputDataType``, whose lowest code is skipped if ``narrow`` and signed (the highest if
    unsigned), as QONNX's Quant does.

    Input and output: [numInputVectors..., NumChannels], carried as floats. ``SIMD``: channels per
    cycle, a power of two that divides Order.

    LUT estimate, w_i = b + i bits after stage i = 1 … log2(Order):
        adders        Σ_i SIMD · w_i
        delay lines   of the log2(Order / SIMD) stages whose butterfly spans cycles, with depth
                      d = 1, 2, 4 … Order / (2·SIMD): SIMD · w_i · ceil(d / 32) for d <= 128 (shift
                      registers), else block RAM of ceil(SIMD · w_i / 36) · ceil(d / 512) RAMB18;
                      plus SIMD · w_i for its multiplexer
        requantiser   SIMD · (w + 2 · output bits)
    It multiplies nothing: no DSP.
    """

    FOLDING = "SIMD"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return super().get_nodeattr_types() | {
            "Order": ("i", True, 0),
            "signs": ("ints", False, []),
            # right shift of the fused requantiser; -1 if there is none
            "requantShift": ("i", False, -1),
            "narrow": ("i", False, 0, {0, 1}),
        }

    @property
    def order(self) -> int:
        """Attribute ``Order``."""
        return int(self.get_nodeattr("Order"))

    @property
    def stages(self) -> int:
        """log2(Order)."""
        return self.order.bit_length() - 1

    @property
    def signs(self) -> np.ndarray | None:
        """The diagonal D as int64, or None if it is the identity."""
        signs = self.get_nodeattr("signs")
        return np.array(signs, dtype=np.int64) if len(signs) else None

    def legal_lanes(self) -> list[int]:
        return [1 << i for i in range(self.order.bit_length())]

    def check_attributes(self) -> None:
        order = self.order
        if order < 2 or order & (order - 1) or order > MAX_ORDER:
            raise FlowError(
                f"{self.label}: Order={order} is not a power of two from 2 to {MAX_ORDER}"
            )
        super().check_attributes()
        if self.channels % order:
            raise FlowError(
                f"{self.label}: Order={order} does not divide NumChannels={self.channels}"
            )
        signs = self.signs
        if signs is not None and (len(signs) != self.channels or np.any(np.abs(signs) != 1)):
            raise FlowError(
                f"{self.label}: signs must be empty or {self.channels} entries of 1 or -1"
            )
        if self.get_nodeattr("requantShift") < -1:
            raise FlowError(
                f"{self.label}: requantShift={self.get_nodeattr('requantShift')} must be -1 (no "
                "requantiser) or a right shift of at least 0"
            )

    def accumulator_datatype(self) -> BaseDataType:
        """Smallest datatype of the sums before requantisation."""
        return output_datatype(self.get_input_datatype(), self.order, self.signs)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        node = self.onnx_node
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(node.input[0]).name)
        if self.get_nodeattr("requantShift") < 0 and self.get_input_datatype().is_integer():
            self.set_nodeattr("outputDataType", self.accumulator_datatype().name)
        model.set_tensor_datatype(node.output[0], self.get_output_datatype())

    def minimize_accumulator_width(
        self, model: ModelWrapper, datatype_only: bool = False
    ) -> BaseDataType:
        """Sets the output datatype to the exact growth of the current input datatype."""
        self.infer_node_datatype(model)
        return self.accumulator_datatype()

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        self.check_attributes()
        x = self.integer_input(context)
        if self.signs is not None:
            x = x * self.signs
        y = self.requantise(hadamard_transform_int(x, order=self.order))
        carrier = context[self.onnx_node.input[0]].dtype
        context[self.onnx_node.output[0]] = y.astype(carrier)

    def requantise(self, sums: np.ndarray) -> np.ndarray:
        """clip(round_half_even(sums / 2^requantShift)) on int64; ``sums`` without requantiser."""
        shift = int(self.get_nodeattr("requantShift"))
        if shift < 0:
            return sums
        quotient = sums >> shift
        # The rest times two against 2^shift decides; on a tie the quotient becomes even.
        twice_rest = (sums - (quotient << shift)) << 1
        up = (twice_rest > 1 << shift) | ((twice_rest == 1 << shift) & (quotient & 1 == 1))
        low, high = self.output_range()
        return np.clip(quotient + up, low, high)

    def output_range(self) -> tuple[int, int]:
        """Lowest and highest code that can leave the node."""
        datatype = self.get_output_datatype()
        narrow = bool(self.get_nodeattr("narrow"))
        signed, bits = datatype.signed(), datatype.bitwidth()
        return int(min_int(signed, narrow, bits)), int(max_int(signed, narrow, bits))

    def _stage_widths(self) -> list[int]:
        """Bits of a value after each butterfly stage."""
        last = self.accumulator_datatype().bitwidth()
        return [last - self.stages + stage for stage in range(1, self.stages + 1)]

    def _delay_lines(self) -> list[tuple[int, int]]:
        """(depth, bits) of the delay line of every stage whose butterfly spans cycles."""
        spans = self.stages - (self.lanes.bit_length() - 1)
        return [
            (1 << i, width * self.lanes) for i, width in enumerate(self._stage_widths()[:spans])
        ]

    def lut_estimation(self, fpgapart: str) -> int:
        widths = self._stage_widths()
        luts = self.lanes * sum(widths)
        for depth, bits in self._delay_lines():
            luts += bits
            if depth <= MAX_SHIFT_REGISTER_DEPTH:
                luts += bits * -(-depth // 32)
        if self.get_nodeattr("requantShift") >= 0:
            luts += self.lanes * (widths[-1] + 2 * self.get_output_datatype().bitwidth())
        return luts

    def bram_estimation(self, fpgapart: str) -> int:
        return sum(
            -(-bits // 36) * -(-depth // 512)
            for depth, bits in self._delay_lines()
            if depth > MAX_SHIFT_REGISTER_DEPTH
        )

    def bram_efficiency_estimation(self, fpgapart: str) -> float:
        used = sum(d * bits for d, bits in self._delay_lines() if d > MAX_SHIFT_REGISTER_DEPTH)
        blocks = self.bram_estimation(fpgapart)
        return used / (blocks * 36 * 512) if blocks else 1

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Additions by width of their result; the signs as parameters of one bit."""
        values = self.number_of_values()
        counts = {f"op_add_{width}b": values for width in self._stage_widths()}
        if self.signs is not None:
            counts["param_sign_1b"] = self.channels
        return counts
