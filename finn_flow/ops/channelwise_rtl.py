# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the RTL variants of this package's layers share: wrapper, file list, execution."""

import re
from abc import abstractmethod
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.util.data_packing import npy_to_rtlsim_input, rtlsim_output_to_npy
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp

RTL_FOLDER = Path(str(files("dhq_brevitas.finn_flow.rtl")))
_INSTANCE = re.compile(r"^\s*(\w+)\s*(?:#\(|\w+\s*\()", re.M)

WRAPPER = """\
// {title}
// FINN's port names around the kernel {kernel}; generated, do not edit.

module {top} (
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF in0_V:out0_V, ASSOCIATED_RESET ap_rst_n" *)
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
    input  wire ap_clk,
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire ap_rst_n,

    input  wire [{in_high}:0] in0_V_TDATA,
    input  wire in0_V_TVALID,
    output wire in0_V_TREADY,

    output wire [{out_high}:0] out0_V_TDATA,
    output wire out0_V_TVALID,
    input  wire out0_V_TREADY
);

  // One signed word per lane between FINN's streams and the kernel.
  wire [{kernel_in_high}:0] in_lanes;
  wire [{kernel_out_high}:0] out_lanes;
{lanes}
  {kernel} #(
{parameters}
  ) kernel (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .s_axis_tdata(in_lanes),
      .s_axis_tvalid(in0_V_TVALID),
      .s_axis_tready(in0_V_TREADY),
      .m_axis_tdata(out_lanes),
      .m_axis_tvalid(out0_V_TVALID),
      .m_axis_tready(out0_V_TREADY)
  );

endmodule
"""


class ChannelwiseRtl(ChannelwiseOp, RTLBackend):
    """Abstract RTL variant; put it after the layer in the bases of a class.

    In exec_mode "cppsim" the Python of the layer runs, in "rtlsim" the simulation, as in FINN's
    MVAU_rtl. A subclass gives the kernel, its parameters and the bits of a lane.
    """

    KERNEL: str

    @abstractmethod
    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        """Parameters as Verilog text; may write memory contents below ``folder``."""

    @abstractmethod
    def lane_bits(self) -> tuple[int, int]:
        """Bits of a lane at the input and at the output of the kernel."""

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        mode = self.get_nodeattr("exec_mode")
        if mode == "cppsim":
            self._layer().execute_node(self, context, graph)
        elif mode == "rtlsim":
            output = simulate_streams(self, self.integer_input(context))
            context[self.onnx_node.output[0]] = output
        else:
            raise FlowError(
                f"{self.label}: exec_mode={mode!r} must be 'cppsim' (the layer's Python) or "
                "'rtlsim'"
            )

    def generate_hdl(self, model: ModelWrapper, fpgapart: str, clk: float) -> None:
        """Writes the wrapper and memory contents into ``code_gen_dir_ipgen``."""
        self.check_attributes()
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        top = self.get_verilog_top_module_name()
        self.set_nodeattr("gen_top_module", top)
        (folder / f"{top}.v").write_text(self.wrapper(top, self.kernel_parameters(model, folder)))
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def wrapper(self, top: str, parameters: dict[str, str]) -> str:
        """Verilog of the module ``top``."""
        in_bits, out_bits = self.lane_bits()
        return WRAPPER.format(
            title=self.label,
            kernel=self.KERNEL,
            top=top,
            in_high=self.get_instream_width_padded() - 1,
            out_high=self.get_outstream_width_padded() - 1,
            kernel_in_high=self.lanes * in_bits - 1,
            kernel_out_high=self.lanes * out_bits - 1,
            lanes=self._lanes(in_bits, out_bits),
            parameters=",\n".join(f"      .{name}({text})" for name, text in parameters.items()),
        )

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """The wrapper and the kernel with all it instantiates, packages first."""
        wrapper = f"{self.get_nodeattr('gen_top_module')}.v"
        if abspath:
            wrapper = str(Path(self.get_nodeattr("code_gen_dir_ipgen")) / wrapper)
        sources = kernel_sources(self.KERNEL)
        return [str(path) if abspath else path.name for path in sources] + [wrapper]

    def get_verilog_paths(self) -> list[str]:
        return [*super().get_verilog_paths(), str(RTL_FOLDER)]

    def code_generation_ipi(self) -> list[str]:
        """Tcl that adds the sources and instantiates the wrapper in a block design."""
        return [
            *(f"add_files -norecurse {path}" for path in self.get_rtl_file_list(abspath=True)),
            f"create_bd_cell -type module -reference {self.get_nodeattr('gen_top_module')} "
            f"{self.onnx_node.name}",
        ]

    def _layer(self) -> type[ChannelwiseOp]:
        return next(base for base in type(self).__mro__[1:] if issubclass(base, ChannelwiseOp))

    def _lanes(self, in_bits: int, out_bits: int) -> str:
        """Assignments between padded streams and lanes."""
        given, wanted = self.get_input_datatype(), self.get_output_datatype()
        bits, result = given.bitwidth(), wanted.bitwidth()
        lines = []
        for lane in range(self.lanes):
            word = f"in0_V_TDATA[{lane * bits + bits - 1}:{lane * bits}]"
            if in_bits > bits:
                top = f"in0_V_TDATA[{lane * bits + bits - 1}]" if given.signed() else "1'b0"
                word = f"{{{{{in_bits - bits}{{{top}}}}}, {word}}}"
            lines.append(f"  assign in_lanes[{lane} * {in_bits} +: {in_bits}] = {word};")
        for lane in range(self.lanes):
            word = f"out_lanes[{lane * out_bits + result - 1}:{lane * out_bits}]"
            if not wanted.signed() and out_bits > result:
                # Below zero the unsigned type saturates.
                word = f"out_lanes[{lane * out_bits + out_bits - 1}] ? {result}'d0 : {word}"
            lines.append(f"  assign out0_V_TDATA[{lane} * {result} +: {result}] = {word};")
        padding = self.get_outstream_width_padded() - self.lanes * result
        if padding:
            high = self.get_outstream_width_padded() - 1
            lines.append(f"  assign out0_V_TDATA[{high}:{self.lanes * result}] = {padding}'d0;")
        return "\n".join(lines) + "\n"


def simulate_streams(op: HWCustomOp, values: np.ndarray) -> np.ndarray:
    """Output of the compiled RTL of a layer with the streams in0_V and out0_V, for integers."""
    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    path = folder / "input_0.npy"
    np.save(path, values.astype(np.float32).reshape(op.get_folded_input_shape()))
    packed = npy_to_rtlsim_input(str(path), op.get_input_datatype(), op.get_instream_width())
    streams: dict[str, dict[str, list[int]]] = {"inputs": {"in0": packed}}
    streams["outputs"] = {"out0": []}
    sim = op.get_rtlsim()
    op.reset_rtlsim(sim)
    op.rtlsim_multi_io(sim, streams)
    op.close_rtlsim(sim)
    datatype = op.get_output_datatype()
    output = rtlsim_output_to_npy(
        streams["outputs"]["out0"],
        str(folder / "output.npy"),
        datatype,
        op.get_folded_output_shape(),
        op.get_outstream_width(),
        datatype.bitwidth(),
    )
    return np.asarray(output, np.float32).reshape(op.get_normal_output_shape())


def kernel_sources(kernel: str) -> list[Path]:
    """Files of a kernel of this package and of the modules it instantiates, packages first."""
    available = {path.stem: path for path in sorted(RTL_FOLDER.glob("*.sv"))}
    if kernel not in available:
        raise FlowError(f"there is no kernel {kernel!r}; there are {sorted(available)}")
    found: dict[str, Path] = {}
    pending = [kernel]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = available[name]
        text = available[name].read_text()
        used = set(_INSTANCE.findall(text)) | set(re.findall(r"\b(\w+_pkg)::", text))
        pending += sorted(used & available.keys())
    packages = [path for name, path in sorted(found.items()) if name.endswith("_pkg")]
    return packages + [path for name, path in sorted(found.items()) if not name.endswith("_pkg")]


def bit_literal(bits: list[int] | np.ndarray) -> str:
    """Verilog literal whose bit i is ``bits[i]``."""
    value = sum(int(bit) << i for i, bit in enumerate(bits))
    return f"{len(bits)}'h{value:x}"
