# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the RTL variants of this package's layers share: wrapper, file list, execution."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host import pack, unpack
from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp, label_of

RTL_FOLDER = Path(str(files("dhq_brevitas.finn_flow.rtl")))
_INSTANCE = re.compile(r"^\s*(\w+)\s*(?:#\(|\w+\s*\()", re.M)

WRAPPER = """\
// {title}
// FINN's port names around the kernel {kernel}; generated, do not edit.

module {top} (
    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n" *)
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
    input  wire ap_clk,
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input  wire ap_rst_n,
{ports}
);

  // One signed word per lane between FINN's streams and the kernel.
  wire [{kernel_in_high}:0] in_lanes;
  wire [{kernel_out_high}:0] out_lanes;
{lanes}
  {kernel}{parameters} kernel (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .s_axis_tdata(in_lanes),
      .s_axis_tvalid({in_valid}),
      .s_axis_tready({in_ready}),
      .m_axis_tdata(out_lanes),
      .m_axis_tvalid({out_valid}),
      .m_axis_tready({out_ready})
  );

endmodule
"""
IN_PORTS = """
    input  wire [{high}:0] in{index}_V_TDATA,
    input  wire in{index}_V_TVALID,
    output wire in{index}_V_TREADY"""
OUT_PORTS = """
    output wire [{high}:0] out{index}_V_TDATA,
    output wire out{index}_V_TVALID,
    input  wire out{index}_V_TREADY"""


def wrapper_text(
    title: str,
    top: str,
    kernel: str,
    parameters: dict[str, str],
    *,
    in_widths: Sequence[int],
    out_widths: Sequence[int],
    kernel_widths: tuple[int, int],
    lanes: str,
) -> str:
    """Verilog of the module ``top`` around ``kernel``.

    ``in_widths`` and ``out_widths`` are those of FINN's streams in bits, ``kernel_widths`` of all
    the kernel's inputs and of an output; ``lanes`` assigns between them.
    """
    inputs, outputs = range(len(in_widths)), range(len(out_widths))

    def vector(side: str, indices: range, signal: str) -> str:
        names = [f"{side}{i}_V_{signal}" for i in reversed(indices)]
        return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"

    # Verilog has no empty list.
    given = ",\n".join(f"      .{name}({text})" for name, text in parameters.items())
    return WRAPPER.format(
        title=title,
        kernel=kernel,
        top=top,
        buses=":".join([*(f"in{i}_V" for i in inputs), *(f"out{i}_V" for i in outputs)]),
        ports=",\n".join(
            [
                *(IN_PORTS.format(index=i, high=in_widths[i] - 1) for i in inputs),
                *(OUT_PORTS.format(index=i, high=out_widths[i] - 1) for i in outputs),
            ]
        ),
        kernel_in_high=kernel_widths[0] - 1,
        kernel_out_high=kernel_widths[1] - 1,
        lanes=lanes,
        parameters=f" #(\n{given}\n  )" if given else "",
        in_valid=vector("in", inputs, "TVALID"),
        in_ready=vector("in", inputs, "TREADY"),
        out_valid=vector("out", outputs, "TVALID"),
        out_ready=vector("out", outputs, "TREADY"),
    )


class KernelRtl(RTLBackend):
    """Abstract RTL variant of a layer on a kernel of this package; put it after the layer.

    A subclass gives the kernel, its parameters and the bits of a lane. A kernel of several inputs
    or outputs has their handshakes as vectors, stream 0 lowest, and the data of its inputs side by
    side; several outputs all carry the same data.

    In exec_mode "cppsim" the Python of the layer runs, in "rtlsim" the simulation, as in FINN's
    MVAU_rtl.
    """

    KERNEL: str

    @abstractmethod
    def kernel_parameters(self, model: ModelWrapper, folder: Path) -> dict[str, str]:
        """Parameters as Verilog text; may write memory contents below ``folder``."""

    @abstractmethod
    def kernel_bits(self) -> tuple[list[int], int]:
        """Bits of a lane of each input, and of an output, as the kernel has them."""

    def lane_word(self, index: int, word: str, bits: int) -> str:
        """What the kernel gets for a lane ``word`` of input ``index``, extended to ``bits``."""
        return word

    @property
    def label(self) -> str:
        """Name and operator for messages."""
        return label_of(self.onnx_node)

    def check_attributes(self) -> None:
        """FlowError for the first attribute that is out of range."""

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        mode = self.get_nodeattr("exec_mode")
        if mode == "cppsim":
            self._layer().execute_node(self, context, graph)
        elif mode == "rtlsim":
            self._simulate(context)
        else:
            raise FlowError(
                f"{self.label}: exec_mode={mode!r} must be 'cppsim' (the layer's Python) or "
                "'rtlsim'"
            )

    def _layer(self) -> type[Any]:
        """The layer that this is a variant of."""
        bases = type(self).__mro__[1:]
        return next(base for base in bases if not issubclass(base, RTLBackend))

    def _simulate(self, context: dict[str, np.ndarray]) -> None:
        inputs = self.onnx_node.input[: len(self.kernel_bits()[0])]
        results = simulate_streams(self, [context[name] for name in inputs])
        context.update(zip(self.onnx_node.output, results, strict=True))

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
        bits, out_bits = self.kernel_bits()
        inputs, outputs = range(len(bits)), range(len(self.onnx_node.output))
        return wrapper_text(
            self.label,
            top,
            self.KERNEL,
            parameters,
            in_widths=[self.get_instream_width_padded(i) for i in inputs],
            out_widths=[self.get_outstream_width_padded(i) for i in outputs],
            kernel_widths=(
                sum(b * self._input_lanes(i) for i, b in enumerate(bits)),
                self._output_lanes() * out_bits,
            ),
            lanes=self._lanes(bits, out_bits),
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
        return instance_commands(self)

    def _input_lanes(self, index: int) -> int:
        return int(self.get_folded_input_shape(index)[-1])

    def _output_lanes(self) -> int:
        return int(self.get_folded_output_shape()[-1])

    def _lanes(self, kernel_bits: list[int], out_bits: int) -> str:
        """Assignments between padded streams and lanes."""
        lines = []
        offset = 0
        for index, in_bits in enumerate(kernel_bits):
            given, port = self.get_input_datatype(index), f"in{index}_V_TDATA"
            bits = given.bitwidth()
            for lane in range(self._input_lanes(index)):
                word = f"{port}[{lane * bits + bits - 1}:{lane * bits}]"
                if in_bits > bits:
                    top = f"{port}[{lane * bits + bits - 1}]" if given.signed() else "1'b0"
                    word = f"{{{{{in_bits - bits}{{{top}}}}}, {word}}}"
                word = self.lane_word(index, word, in_bits)
                start = f"{offset} + {lane} * {in_bits}" if offset else f"{lane} * {in_bits}"
                lines.append(f"  assign in_lanes[{start} +: {in_bits}] = {word};")
            offset += self._input_lanes(index) * in_bits
        wanted, lanes = self.get_output_datatype(), self._output_lanes()
        result, high = wanted.bitwidth(), self.get_outstream_width_padded() - 1
        for index in range(len(self.onnx_node.output)):
            for lane in range(lanes):
                word = f"out_lanes[{lane * out_bits + result - 1}:{lane * out_bits}]"
                if not wanted.signed() and out_bits > result:
                    # Below zero the unsigned type saturates.
                    word = f"out_lanes[{lane * out_bits + out_bits - 1}] ? {result}'d0 : {word}"
                lines.append(
                    f"  assign out{index}_V_TDATA[{lane} * {result} +: {result}] = {word};"
                )
            padding = high + 1 - lanes * result
            if padding:
                zeros = f"[{high}:{lanes * result}] = {padding}'d0;"
                lines.append(f"  assign out{index}_V_TDATA{zeros}")
        return "\n".join(lines) + "\n"


class ChannelwiseRtl(ChannelwiseOp, KernelRtl):
    """Abstract RTL variant of a layer with one stream in and one out."""

    execute_node = KernelRtl.execute_node

    @abstractmethod
    def lane_bits(self) -> tuple[int, int]:
        """Bits of a lane at the input and at the output of the kernel."""

    def kernel_bits(self) -> tuple[list[int], int]:
        in_bits, out_bits = self.lane_bits()
        return [in_bits], out_bits

    def _simulate(self, context: dict[str, np.ndarray]) -> None:
        self.integer_input(context)
        super()._simulate(context)


def simulate_streams(op: HWCustomOp, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs of the compiled RTL of a layer with the streams in0_V…, out0_V…, for integers.

    Of the type of ``values``, of which float64 holds what FINN's own packing rounds to float32.
    """
    outputs: dict[str, list[int]] = {f"out{i}": [] for i in range(len(op.onnx_node.output))}
    streams: dict[str, dict[str, list[int]]] = {"inputs": {}, "outputs": outputs}
    for i, given in enumerate(values):
        bits, lanes = op.get_input_datatype(i).bitwidth(), op.get_folded_input_shape(i)[-1]
        words = pack(given, bits, lanes, -(-op.get_instream_width(i) // 8))
        streams["inputs"][f"in{i}"] = [int.from_bytes(word, "little") for word in words]
    sim = op.get_rtlsim()
    op.reset_rtlsim(sim)
    op.rtlsim_multi_io(sim, streams)
    op.close_rtlsim(sim)
    datatype, lanes = op.get_output_datatype(), op.get_folded_output_shape()[-1]
    size, results = -(-op.get_outstream_width() // 8), []
    for beats in outputs.values():
        content = b"".join(beat.to_bytes(size, "little") for beat in beats)
        words = np.frombuffer(content, np.uint8).reshape(-1, size)
        integers = unpack(words, datatype.bitwidth(), datatype.signed(), lanes)
        results.append(integers.astype(values[0].dtype).reshape(op.get_normal_output_shape()))
    return results


def instance_commands(op: Any) -> list[str]:
    """Tcl that adds the sources of a layer and instantiates its wrapper in a block design."""
    return [
        *(f"add_files -norecurse {path}" for path in op.get_rtl_file_list(abspath=True)),
        f"create_bd_cell -type module -reference {op.get_nodeattr('gen_top_module')} "
        f"{op.onnx_node.name}",
    ]


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
