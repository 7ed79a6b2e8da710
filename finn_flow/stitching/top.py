# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The Verilog top: an instance of every layer, with its weight or parameter streamer."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finn.util.settings import get_settings
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.errors import FlowError

STREAMER_SOURCES = (
    "axi/hdl/axilite.sv",
    "memstream/hdl/memstream_axi.sv",
    "memstream/hdl/memstream.sv",
)
STREAMER_SUFFIX = "_memstream_wrapper"
#: Streams of a layer that a streamer feeds, if it has a mem_mode.
PARAMETER_STREAMS = ("in1_V", "s_params_V")
_PORT = re.compile(
    r"^\s*(input|output)\s+(?:wire\s+|logic\s+|reg\s+)?(?:signed\s+)?(?:\[[^\]]*\]\s*)*"
    r"(\w+)\s*[,)]?\s*(?://.*)?$",
    re.M,
)


@dataclass
class Top:
    """A Verilog module and what it needs.

    Attributes:
        name: module name.
        text: its Verilog.
        sources: files of everything it instantiates.
        input_widths, output_widths: bits of the streams ``s_axis_0``, … and ``m_axis_0``, ….
        fifo_counts: names of the outputs that carry the largest fill of each FIFO; only if asked.
    """

    name: str
    text: str
    sources: list[Path]
    input_widths: list[int]
    output_widths: list[int]
    fifo_counts: list[str] = field(default_factory=list)


def make_top(model: ModelWrapper, name: str, *, fifo_counts: bool = False) -> Top:
    """Top of a graph of layers with generated HDL.

    Ports: ``ap_clk``, ``ap_rst_n``, a stream ``s_axis_i`` for each input of the graph and
    ``m_axis_i`` for each output; with ``fifo_counts`` also one 32-bit output per FIFO.
    """
    nets = {tensor.name: f"s_axis_{i}" for i, tensor in enumerate(model.graph.input)}
    nets |= {tensor.name: f"m_axis_{i}" for i, tensor in enumerate(model.graph.output)}
    widths: dict[str, int] = {}
    sources: dict[Path, None] = {}
    body: list[str] = []
    counts: list[str] = []
    for index, node in enumerate(model.graph.node):
        op = getCustomOp(node)
        top = _top_module(op)
        files = [Path(path) for path in op.get_rtl_file_list(abspath=True)]
        sources.update(dict.fromkeys(files))
        ports = _ports(files, top)
        connections = _clocks(ports)
        for i, tensor in enumerate(node.input):
            if model.get_initializer(tensor) is None:
                connections |= _stream(f"in{i}_V", _net(model, nets, node, tensor), "t")
                widths.setdefault(nets[tensor], op.get_instream_width_padded(i))
        for i, tensor in enumerate(node.output):
            if tensor not in nets:
                nets[tensor] = f"stream_{index}" + (f"_{i}" if i else "")
                body += _wires(nets[tensor], op.get_outstream_width_padded(i))
            widths[nets[tensor]] = op.get_outstream_width_padded(i)
            connections |= _stream(f"out{i}_V", nets[tensor], "t")
        parameter = _parameter_stream(op, ports.keys() - connections.keys())
        body.append(f"  // {node.name}: {node.op_type}")
        if parameter is not None:
            streamer, streamer_file = _streamer(op)
            sources.update(dict.fromkeys(_streamer_sources(streamer_file)))
            wire = f"parameters_{index}"
            body += _wires(wire, _streamer_width(streamer_file))
            streamer_ports = _ports([streamer_file], streamer)
            feeds = _clocks(streamer_ports) | {
                f"m_axis_0_{part}": f"{wire}_{part}" for part in ("tdata", "tvalid", "tready")
            }
            body += _instance(streamer, f"{node.name}_parameters", streamer_ports, feeds)
            connections |= _stream(parameter, wire, "t")
        if fifo_counts and "maxcount" in ports:
            counts.append(f"maxcount_{len(counts)}")
            connections["maxcount"] = counts[-1]
        body += _instance(top, f"layer_{index}", ports, connections)
    inputs = [widths[nets[tensor.name]] for tensor in model.graph.input]
    outputs = [widths[nets[tensor.name]] for tensor in model.graph.output]
    text = _module(name, inputs, outputs, counts, body)
    return Top(name, text, list(sources), inputs, outputs, counts)


def _net(model: ModelWrapper, nets: dict[str, str], node: NodeProto, tensor: str) -> str:
    """Net of a stream that ``node`` reads; FlowError unless it alone does, behind its producer."""
    readers = len(model.find_consumers(tensor)) + (nets.get(tensor, "").startswith("m_axis"))
    if readers > 1:
        raise FlowError(
            f"{node.name} ({node.op_type}) reads {tensor}, which has {readers} readers; a stream "
            "has one: put a DuplicateStreams behind it"
        )
    if tensor not in nets:
        raise FlowError(f"{node.name} ({node.op_type}) reads {tensor}, which no layer before gives")
    return nets[tensor]


def _top_module(op: Any) -> str:
    return str(op.get_nodeattr("gen_top_module") or op.get_verilog_top_module_name())


def _ports(files: list[Path], module: str) -> dict[str, str]:
    """Direction of every port of ``module``."""
    for path in files:
        text = path.read_text()
        found = re.search(rf"^\s*module\s+{module}\b(.*?)^\s*endmodule\b", text, re.S | re.M)
        if found is not None:
            header = re.sub(r"\(\*.*?\*\)", "", found[1].split(");", 1)[0] + "\n", flags=re.S)
            return {name: direction for direction, name in _PORT.findall(header)}
    raise FlowError(f"module {module} is in none of {[path.name for path in files]}")


def _clocks(ports: dict[str, str]) -> dict[str, str]:
    clocks = {"ap_clk": "ap_clk", "ap_clk2x": "ap_clk", "ap_rst_n": "ap_rst_n"}
    return {port: net for port, net in clocks.items() if port in ports}


def _stream(bus: str, net: str, prefix: str) -> dict[str, str]:
    return {
        f"{bus}_T{part.upper()}": f"{net}_{prefix}{part}" for part in ("data", "valid", "ready")
    }


def _wires(net: str, width: int) -> list[str]:
    return [f"  wire [{width - 1}:0] {net}_tdata;", f"  wire {net}_tvalid, {net}_tready;"]


def _parameter_stream(op: Any, ports: Collection[str]) -> str | None:
    # Thresholding keeps its thresholds inside and has no mem_mode. Its in1_V selects one of several
    # sets of thresholds; with one set it is ignored, and stays at zero.
    if "mem_mode" not in op.get_nodeattr_types():
        return None
    return next((stream for stream in PARAMETER_STREAMS if f"{stream}_TDATA" in ports), None)


def _streamer(op: Any) -> tuple[str, Path]:
    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    found = sorted(folder.glob(f"*{STREAMER_SUFFIX}.v"))
    if len(found) != 1:
        raise FlowError(
            f"{op.onnx_node.name} ({op.onnx_node.op_type}) takes a parameter stream, for which "
            f"FINN wrote {len(found)} memories instead of one; check that the versions of finn-plus"
            " and dhq_brevitas fit each other"
        )
    return found[0].stem, found[0]


def _streamer_sources(wrapper: Path) -> list[Path]:
    library = Path(get_settings().finn_rtllib)
    return [*(library / name for name in STREAMER_SOURCES), wrapper]


def _streamer_width(wrapper: Path) -> int:
    """Bits of a streamer's output, a multiple of 8."""
    found = re.search(r"parameter\s+WIDTH\s*=\s*(\d+)", wrapper.read_text())
    if found is None:
        raise FlowError(f"{wrapper.name} does not state the WIDTH of its stream")
    return (int(found[1]) + 7) // 8 * 8


def _instance(
    module: str, name: str, ports: dict[str, str], connections: dict[str, str]
) -> list[str]:
    """Instance with inputs that have no connection at zero and such outputs open."""
    lines = []
    for port, direction in ports.items():
        net = connections.get(port, "'0" if direction == "input" else "")
        lines.append(f"      .{port}({net})")
    missing = connections.keys() - ports.keys()
    if missing:
        raise FlowError(f"module {module} has no port {sorted(missing)[0]}")
    return [f"  {module} {name} (", ",\n".join(lines), "  );", ""]


def _module(
    name: str, inputs: list[int], outputs: list[int], counts: list[str], body: list[str]
) -> str:
    buses = [f"s_axis_{i}" for i in range(len(inputs))]
    buses += [f"m_axis_{i}" for i in range(len(outputs))]
    ports = [
        f'    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(buses)}, '
        'ASSOCIATED_RESET ap_rst_n" *)\n'
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n'
        "    input  wire ap_clk",
        '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n    input  wire ap_rst_n',
        *(
            f"    input  wire [{width - 1}:0] s_axis_{i}_tdata,\n"
            f"    input  wire s_axis_{i}_tvalid,\n"
            f"    output wire s_axis_{i}_tready"
            for i, width in enumerate(inputs)
        ),
        *(
            f"    output wire [{width - 1}:0] m_axis_{i}_tdata,\n"
            f"    output wire m_axis_{i}_tvalid,\n"
            f"    input  wire m_axis_{i}_tready"
            for i, width in enumerate(outputs)
        ),
        *(f"    output wire [31:0] {count}" for count in counts),
    ]
    return "\n".join(
        [
            "// The whole accelerator; generated, do not edit.",
            "",
            f"module {name} (",
            ",\n".join(ports),
            ");",
            "",
            *body,
            "endmodule",
            "",
        ]
    )
