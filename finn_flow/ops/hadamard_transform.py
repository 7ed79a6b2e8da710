# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Hardware layer: streaming Walsh-Hadamard transform with an optional power-of-two requantiser."""

import math
from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import max_int, min_int

from dhq_brevitas.export.hadamard_op import output_datatype
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp
from dhq_brevitas.nn.hadamard import MAX_ORDER, hadamard_transform_int

# A delay line from this depth on is block RAM, as in hadamard_delay.sv.
BLOCK_RAM_DEPTH = 256
# Fitted, see HadamardTransform.
WORD_STAGE_LUTS = 6.35
INDEX_BIT_LUTS = 4.04
READ_MUX_LUTS = 0.08
CONTROL_LUTS = -4.05
REQUANT_LUTS = 0.69


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

    LUT estimate: v_i = b + i bits enter stage i = 0 … log2(Order) - 1. The first
    log2(Order / SIMD) stages span words and hold two delay lines of depth d = Order / (2·SIMD),
    … 2, 1; the others span lanes.
        adders        SIMD · (v_i + 1) over words; SIMD · v_i over lanes, where the last bits of sum
                      and difference are one
        delay lines   2 · SIMD · v_i bits of d words: RAM32M16 (14 bits in 8 LUTs) for d <= 32,
                      RAM64M8 (7 bits in 8 LUTs) for each 64 words of d < 256; block RAM from 256
        control       WORD_STAGE_LUTS · word stages + INDEX_BIT_LUTS · Σ log2 d
                      + READ_MUX_LUTS · 2 · SIMD · v_i for delay lines of 128 words + CONTROL_LUTS
        requantiser   REQUANT_LUTS · SIMD · (bits after the shift + output bits)
    The coefficients are fitted to synthesis by Yosys for UltraScale+
    (``examples/resource_estimates.py``); signs are not in the fit. It multiplies nothing: no DSP.
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
        """(depth, bits) of both delay lines of every stage whose butterfly spans cycles."""
        spans = self.stages - (self.lanes.bit_length() - 1)
        return [
            (1 << (spans - 1 - stage), (width - 1) * self.lanes)
            for stage, width in enumerate(self._stage_widths()[:spans])
            for _ in range(2)
        ]

    def lut_estimation(self, fpgapart: str) -> int:
        widths, delays = self._stage_widths(), self._delay_lines()
        spans = len(delays) // 2
        luts: float = self.lanes * (sum(widths[:spans]) + sum(w - 1 for w in widths[spans:]))
        luts += CONTROL_LUTS + WORD_STAGE_LUTS * spans
        for depth, bits in delays:
            luts += INDEX_BIT_LUTS / 2 * math.log2(depth)
            if 2 <= depth <= 32:
                luts += 8 * math.ceil(bits / 14)
            elif depth < BLOCK_RAM_DEPTH and depth > 1:
                luts += 8 * math.ceil(bits / 7) * math.ceil(depth / 64)
            if 64 < depth < BLOCK_RAM_DEPTH:
                luts += READ_MUX_LUTS * bits
        shift = int(self.get_nodeattr("requantShift"))
        if shift >= 0:
            kept = widths[-1] - shift + self.get_output_datatype().bitwidth()
            luts += REQUANT_LUTS * self.lanes * kept
        return round(luts)

    def bram_estimation(self, fpgapart: str) -> int:
        return sum(
            math.ceil(bits / 36) * math.ceil(depth / 512)
            for depth, bits in self._delay_lines()
            if depth >= BLOCK_RAM_DEPTH
        )

    def bram_efficiency_estimation(self, fpgapart: str) -> float:
        used = sum(depth * bits for depth, bits in self._delay_lines() if depth >= BLOCK_RAM_DEPTH)
        blocks = self.bram_estimation(fpgapart)
        return used / (blocks * 36 * 512) if blocks else 1

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Additions by width of their result; the signs as parameters of one bit."""
        values = self.number_of_values()
        counts = {f"op_add_{width}b": values for width in self._stage_widths()}
        if self.signs is not None:
            counts["param_sign_1b"] = self.channels
        return counts
