# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""RTL variant of the lookup layer: the kernel ``lookup_activation.sv``."""

from pathlib import Path

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise_rtl import ChannelwiseRtl
from dhq_brevitas.finn_flow.ops.lookup_activation import LookupActivation, table_fold

#: Of the kernel's inputs and of its scale M.
MAX_FACTOR_BITS = 48


class LookupActivation_rtl(LookupActivation, ChannelwiseRtl):
    """Lookup layer on ``lookup_activation.sv``; attributes and inputs as in the layer.

    What the numbers allow is left out of the hardware: the multiplier if every M is the same power
    of two, the adder if every B is 0, half of a table that is odd, three quarters if it is odd with
    symmetric half waves as a sine at bin centers.
    """

    KERNEL = "lookup_activation"

    execute_node = ChannelwiseRtl.execute_node

    def lane_bits(self) -> tuple[int, int]:
        return self.get_input_datatype().bitwidth(), self.get_output_datatype().bitwidth()

    def check_attributes(self) -> None:
        """FlowError for the first attribute that is out of range, or beyond the kernel."""
        super().check_attributes()
        for name, index in (("inputs", 0), ("scales", 1)):
            datatype = self.get_input_datatype(index)
            if datatype.bitwidth() > MAX_FACTOR_BITS:
                raise FlowError(
                    f"{self.label}: its {name} of {datatype.name} have more than the "
                    f"{MAX_FACTOR_BITS} bits of {self.KERNEL}.sv; use fewer bits for the weights "
                    "or inputs of the layer before, or for the scale"
                )

    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        names = list(self.onnx_node.input)[1:4]
        scale, bias, table = (model.get_initializer(name).astype(np.int64) for name in names)
        self.check_parameters(scale, bias, table)
        out_bits = self.get_output_datatype().bitwidth()
        fold = table_fold(table, out_bits) if self.get_output_datatype().signed() else 0
        wrap = int(self.get_nodeattr("wrap"))
        parameters = {
            "CHANNELS": str(self.channels),
            "PE": str(self.lanes),
            "IN_WIDTH": str(self.get_input_datatype().bitwidth()),
            "IN_SIGNED": str(int(self.get_input_datatype().signed())),
            "SHIFT": str(self.get_nodeattr("shift")),
            "WRAP": str(wrap),
            "OFFSET": "0" if wrap else str(self.get_nodeattr("addressOffset")),
            "TABLE_BITS": str(self.get_nodeattr("tableBits")),
            "TABLE_FILE": self._memory(folder, "table", table[: len(table) >> fold], out_bits, 1),
            "FOLD": str(fold),
            "TABLE_STYLE": '"distributed"' if self.table_in_luts() else '"block"',
            "OUT_WIDTH": str(out_bits),
        }
        if self.get_nodeattr("direct"):
            lanes = (self._constant_lanes("SCALE", scale, 1), self._constant_lanes("BIAS", bias, 2))
            return {**parameters, "DIRECT": "1", **lanes[0], **lanes[1]}
        power = common_power_of_two(scale)
        if power is None:
            parameters |= self._constants(folder, "SCALE", scale, 1)
        else:
            parameters |= {"HAS_SCALE": "0", "SCALE_SHIFT": str(power)}
        if np.any(bias):
            parameters |= self._constants(folder, "BIAS", bias, 2)
        else:
            parameters |= {"HAS_BIAS": "0"}
        return parameters

    def _constants(self, folder: Path, name: str, values: np.ndarray, index: int) -> dict[str, str]:
        """Parameters of M or B, which is input ``index``."""
        bits = self.get_input_datatype(index).bitwidth()
        parameters = {f"HAS_{name}": "1", f"{name}_WIDTH": str(bits)}
        if len(values) == 1:
            return {**parameters, name: f"{bits}'h{int(values[0]) & ((1 << bits) - 1):x}"}
        file = self._memory(folder, name.lower(), values, bits, self.lanes)
        return {**parameters, f"{name}_PER_CHANNEL": "1", f"{name}_FILE": file}

    def _constant_lanes(self, name: str, values: np.ndarray, index: int) -> dict[str, str]:
        """Parameters of M or B as constants of the lanes."""
        bits = self.get_input_datatype(index).bitwidth()
        word = memory_text(np.broadcast_to(values, self.channels), bits, self.lanes).strip()
        literal = f"{bits * self.lanes}'h{word}"
        plural = {"SCALE": "SCALES", "BIAS": "BIASES"}[name]
        return {f"HAS_{name}": "1", f"{name}_WIDTH": str(bits), plural: literal}

    def _memory(self, folder: Path, name: str, values: np.ndarray, bits: int, lanes: int) -> str:
        """Writes a memory and returns its path as Verilog text."""
        file = f"{self.get_verilog_top_module_name()}_{name}.dat"
        (folder / file).write_text(memory_text(values, bits, lanes))
        return f'"./{file}"'


def memory_text(values: np.ndarray, bits: int, lanes: int = 1) -> str:
    """Lines for ``$readmemh``: ``lanes`` numbers of ``bits`` bits each, the first rightmost."""
    mask, digits = (1 << bits) - 1, (bits * lanes + 3) // 4
    lines = []
    for start in range(0, len(values), lanes):
        word = 0
        for lane, value in enumerate(values[start : start + lanes]):
            word |= (int(value) & mask) << (bits * lane)
        lines.append(f"{word:0{digits}x}\n")
    return "".join(lines)


def common_power_of_two(values: np.ndarray) -> int | None:
    """k if every value is 2^k, else None."""
    first = int(values[0])
    if first < 1 or first & (first - 1) or np.any(values != first):
        return None
    return first.bit_length() - 1
