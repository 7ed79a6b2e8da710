# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The Verilog top: an instance of every layer in a row, with its weight or parameter streamer."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finn.util.settings import get_settings
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
        input_width, output_width: bits of the streams ``s_axis_0`` and ``m_axis_0``.
        fifo_counts: names of the outputs that carry the largest fill of each FIFO; only if asked.
    """

    name: str
    text: str
    sources: list[Path]
    input_width: int
    output_width: int
    fifo_counts: list[str] = field(default_factory=list)


def make_top(model: ModelWrapper, name: str, *, fifo_counts: bool = False) -> Top:
    """Top of a chain of layers with generated HDL.

    Ports: ``ap_clk``, ``ap_rst_n``, streams ``s_axis_0`` and ``m_axis_0``; with ``fifo_counts``
    also one 32-bit output per FIFO.
    """
    nodes = _chain(model)
    sources: dict[Path, None] = {}
    body: list[str] = []
    counts: list[str] = []
    width = nodes[0].get_instream_width_padded()
    stream = "s_axis_0"
    for index, op in enumerate(nodes):
        top = _top_module(op)
        files = [Path(path) for path in op.get_rtl_file_list(abspath=True)]
        sources.update(dict.fromkeys(files))
        ports = _ports(files, top)
        out_width = op.get_outstream_width_padded()
        out = "m_axis_0" if index == len(nodes) - 1 else f"stream_{index}"
        if index < len(nodes) - 1:
            body += _wires(out, out_width)
        connections = _clocks(ports) | _stream("in0_V", stream, "t") | _stream("out0_V", out, "t")
        parameter = _parameter_stream(op, ports)
        body.append(f"  // {op.onnx_node.name}: {op.onnx_node.op_type}")
        if parameter is not None:
            streamer, streamer_file = _streamer(op)
            sources.update(dict.fromkeys(_streamer_sources(streamer_file)))
            wire = f"parameters_{index}"
            body += _wires(wire, _streamer_width(streamer_file))
            streamer_ports = _ports([streamer_file], streamer)
            feeds = _clocks(streamer_ports) | {
                f"m_axis_0_{part}": f"{wire}_{part}" for part in ("tdata", "tvalid", "tready")
            }
            body += _instance(streamer, f"{op.onnx_node.name}_parameters", streamer_ports, feeds)
            connections |= _stream(parameter, wire, "t")
        if fifo_counts and "maxcount" in ports:
            counts.append(f"maxcount_{len(counts)}")
            connections["maxcount"] = counts[-1]
        body += _instance(top, f"layer_{index}", ports, connections)
        stream = out
    text = _module(name, width, out_width, counts, body)
    return Top(name, text, list(sources), width, out_width, counts)


def _chain(model: ModelWrapper) -> list[Any]:
    """The layers from the input to the output of the graph."""
    ops = []
    tensor = model.graph.input[0].name
    while (node := model.find_consumer(tensor)) is not None:
        if (
            node.input[0] != tensor
            or len(node.output) != 1
            or len(model.find_consumers(tensor)) > 1
        ):
            raise FlowError(f"{node.name} ({node.op_type}): only a chain of layers can be stitched")
        ops.append(getCustomOp(node))
        tensor = node.output[0]
    if len(ops) != len(model.graph.node) or len(model.graph.output) != 1:
        raise FlowError("only a chain of layers with one input and one output can be stitched")
    return ops


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


def _parameter_stream(op: Any, ports: dict[str, str]) -> str | None:
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


def _module(name: str, in_width: int, out_width: int, counts: list[str], body: list[str]) -> str:
    ports = [
        '    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axis_0:m_axis_0, '
        'ASSOCIATED_RESET ap_rst_n" *)\n'
        '    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n'
        "    input  wire ap_clk",
        '    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n    input  wire ap_rst_n',
        f"    input  wire [{in_width - 1}:0] s_axis_0_tdata",
        "    input  wire s_axis_0_tvalid",
        "    output wire s_axis_0_tready",
        f"    output wire [{out_width - 1}:0] m_axis_0_tdata",
        "    output wire m_axis_0_tvalid",
        "    input  wire m_axis_0_tready",
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
