# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's RTL MVAU: its own Verilog, the kernel ``matrix_vector.sv``, or an adder graph."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl as FinnMVAU
from finn.util.basic import get_dsp_block
from finn.util.settings import get_settings
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops import matrix_vector
from dhq_brevitas.finn_flow.ops.adder_graph import ADDERS_IN_ROW, AdderGraph, adder_graph
from dhq_brevitas.finn_flow.ops.adder_graph_rtl import INSTANTIATED, adder_graph_text
from dhq_brevitas.finn_flow.ops.channelwise import label_of
from dhq_brevitas.finn_flow.ops.channelwise_rtl import (
    RTL_FOLDER,
    instance_commands,
    kernel_sources,
    simulate_streams,
    wrapper_text,
)
from dhq_brevitas.finn_flow.ops.matrix_vector import SLICES, Geometry, Multipliers
from dhq_brevitas.finn_flow.ops.widths import signed_width
from dhq_brevitas.finn_flow.rtlsim.sources import corrected

FINN, MATRIX_VECTOR, ADDERS = MVAU_KERNELS = ("finn", "matrix_vector", "adders")
#: Weights up to here are in LUTs; as in lookup_table.sv, 64 LUTs are worth a block RAM.
LUT_MEMORY_BITS = 4096
#: File of FINN's library with an error, see :mod:`dhq_brevitas.finn_flow.rtlsim.sources`.
FAULTY = "mvu_vvu_axi.sv"


class MVAU_rtl(FinnMVAU):
    """FINN's layer: its Python, its attributes and its folding.

    Further attributes:
        kernel: "finn" for FINN's Verilog and weight streamer, "matrix_vector" for the kernel of
            this package, which holds its weights itself, "adders" for an adder graph of constants
            where a vector is a word in and out, and "matrix_vector" where not.
        inLanes, outLanes: not with "finn", channels a word of the streams; 0 is SIMD and PE.
            inLanes divides SIMD, outLanes PE.
        addersInRow: with "adders", adders between two registers.
        adderLuts, adderFfs: of the adder graph, for the estimates.
        pack, chain: with "matrix_vector", of the multipliers as
            :func:`~dhq_brevitas.finn_flow.ops.matrix_vector.multipliers` finds them; only the
            estimates read them.

    Cycles a sample: max(MW/SIMD, PE/outLanes)·MH/PE, or MW/inLanes if that is more.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        return super().get_nodeattr_types() | {
            "kernel": ("s", False, FINN, set(MVAU_KERNELS)),
            "inLanes": ("i", False, 0),
            "outLanes": ("i", False, 0),
            "pack": ("i", False, 1),
            "chain": ("i", False, 0),
            "addersInRow": ("i", False, ADDERS_IN_ROW),
            "adderLuts": ("i", False, 0),
            "adderFfs": ("i", False, 0),
        }

    @property
    def ours(self) -> bool:
        """Whether the Verilog is of this package."""
        return self.get_nodeattr("kernel") != FINN

    @property
    def unrolled(self) -> bool:
        """Whether it is an adder graph."""
        whole = (self.get_nodeattr("MW"), self.get_nodeattr("MH"))
        return self.get_nodeattr("kernel") == ADDERS and (self.in_lanes, self.out_lanes) == whole

    @property
    def in_lanes(self) -> int:
        return int((self.ours and self.get_nodeattr("inLanes")) or self.get_nodeattr("SIMD"))

    @property
    def out_lanes(self) -> int:
        return int((self.ours and self.get_nodeattr("outLanes")) or self.get_nodeattr("PE"))

    def check_attributes(self) -> None:
        """FlowError for lanes that do not divide SIMD or PE."""
        for lanes, name, of in (
            (self.in_lanes, "inLanes", "SIMD"),
            (self.out_lanes, "outLanes", "PE"),
        ):
            if lanes < 1 or self.get_nodeattr(of) % lanes:
                raise FlowError(
                    f"{label_of(self.onnx_node)}: {name}={lanes} must divide {of}="
                    f"{self.get_nodeattr(of)}"
                )

    # ---------------------------------------------------------------------------------- streams
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        if not self.ours or ind:
            return super().get_folded_input_shape(ind)
        vectors = self.get_nodeattr("numInputVectors")
        return (*vectors, self.get_nodeattr("MW") // self.in_lanes, self.in_lanes)

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        vectors = self.get_nodeattr("numInputVectors")
        return (*vectors, self.get_nodeattr("MH") // self.out_lanes, self.out_lanes)

    def get_instream_width(self, ind: int = 0) -> int:
        if not self.ours or ind:
            return int(super().get_instream_width(ind))
        return self.get_input_datatype(0).bitwidth() * self.in_lanes

    def get_outstream_width(self, ind: int = 0) -> int:
        return self.get_output_datatype().bitwidth() * self.out_lanes

    def get_exp_cycles(self) -> int:
        if not self.ours:
            return int(super().get_exp_cycles())
        columns, rows = (
            self.get_nodeattr(a) // self.get_nodeattr(b) for a, b in (("MW", "SIMD"), ("MH", "PE"))
        )
        drain = self.get_nodeattr("PE") // self.out_lanes
        cycles = max(max(columns, drain) * rows, self.get_nodeattr("MW") // self.in_lanes)
        return int(cycles * math.prod(self.get_nodeattr("numInputVectors")))

    # ------------------------------------------------------------------------------------- code
    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        if self.ours and self.get_nodeattr("exec_mode") == "rtlsim":
            (output,) = simulate_streams(self, [context[self.onnx_node.input[0]]])
            context[self.onnx_node.output[0]] = output
        else:
            super().execute_node(context, graph)

    def generate_hdl(self, model: ModelWrapper, fpgapart: str, clk: float) -> None:
        """Writes the wrapper, and the weights, into ``code_gen_dir_ipgen``."""
        if not self.ours:
            super().generate_hdl(model, fpgapart, clk)
            self._corrected_file().write_text(corrected(FAULTY, self._library_file().read_text()))
            return
        self.check_attributes()
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        top = self.get_verilog_top_module_name()
        self.set_nodeattr("gen_top_module", top)
        if self.unrolled:
            kernel, parameters = f"{top}_adders", {}
            self._write_adders(model, folder, kernel)
        else:
            kernel = MATRIX_VECTOR
            parameters = self._parameters(model, folder, multiplier_slice(fpgapart))
        wrapper = self._wrapper(top, kernel, parameters, self._kernel_sum_bits(model))
        (folder / f"{top}_wrapper.v").write_text(wrapper)
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def _library_file(self) -> Path:
        return Path(get_settings().finn_rtllib) / "mvu" / FAULTY

    def _corrected_file(self) -> Path:
        """One for all layers, among the folders that FINN generates."""
        return Path(self.get_nodeattr("code_gen_dir_ipgen")).parent / FAULTY

    def instantiate_ip(self, cmd: list[str]) -> None:
        """FINN's Tcl, with the corrected copy of the file that loses results on a stall."""
        commands: list[str] = []
        super().instantiate_ip(commands)
        given, wanted = str(self._library_file()), str(self._corrected_file())
        cmd += [command.replace(given, wanted) for command in commands]

    def integer_weights(self, model: ModelWrapper) -> np.ndarray:
        """W [MH, MW], int64."""
        return np.asarray(model.get_initializer(self.onnx_node.input[1])).T.astype(np.int64)

    def multipliers(self, model: ModelWrapper, dsp: str) -> Multipliers:
        """How the kernel multiplies, see :func:`matrix_vector.multipliers`."""
        pe, simd = int(self.get_nodeattr("PE")), int(self.get_nodeattr("SIMD"))
        weights = self.integer_weights(model)
        return matrix_vector.multipliers(weights, pe, simd, self.get_input_datatype(0), dsp)

    def _parameters(self, model: ModelWrapper, folder: Path, dsp: str) -> dict[str, str]:
        weights, x = self.integer_weights(model), self.get_input_datatype(0)
        pe, simd = int(self.get_nodeattr("PE")), int(self.get_nodeattr("SIMD"))
        found = self.multipliers(model, dsp)
        file = f"{self.get_verilog_top_module_name()}_weights.dat"
        (folder / file).write_text(matrix_vector.memory_lines(weights, pe, simd, found.chain))
        return {
            "MW": str(weights.shape[1]),
            "MH": str(weights.shape[0]),
            "PE": str(pe),
            "SIMD": str(simd),
            "IN_LANES": str(self.in_lanes),
            "OUT_LANES": str(self.out_lanes),
            "IN_WIDTH": str(x.bitwidth()),
            "IN_SIGNED": str(int(x.signed())),
            "WEIGHT_WIDTH": str(matrix_vector.stored_bits(weights)),
            "ACC_WIDTH": str(self._kernel_sum_bits(model)),
            "CHAIN": str(found.chain),
            "PACK": str(found.pack),
            "OFFSET": str(found.offset),
            "DSP": f'"{dsp}"',
            "STYLE": f'"{self._memory_style(matrix_vector.stored_bits(weights))}"',
            "WEIGHT_FILE": f'"./{file}"',
        }

    def adder_graph(self, model: ModelWrapper) -> AdderGraph:
        """The matrix as adders; FlowError without da4ml."""
        x, in_row = self.get_input_datatype(0), int(self.get_nodeattr("addersInRow"))
        return adder_graph(self.integer_weights(model), x, in_row)

    def _write_adders(self, model: ModelWrapper, folder: Path, name: str) -> None:
        bits = self.get_input_datatype(0).bitwidth(), self._kernel_sum_bits(model)
        text = adder_graph_text(self.adder_graph(model), name, label_of(self.onnx_node), *bits)
        (folder / f"{name}.sv").write_text(text)

    def _kernel_sum_bits(self, model: ModelWrapper) -> int:
        bits = matrix_vector.sum_bits(self.integer_weights(model), self.get_input_datatype(0))
        return int(min(bits, self.get_output_datatype().bitwidth()))

    def _wrapper(self, top: str, kernel: str, parameters: dict[str, str], sums: int) -> str:
        given, result = self.get_input_datatype().bitwidth(), self.get_output_datatype().bitwidth()
        lanes = self.out_lanes
        lines = [f"  assign in_lanes = in0_V_TDATA[{self.in_lanes * given - 1}:0];"]
        for lane in range(lanes):
            top_bit = (lane + 1) * sums - 1
            extension = f"{{{result - sums}{{out_lanes[{top_bit}]}}}}, " if result > sums else ""
            lines.append(
                f"  assign out0_V_TDATA[{lane * result} +: {result}] = "
                f"{{{extension}out_lanes[{top_bit}:{lane * sums}]}};"
            )
        width = self.get_outstream_width_padded()
        if width > lanes * result:
            lines.append(f"  assign out0_V_TDATA[{width - 1}:{lanes * result}] = '0;")
        return wrapper_text(
            label_of(self.onnx_node),
            top,
            kernel,
            parameters,
            in_widths=[self.get_instream_width_padded()],
            out_widths=[width],
            kernel_widths=(self.in_lanes * given, lanes * sums),
            lanes="\n".join(lines) + "\n",
        )

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        if not self.ours:
            return list(super().get_rtl_file_list(abspath))
        top = self.get_nodeattr("gen_top_module")
        generated = [f"{top}_wrapper.v"]
        if self.unrolled:
            generated.insert(0, f"{top}_adders.sv")
            sources = [path for kernel in INSTANTIATED for path in kernel_sources(kernel)]
        else:
            sources = kernel_sources(MATRIX_VECTOR)
        if abspath:
            folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
            generated = [str(folder / name) for name in generated]
        return [str(path) if abspath else path.name for path in sources] + generated

    def get_verilog_paths(self) -> list[str]:
        paths = list(super().get_verilog_paths())
        return [*paths, str(RTL_FOLDER)] if self.ours else paths

    def code_generation_ipi(self) -> list[str]:
        if not self.ours:
            return list(super().code_generation_ipi())
        return instance_commands(self)

    # -------------------------------------------------------------------------------- estimates
    def _memory_style(self, bits: int) -> str:
        style = self.get_nodeattr("ram_style")
        if style in ("block", "distributed"):
            return str(style)
        weights = bits * self.get_nodeattr("MW") * self.get_nodeattr("MH")
        return "distributed" if weights <= LUT_MEMORY_BITS or self.calc_wmem() == 1 else "block"

    def geometry(self, fpgapart: str) -> Geometry:
        """What the kernel's resources depend on, as far as the attributes tell."""
        x, simd = self.get_input_datatype(0), int(self.get_nodeattr("SIMD"))
        bits = self.get_input_datatype(1).bitwidth()
        # The last layer's output has whole bytes.
        most = signed_width(x) + bits - 1 + math.ceil(math.log2(self.get_nodeattr("MW")))
        return Geometry(
            columns=self.get_nodeattr("MW") // simd,
            rows=self.get_nodeattr("MH") // self.get_nodeattr("PE"),
            pe=int(self.get_nodeattr("PE")),
            simd=simd,
            in_lanes=self.in_lanes,
            out_lanes=self.out_lanes,
            x_bits=signed_width(x),
            weight_bits=bits,
            sum_bits=min(most, self.get_output_datatype().bitwidth()),
            pack=int(self.get_nodeattr("pack")),
            chain=int(self.get_nodeattr("chain")) or simd,
            slices=bool(multiplier_slice(fpgapart)),
            block_ram=self._memory_style(bits) == "block",
        )

    def lut_estimation(self, fpgapart: str) -> int:
        if self.unrolled:
            return int(self.get_nodeattr("adderLuts"))
        return self.geometry(fpgapart).lut if self.ours else int(super().lut_estimation(fpgapart))

    def ff_estimation(self, fpgapart: str) -> int:
        """Flip-flops of our Verilog; 0 for FINN's, which nobody estimates."""
        if self.unrolled:
            return int(self.get_nodeattr("adderFfs"))
        return self.geometry(fpgapart).ff if self.ours else 0

    def dsp_estimation(self, fpgapart: str) -> int:
        if self.unrolled:
            return 0
        return self.geometry(fpgapart).dsp if self.ours else int(super().dsp_estimation(fpgapart))

    def bram_estimation(self, fpgapart: str) -> int:
        if self.unrolled:
            return 0
        if self.ours:
            return self.geometry(fpgapart).bram18
        return int(super().bram_estimation(fpgapart))

    def uram_estimation(self, fpgapart: str) -> int:
        return 0 if self.ours else int(super().uram_estimation(fpgapart))


def multiplier_slice(fpga_part: str) -> str:
    """Slice to instantiate on a part, or "" where a tool shall map products."""
    block = get_dsp_block(fpga_part)
    return block if block in SLICES else ""


def obstacle(model: ModelWrapper, node: NodeProto) -> str | None:
    """Why an MVAU cannot be on ``matrix_vector.sv``, or None."""
    op = getCustomOp(node)
    weights = model.get_initializer(node.input[1])
    x = op.get_input_datatype(0)
    if weights is None or not op.get_nodeattr("noActivation") or op.get_nodeattr("binaryXnorMode"):
        return "it takes constant integer weights and no thresholds"
    if not x.name.startswith(("INT", "UINT")) or x.bitwidth() > matrix_vector.MAX_INPUT_BITS:
        return f"its inputs are {x.name}, which are not integers of at most 24 bits"
    integers = np.asarray(weights).T.astype(np.int64)
    if matrix_vector.stored_bits(integers) > matrix_vector.MAX_WEIGHT_BITS:
        return f"its weights have {matrix_vector.stored_bits(integers)} bits, more than 16"
    if matrix_vector.sum_bits(integers, x) > matrix_vector.MAX_SUM_BITS:
        return f"its sums have {matrix_vector.sum_bits(integers, x)} bits, more than 48"
    return None
