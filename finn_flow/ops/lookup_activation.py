# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Hardware layer: an activation function as integer scale, bias, shift and a table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from finn.util.basic import get_dsp_block
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp
from dhq_brevitas.finn_flow.ops.widths import signed_bits, signed_width

MAX_TABLE_BITS = 16
# Signed operand widths of one multiplier, wide operand first.
DSP_OPERANDS = {"DSP58": (27, 24), "DSP48E2": (27, 18), "DSP48E1": (25, 18)}
# (depth, width) shapes of one RAMB18 used as a ROM.
RAMB18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18))
# A table with at most this many address bits goes to LUTs unless ram_style says otherwise.
MAX_LUT_TABLE_BITS = 8
# Folding a table costs about as many LUTs per lane as a table of this many address bits.
MIN_FOLDED_TABLE_BITS = 7
LUT_INPUTS = 6
# Yosys puts a ROM in block RAM from this size on: 129 for an RAMB18, 1/64 for a bit in LUTs.
BLOCK_RAM_BITS = 129 * 64
# LUTs of a pipeline stage: its valid bit and its clock enable.
STAGE_LUTS = 2


class LookupActivation(ChannelwiseOp):
    """y = table[address((x·M + B) >> s)] on integers; >> is the arithmetic (floor) shift.

    With v = (x·M + B) >> s and P = ``tableBits``:

        address = v mod 2^P                                     if ``wrap``
        address = clip(v, offset, offset + 2^P - 1) - offset    otherwise

    where s = ``shift`` and offset = ``addressOffset``. ``wrap`` serves periodic functions (the
    modulo is bit truncation); the clip also stands for the saturation of the address quantizer.

    Inputs: x [numInputVectors..., NumChannels] (carried as floats); M int64 [1] or [NumChannels];
    B int64 [1] or [NumChannels]; table int64 [2^P]. Output: shape of x. ``PE``: channels per cycle,
    a divisor of NumChannels.

    Estimates, per lane, with w bits of x·M + B:
        DSP      0 if M has at most 2 bits (it is 1), else ceil((a - 1) / (A - 1)) ·
                 ceil((b - 1) / (B - 1)) for operands of a >= b bits on a multiplier of A x B
                 bits
        LUT      see lut_estimation
        RAMB18   the table if it is in block RAM; its two ports serve two lanes; M and B of channels
                 if they have BLOCK_RAM_BITS
    The table is in LUTs for ``ram_style`` distributed, or auto with P <= 8.
    """

    FOLDING = "PE"

    def get_nodeattr_types(self) -> dict[str, Any]:
        return super().get_nodeattr_types() | {
            "scaleDataType": ("s", True, ""),
            "biasDataType": ("s", True, ""),
            "tableBits": ("i", True, 0),
            "shift": ("i", False, 0),
            "wrap": ("i", False, 0, {0, 1}),
            "addressOffset": ("i", False, 0),
            # 1 if M or B differ between channels
            "perChannel": ("i", False, 0, {0, 1}),
            "ram_style": ("s", False, "auto", {"auto", "block", "distributed"}),
            # 1: M and B are constants of every lane, and only the address has registers
            "direct": ("i", False, 0, {0, 1}),
            # What estimates need to know of the numbers, set by minimize_weight_bit_width:
            # halvings of the table in the kernel, see table_fold
            "tableFold": ("i", False, 0, {0, 1, 2}),
            # LUTs of the table, see table_luts; -1 if not known
            "tableLuts": ("i", False, -1),
            # ones among the bits of x·M + B in a B, on average of the channels; -1 if not known
            "biasOnes": ("i", False, -1),
        }

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        names = ("inputDataType", "scaleDataType", "biasDataType", "outputDataType")
        if not 0 <= ind < len(names):
            raise FlowError(f"{self.label}: there is no input {ind}")
        return DataType[self.get_nodeattr(names[ind])]

    def check_attributes(self) -> None:
        super().check_attributes()
        bits, shift = self.get_nodeattr("tableBits"), self.get_nodeattr("shift")
        if not 1 <= bits <= MAX_TABLE_BITS:
            raise FlowError(f"{self.label}: tableBits={bits} is not between 1 and {MAX_TABLE_BITS}")
        if not 0 <= shift <= 62:
            raise FlowError(f"{self.label}: shift={shift} is not between 0 and 62")
        if self.accumulator_bits() > 63:
            raise FlowError(
                f"{self.label}: x·M + B needs {self.accumulator_bits()} bits, more than 63; use "
                "fewer bits for the scale M"
            )

    def check_parameters(self, scale: np.ndarray, bias: np.ndarray, table: np.ndarray) -> None:
        """FlowError unless M, B and the table fit the attributes."""
        for name, values, datatype in (
            ("scale", scale, self.get_input_datatype(1)),
            ("bias", bias, self.get_input_datatype(2)),
        ):
            if values.shape not in ((1,), (self.channels,)):
                raise FlowError(
                    f"{self.label}: {name} of shape {values.shape} must be [1] or [{self.channels}]"
                )
            if not np.all(datatype.allowed(values)):
                raise FlowError(f"{self.label}: {name} does not fit {datatype.name}")
        entries = 1 << int(self.get_nodeattr("tableBits"))
        if table.shape != (entries,):
            raise FlowError(
                f"{self.label}: table of shape {table.shape} must be [{entries}] for "
                f"tableBits={self.get_nodeattr('tableBits')}"
            )
        if not np.all(self.get_output_datatype().allowed(table)):
            raise FlowError(
                f"{self.label}: the table does not fit {self.get_output_datatype().name}"
            )

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        node = self.onnx_node
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(node.input[0]).name)
        model.set_tensor_datatype(node.output[0], self.get_output_datatype())

    def minimize_weight_bit_width(self, model: ModelWrapper, datatype_only: bool = False) -> None:
        """Sets the datatypes of M and B to the smallest signed integers that hold them.

        Sets also what estimates need to know of the numbers.
        """
        if datatype_only:
            return
        out = self.get_output_datatype()
        table = model.get_initializer(self.onnx_node.input[3]).astype(np.int64)
        fold = table_fold(table, out.bitwidth()) if out.signed() else 0
        self.set_nodeattr("tableFold", fold)
        self.set_nodeattr("tableLuts", table_luts(table[: len(table) >> fold], out.bitwidth()))
        for index, attribute in ((1, "scaleDataType"), (2, "biasDataType")):
            tensor = self.onnx_node.input[index]
            datatype = smallest_signed_datatype(model.get_initializer(tensor))
            self.set_nodeattr(attribute, datatype.name)
            model.set_tensor_datatype(tensor, datatype)
        biases = model.get_initializer(self.onnx_node.input[2]).astype(np.int64)
        kept = (1 << self.kept_bits()) - 1
        ones = [(bias & kept).bit_count() for bias in biases.flat[:].tolist()]
        self.set_nodeattr("biasOnes", round(sum(ones) / len(ones)))

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        self.check_attributes()
        x = self.integer_input(context)
        scale, bias, table = (
            context[name].astype(np.int64) for name in list(self.onnx_node.input)[1:4]
        )
        self.check_parameters(scale, bias, table)
        y = table[self.addresses((x * scale + bias) >> int(self.get_nodeattr("shift")))]
        carrier = context[self.onnx_node.input[0]].dtype
        context[self.onnx_node.output[0]] = y.astype(carrier)

    def addresses(self, codes: np.ndarray) -> np.ndarray:
        """Table addresses of the int64 codes v."""
        entries = 1 << int(self.get_nodeattr("tableBits"))
        if self.get_nodeattr("wrap"):
            return codes & (entries - 1)
        offset = int(self.get_nodeattr("addressOffset"))
        return np.clip(codes, offset, offset + entries - 1) - offset

    def accumulator_bits(self) -> int:
        """Bits of x·M + B, signed."""
        x, scale, bias = (self.get_input_datatype(i) for i in range(3))
        product = _magnitude(x) * _magnitude(scale) + _magnitude(bias)
        return product.bit_length() + 1

    def kept_bits(self) -> int:
        """Bits of x·M + B that the kernel computes: with ``wrap`` up to the highest of the address.

        Without, at least one is left after the shift.
        """
        shift = int(self.get_nodeattr("shift"))
        if self.get_nodeattr("wrap"):
            return shift + int(self.get_nodeattr("tableBits"))
        return max(self.accumulator_bits(), shift + 1)

    def parameters(self) -> list[tuple[int, bool]]:
        """(Bits of a channel that matter, whether in block RAM) of M, of B; only those stored."""
        needed = [1] * self.multiplies() + [2] * self.adds()
        widths = [self.get_input_datatype(i).bitwidth() for i in needed]
        return [
            (min(bits, self.kept_bits()), bits * self.channels >= BLOCK_RAM_BITS)
            for bits in widths
            if self.get_nodeattr("perChannel") and not self.get_nodeattr("direct")
        ]

    def multiplies(self) -> bool:
        """Whether a multiplier is needed: not if M has at most 2 bits, as 1 has, or is a wire."""
        return self.get_input_datatype(1).bitwidth() > 2 and not self.get_nodeattr("direct")

    def adds(self) -> bool:
        """Whether some B is not 0."""
        return self.get_input_datatype(2).bitwidth() > 1

    def stages(self) -> int:
        """Registers from input to output, as ``lookup_activation.sv`` has them."""
        if self.get_nodeattr("direct"):
            return 2 + (int(self.get_nodeattr("tableFold")) > 0)
        affine = 1 + (self.multiplies() or self.adds())
        if self.multiplies():
            x, scale = (self.get_input_datatype(i) for i in (0, 1))
            wide, narrow = DSP_OPERANDS["DSP48E2"]
            operands = scale.bitwidth(), x.bitwidth() + (not x.signed())
            affine += 2 if max(operands) > wide or min(operands) > narrow else 1
        return affine + (1 if self.get_nodeattr("wrap") else 2) + 2

    def table_in_luts(self) -> bool:
        """Whether the table is built from LUTs rather than block RAM."""
        style = self.get_nodeattr("ram_style")
        if style == "auto":
            return int(self.get_nodeattr("tableBits")) <= MAX_LUT_TABLE_BITS
        return style == "distributed"

    def dsp_estimation(self, fpgapart: str) -> int:
        if not self.multiplies():
            return 0
        wide, narrow = DSP_OPERANDS[get_dsp_block(fpgapart)]
        widths = [signed_width(self.get_input_datatype(index)) for index in range(2)]
        tiles = math.ceil((max(widths) - 1) / (wide - 1)) * math.ceil(
            (min(widths) - 1) / (narrow - 1)
        )
        return self.lanes * tiles

    def lut_estimation(self, fpgapart: str) -> int:
        """LUTs of the kernel as Yosys builds it (``examples/resource_estimates.py``).

        Once: STAGE_LUTS for each pipeline stage, and 2·log2(f) - 5 to address the f = NumChannels /
        PE words of parameters. For each lane, with w = :meth:`kept_bits`:

            adder       w for a B of each channel, the ones in a constant B, of all or of a lane;
                        Yosys puts none in a DSP
            parameters  2·f / 32 - 1 a bit, at least 1: f words from LUTs of 32, and multiplexers;
                        none, and no address, for those in block RAM
            clip        1 + bits of v above the address / 5 to see that v leaves the table; the ones
                        in -addressOffset to subtract it
            address     a bit, where it is clipped or mirrored for a folded table
            sign        output bits - 2 to negate what a folded table gives
            table       tableLuts, and one, where it is in LUTs
        """
        bits = int(self.get_nodeattr("tableBits"))
        fold = int(self.get_nodeattr("tableFold"))
        out_bits = self.get_output_datatype().bitwidth()
        per_channel, words = self.get_nodeattr("perChannel"), self.channels // self.lanes
        luts = 0.0
        if self.adds():
            ones = int(self.get_nodeattr("biasOnes"))
            constant = not per_channel or self.get_nodeattr("direct")
            known = constant and ones >= 0
            luts += ones if known else self.kept_bits()
        once = float(STAGE_LUTS * self.stages())
        if in_luts := sum(stored for stored, in_ram in self.parameters() if not in_ram):
            luts += in_luts * max(1.0, words / 16 - 1)
            once += max(0.0, 2 * math.log2(words) - 5)
        mirrors = fold > 0
        if not self.get_nodeattr("wrap"):
            offset = int(self.get_nodeattr("addressOffset"))
            code_bits = self.kept_bits() - int(self.get_nodeattr("shift"))
            above = max(0, code_bits - 1 - bits)
            luts += 1 + above / 5 + (-offset & ((2 << max(code_bits, bits + 1)) - 1)).bit_count()
            mirrors = mirrors or above > 0 or offset != 0
        if mirrors:
            luts += bits - fold
        if fold:
            luts += out_bits - 2
        if self.table_in_luts():
            table = int(self.get_nodeattr("tableLuts"))
            luts += 1 + (out_bits << max(0, bits - fold - LUT_INPUTS) if table < 0 else table)
        return round(self.lanes * luts + once)

    def bram_estimation(self, fpgapart: str) -> int:
        blocks = 0
        if not self.table_in_luts():
            bits = int(self.get_nodeattr("tableBits")) - int(self.get_nodeattr("tableFold"))
            width = self.get_output_datatype().bitwidth()
            blocks = ramb18(1 << bits, width) * math.ceil(self.lanes / 2)
        words, lanes = self.channels // self.lanes, self.lanes
        for stored, in_ram in self.parameters():
            # One port reads them, which may be twice as wide.
            blocks += in_ram * ramb18(words, stored * lanes, (*RAMB18_SHAPES, (512, 36)))
        return blocks

    def bram_efficiency_estimation(self, fpgapart: str) -> float:
        blocks = self.bram_estimation(fpgapart)
        stored = int(self.get_nodeattr("tableBits")) - int(self.get_nodeattr("tableFold"))
        bits = self.get_output_datatype().bitwidth() << stored
        return bits / (blocks * 18 * 1024) if blocks else 1

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Multiplications, additions and look-ups; table entries and per-channel parameters."""
        values = self.number_of_values()
        x, scale, bias, y = (self.get_input_datatype(i).bitwidth() for i in range(4))
        stored = self.channels if self.get_nodeattr("perChannel") else 1
        counts = {f"op_add_{self.accumulator_bits()}b": values, f"op_lookup_{y}b": values}
        if self.multiplies():
            counts[f"op_mul_{min(x, scale)}bx{max(x, scale)}b"] = values
            counts[f"param_scale_{scale}b"] = stored
        counts[f"param_bias_{bias}b"] = stored
        counts[f"param_table_{y}b"] = 1 << int(self.get_nodeattr("tableBits"))
        return counts


def smallest_signed_datatype(values: np.ndarray) -> BaseDataType:
    """INTb with the smallest b >= 1 that holds all int64 ``values``; 2 bits at least if any is 1.

    b - 1 = max(bit length of v for v >= 0, bit length of -v - 1 for v < 0).
    """
    return DataType[f"INT{signed_bits(int(values.min()), int(values.max()))}"]


def ramb18(words: int, bits: int, shapes: Sequence[tuple[int, int]] = RAMB18_SHAPES) -> int:
    """RAMB18 of a ROM."""
    return min(math.ceil(words / depth) * math.ceil(bits / columns) for depth, columns in shapes)


def table_luts(table: np.ndarray, bits: int) -> int:
    """LUTs for an int64 table of ``bits`` bits, mapped as synthesis.techmaps says.

    One for 64 entries of a bit that is not constant among them, and one for every three more words
    of 256 to choose from.
    """
    planes = (table[:, None] >> np.arange(bits)) & 1
    sections = planes.reshape(-1, min(len(table), 1 << LUT_INPUTS), bits)
    varying = (sections != sections[:, :1]).any(1)
    choices = math.ceil((len(sections) / 4 - 1) / 3)
    return int(varying.sum()) + choices * int(varying.any(0).sum())


def _magnitude(datatype: BaseDataType) -> int:
    return max(abs(int(datatype.min())), abs(int(datatype.max())))


def table_fold(table: np.ndarray, bits: int) -> int:
    """Halvings of the table that the kernel can undo: 1 if it is odd, 2 if a quarter wave holds it.

    0 also for tables of less than 2^MIN_FOLDED_TABLE_BITS entries, and where negating a stored
    entry would overflow ``bits`` bits.
    """
    half = len(table) // 2
    if len(table) < 1 << MIN_FOLDED_TABLE_BITS or np.any(table[::-1] != -table):
        return 0
    if np.any(table[:half] == -(1 << (bits - 1))):
        return 0
    return 2 if np.array_equal(table[:half][::-1], table[:half]) else 1
