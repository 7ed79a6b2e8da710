# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``stitch``: a graph of RTL layers to one Verilog design, its FIFOs sized by measurement."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.finn_flow.build import DEFAULT_FPGA_PART
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import only
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import collect
from dhq_brevitas.finn_flow.stitching.folder import FILE_LIST, design_folder, write_folder
from dhq_brevitas.finn_flow.stitching.prepare import (
    MIN_FIFO_DEPTH,
    branch_ends,
    fifos,
    generate_nodes,
    insert_infrastructure,
    pipeline_length,
    set_depths,
    stands_between_kernels,
)
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat, run_signal
from dhq_brevitas.finn_flow.stitching.top import Top, make_top
from dhq_brevitas.util.files import read_json, write_json

DEFAULT_TOP = "dhq_accelerator"
FOLDER_PROPERTY = "dhq_stitched_folder"
DEPTHS_FILE = "fifo_depths.json"
#: Samples simulated to size the FIFOs.
SIZING_SAMPLES = 12
UNOPTIMIZED_CYCLES = 100_000
SIZING_MARGIN = 1
#: Words inside a FIFO that takes and gives one in every cycle.
PASSING_WORDS = 3


@dataclass(frozen=True)
class StitchedDesign:
    """A design as a folder of Verilog.

    Attributes:
        model: the graph with converters and FIFOs. FINN's ``rtlsim_exec`` runs it.
        folder: sources, top, file lists, constraints, README.
        top: name of the top module.
        fifo_depths: on every stream, from input to output; 0 where there is none.
    """

    model: ModelWrapper
    folder: Path
    top: str
    fifo_depths: list[int]

    @property
    def input_format(self) -> StreamFormat:
        """How samples enter a design with one input."""
        return only(self.input_formats, "inputs")

    @property
    def output_format(self) -> StreamFormat:
        """How results leave a design with one output."""
        return only(self.output_formats, "outputs")

    @property
    def input_formats(self) -> list[StreamFormat]:
        """How samples enter, input by input."""
        return input_formats(self.model)

    @property
    def output_formats(self) -> list[StreamFormat]:
        """How results leave, output by output."""
        return output_formats(self.model)

    @property
    def sources(self) -> list[Path]:
        """Files to compile, in this order."""
        return [self.folder / name for name in (self.folder / FILE_LIST).read_text().splitlines()]

    def library(self, *, trace: bool = False) -> Path:
        """The compiled simulator, from the cache if it was compiled before."""
        return compile_design(collect(self.sources), self.top, trace=trace)


def stitch(
    model: ModelWrapper,
    folder: str | os.PathLike[str],
    *,
    fifo_depths: Sequence[int] | None = None,
    fpga_part: str = DEFAULT_FPGA_PART,
    clk_period_ns: float = 5.0,
    top: str = DEFAULT_TOP,
) -> StitchedDesign:
    """Writes the whole accelerator as one Verilog design.

    Args:
        model: graph of RTL layers, as ``build_dataflow`` leaves it; left as it is.
        folder: gets the design, see README.md in it: new, empty, or of an earlier design.
        fifo_depths: of the FIFO on every stream, from input to output. By default they are sized:
            the design runs with FIFOs that never fill, and each gets the largest fill that was
            seen; between kernels of this package it goes (depth 0) if no word waited and no branch
            ends there. Too shallow ones cost rate where a layer that writes evenly meets one that
            reads in bursts (FINN's MVAU reads a sample in MW/SIMD cycles and then repeats it), and
            where a branch waits for another one to catch up. They cannot stop a chain, in which
            every layer waits for one neighbor at a time; a branch that holds less than a sample,
            while the one it waits for reads a whole sample before it puts out anything, stops a
            graph.
        fpga_part: decides which DSP slices the MVAUs use.
        clk_period_ns: clock period, for constraints and the MVAUs' pipelines.
        top: name of the top module.

    FlowError for a graph of which a stream has several readers; UnsupportedNodeError, naming the
    node, for a layer that has no Verilog without Vivado's tools.
    """
    if not top.isidentifier() or top.strip(".v") != top:
        # FINN's rtlsim_exec strips these characters off the file name.
        raise FlowError(f"top={top!r} must be an identifier that neither starts nor ends with v")
    folder = design_folder(folder)
    prepared = insert_infrastructure(model, fpga_part, fifo_depths)
    prepared = generate_nodes(prepared, fpga_part, clk_period_ns)
    if fifo_depths is None:
        fifo_depths = _depths(prepared, _largest_fills(prepared))
        set_depths(prepared, fifo_depths)
        prepared = generate_nodes(prepared, fpga_part, clk_period_ns)
    verilog = make_top(prepared, top)
    depths = [max(MIN_FIFO_DEPTH, int(depth)) if depth else 0 for depth in fifo_depths]
    design = StitchedDesign(prepared, folder, top, depths)
    write_folder(folder, verilog, clk_period_ns, design.input_formats, design.output_formats)
    _set_properties(design, verilog)
    prepared.save(str(folder / "stitched.onnx"))
    write_json(folder / DEPTHS_FILE, {"fifo_depths": design.fifo_depths})
    return design


def input_formats(model: ModelWrapper) -> list[StreamFormat]:
    """How samples enter a graph of RTL layers, input by input."""
    formats = []
    for tensor in model.graph.input:
        node = model.find_consumer(tensor.name)
        op, index = getCustomOp(node), list(node.input).index(tensor.name)
        formats.append(
            StreamFormat.of(op.get_input_datatype(index), op.get_folded_input_shape(index))
        )
    return formats


def output_formats(model: ModelWrapper) -> list[StreamFormat]:
    """How results leave a graph of RTL layers, output by output."""
    formats = []
    for tensor in model.graph.output:
        node = model.find_producer(tensor.name)
        op, index = getCustomOp(node), list(node.output).index(tensor.name)
        formats.append(
            StreamFormat.of(op.get_output_datatype(index), op.get_folded_output_shape(index))
        )
    return formats


def _depths(model: ModelWrapper, fills: Sequence[int]) -> list[int]:
    """Depths that hold ``fills`` words.

    0 where none waited, our kernels are on both sides, and no branch ends.
    """
    ends = {fifo.onnx_node.name for fifo in branch_ends(model)}
    return [
        0
        if fill <= PASSING_WORDS
        and fifo.onnx_node.name not in ends
        and stands_between_kernels(model, fifo.onnx_node)
        else max(MIN_FIFO_DEPTH, fill + SIZING_MARGIN)
        for fifo, fill in zip(fifos(model), fills, strict=True)
    ]


def _set_properties(design: StitchedDesign, verilog: Top) -> None:
    """What FINN's functions on stitched graphs, and open_stitched, look for in the graph."""
    interfaces = {
        "clk": ["ap_clk"],
        "rst": ["ap_rst_n"],
        "s_axis": [[f"s_axis_{i}", width] for i, width in enumerate(verilog.input_widths)],
        "m_axis": [[f"m_axis_{i}", width] for i, width in enumerate(verilog.output_widths)],
        "aximm": [],
        "axilite": [],
    }
    for key, value in {
        "wrapper_filename": str(design.folder / f"{design.top}.v"),
        "vivado_stitch_proj": str(design.folder),
        "vivado_stitch_ifnames": json.dumps(interfaces),
        "rtlsim_behavioral": "0",
        FOLDER_PROPERTY: str(design.folder),
    }.items():
        design.model.set_metadata_prop(key, value)


def open_stitched(model: ModelWrapper) -> StitchedDesign | None:
    """The design that ``stitch`` left ``model`` for, or None if it is another graph."""
    folder = model.get_metadata_prop(FOLDER_PROPERTY)
    if folder is None:
        return None
    top = Path(model.get_metadata_prop("wrapper_filename")).stem
    if not (Path(folder) / f"{top}.v").is_file():
        raise FlowError(f"the stitched design in {folder} is gone; stitch the graph again")
    depths = read_json(Path(folder) / DEPTHS_FILE) or {}
    return StitchedDesign(model, Path(folder), top, depths.get("fifo_depths", []))


def _largest_fills(model: ModelWrapper) -> list[int]:
    """Largest fill of every FIFO while a sample enters whenever the slowest layer takes one.

    A source as fast as possible would fill all FIFOs before that layer, however deep they are.
    """
    top = make_top(model, "dhq_fifo_sizing", fifo_counts=True)
    sources = collect(list(top.sources))
    sources.texts["dhq_fifo_sizing.v"] = top.text
    given, wanted = input_formats(model), output_formats(model)
    # Until every branch holds all that it will.
    samples = SIZING_SAMPLES + (pipeline_length(model) if branch_ends(model) else 0)
    codes = [np.zeros((samples, layout.beats * layout.lanes), np.int64) for layout in given]
    interval = max(
        [getCustomOp(node).get_exp_cycles() for node in model.graph.node],
        default=1,
    )
    # A few cycles take less time than the compiler's optimization.
    library = compile_design(sources, top.name, optimize=samples * interval > UNOPTIMIZED_CYCLES)
    _, _, fills = run_signal(
        library,
        codes,
        given,
        wanted,
        counts=top.fifo_counts,
        period=interval,
        timeout=100 * interval + 100_000,
    )
    sized = fifos(model)
    if len(fills) != len(sized):
        raise SimulationError("a FIFO of the design does not report its fill")
    # An input FIFO fills with whatever the source offers; it needs no depth.
    inputs = {tensor.name for tensor in model.graph.input}
    return [
        0 if fifo.onnx_node.input[0] in inputs else fill
        for fifo, fill in zip(sized, fills, strict=True)
    ]
