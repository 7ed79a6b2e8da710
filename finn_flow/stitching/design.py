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
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import collect
from dhq_brevitas.finn_flow.stitching.folder import FILE_LIST, design_folder, write_folder
from dhq_brevitas.finn_flow.stitching.prepare import (
    MIN_FIFO_DEPTH,
    fifos,
    generate_nodes,
    insert_infrastructure,
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
        """How samples enter."""
        op = getCustomOp(self.model.graph.node[0])
        return StreamFormat.of(op.get_input_datatype(), op.get_folded_input_shape())

    @property
    def output_format(self) -> StreamFormat:
        """How results leave."""
        op = getCustomOp(self.model.graph.node[-1])
        return StreamFormat.of(op.get_output_datatype(), op.get_folded_output_shape())

    def library(self, *, trace: bool = False) -> Path:
        """The compiled simulator, from the cache if it was compiled before."""
        names = (self.folder / FILE_LIST).read_text().splitlines()
        paths = [self.folder / name for name in names]
        return compile_design(collect(paths), self.top, trace=trace)


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
            seen; between kernels of this package it goes (depth 0) if no word waited. Too shallow
            ones cost rate where a layer that writes evenly meets one that reads in bursts (FINN's
            MVAU reads a sample in MW/SIMD cycles and then repeats it); they cannot stop a chain,
            in which every layer waits for one neighbor at a time.
        fpga_part: decides which DSP slices the MVAUs use.
        clk_period_ns: clock period, for constraints and the MVAUs' pipelines.
        top: name of the top module.

    FlowError for a graph that is not a chain of RTL layers; UnsupportedNodeError, naming the node,
    for a layer that has no Verilog without Vivado's tools.
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
    write_folder(folder, verilog, clk_period_ns, _facts(design))
    _set_properties(design, verilog)
    prepared.save(str(folder / "stitched.onnx"))
    write_json(folder / DEPTHS_FILE, {"fifo_depths": design.fifo_depths})
    return design


def _depths(model: ModelWrapper, fills: Sequence[int]) -> list[int]:
    """Depths that hold ``fills`` words; 0 where none waited and our kernels are on both sides."""
    return [
        0
        if fill <= PASSING_WORDS and stands_between_kernels(model, fifo.onnx_node)
        else max(MIN_FIFO_DEPTH, fill + SIZING_MARGIN)
        for fifo, fill in zip(fifos(model), fills, strict=True)
    ]


def _facts(design: StitchedDesign) -> dict[str, object]:
    """What README.md says of the streams."""
    facts: dict[str, object] = {}
    for side, layout in (("in", design.input_format), ("out", design.output_format)):
        facts |= {
            f"{side}_lanes": layout.lanes,
            f"{side}_type": layout.datatype.name,
            f"{side}_beats": layout.beats,
        }
    return facts


def _set_properties(design: StitchedDesign, verilog: Top) -> None:
    """What FINN's functions on stitched graphs, and open_stitched, look for in the graph."""
    interfaces = {
        "clk": ["ap_clk"],
        "rst": ["ap_rst_n"],
        "s_axis": [["s_axis_0", verilog.input_width]],
        "m_axis": [["m_axis_0", verilog.output_width]],
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
    sources = collect(list(top.sources), patch=True)
    sources.texts["dhq_fifo_sizing.v"] = top.text
    library = compile_design(sources, top.name)
    first, last = getCustomOp(model.graph.node[0]), getCustomOp(model.graph.node[-1])
    given = StreamFormat.of(first.get_input_datatype(), first.get_folded_input_shape())
    wanted = StreamFormat.of(last.get_output_datatype(), last.get_folded_output_shape())
    shape = (SIZING_SAMPLES, given.beats * given.lanes)
    codes = np.zeros(shape, dtype=np.int64)
    interval = max(
        [getCustomOp(node).get_exp_cycles() for node in model.graph.node],
        default=1,
    )
    _, _, fills = run_signal(
        library,
        codes,
        given,
        wanted,
        counts=top.fifo_counts,
        period=interval,
        timeout=100 * interval + 100_000,
    )
    if len(fills) != len(fifos(model)):
        raise SimulationError("a FIFO of the design does not report its fill")
    # The input FIFO fills with whatever the source offers; it needs no depth.
    return [0, *fills[1:]]
