# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The network by da4ml: every matrix an adder graph, every sine a table, a sample a cycle.

da4ml is described in Sun et al., arXiv:2507.04535; ``pip install da4ml`` (LGPL).

Two things of da4ml 0.6 are gone around. Its WRAP to an unsigned range drops the sign of a value
that has fewer bits than the range, so addresses are signed, and tables begin in their middle. And
Yosys has no distributed memory without a write port, so tables are marked as block RAM.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow.patches import patched
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, Sources
from hardware.peers.network import IntegerLayer, Peer, output_bits, pipeline_top, signed_stream

CORE = "da4ml_core"


def adder_graph_design(layers: Sequence[IntegerLayer], bits: int, cutoff: float) -> Peer:
    """The design for inputs of ``bits`` signed bits; ``cutoff``: da4ml's delay of a stage."""
    from da4ml.codegen import RTLModel
    from da4ml.trace.pipeline import to_pipeline
    from da4ml.types import minimal_kif

    pipeline = to_pipeline(_traced(layers, bits), cutoff, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        RTLModel(pipeline, CORE, folder, latency_cutoff=cutoff, print_latency=False).write()
        sources = _read(Path(folder) / "src")
    wanted = output_bits(layers)
    rows, columns = len(layers[-1].weight), layers[0].weight.shape[1]
    widths = [minimal_kif(interval) for interval in pipeline.out_qint]
    sources.texts["peer.sv"] = pipeline_top(
        CORE, columns * bits, rows * wanted, len(pipeline.solutions) + 1, _outputs(widths, wanted)
    )
    formats = signed_stream(bits, columns, 1), signed_stream(wanted, rows, 1)
    return Peer(f"da4ml, cutoff {cutoff:g}", sources, formats)


def _traced(layers: Sequence[IntegerLayer], bits: int):  # type: ignore[no-untyped-def]
    from da4ml.trace import FixedVariableArray, comb_trace

    ones = np.ones(layers[0].weight.shape[1], np.int64)
    x = given = FixedVariableArray.from_kif(ones, ones * (bits - 1), ones * 0)
    for layer in layers:
        x = x @ layer.weight.T.astype(np.float64) + layer.bias.astype(np.float64)
        if layer.table is not None:
            x = _looked_up(x, layer)
    return comb_trace(given, x)


def _looked_up(x, layer: IntegerLayer):  # type: ignore[no-untyped-def]
    from da4ml.trace import FixedVariableArray
    from da4ml.trace.fixed_variable import LookupTable

    ones, top = np.ones(len(layer.weight), np.int64), layer.table_bits + layer.shift - 1
    address = x.quantize(ones, ones * top, -ones * layer.shift, "WRAP", "TRN")
    table = LookupTable(np.roll(layer.table, len(layer.table) // 2).astype(np.float64))
    whole = (-(2.0**top), 2.0**top - 2.0**layer.shift, 2.0**layer.shift)
    values = np.array([table.lookup(variable, whole) for variable in address._vars])
    return FixedVariableArray(values, x.solver_options, hwconf=x.hwconf)


def _outputs(widths: Sequence[tuple[bool, int, int]], wanted: int) -> str:
    """Results of da4ml, packed as bits of sign, integer and fraction, at ``wanted`` bits each.

    Bits of a fraction are fewer than none where all results are even.
    """
    lines, at = [], 0
    for lane, (signed, integer, fraction) in enumerate(widths):
        own = signed + integer + fraction
        sign = f"results[{at + own - 1}]" if signed else "1'b0"
        lines.append(
            f"  assign m_axis_0_tdata[{lane * wanted} +: {wanted}] = "
            f"{wanted}'({{{{{wanted}{{{sign}}}}}, results[{at} +: {own}]}}) << {-fraction};"
        )
        at += own
    return "\n".join([f"  logic [{at - 1}:0] results;", *lines])


def _read(folder: Path) -> Sources:
    """What da4ml wrote, tables in block RAM."""
    sources = Sources()
    for path in sorted(folder.glob("memfiles/*.mem")):
        sources.data[f"peer/{path.name}"] = path.read_bytes()
    for path in sorted([*folder.glob("static/*.v"), *folder.glob(f"{CORE}*.v")]):
        if path.stem == f"{CORE}_wrapper":
            continue
        text = re.sub(r'"(table_[^"]*\.mem)"', rf'"{DATA_FOLDER}/peer/\1"', path.read_text())
        if path.name == "lookup_table.v":
            text = patched(text, r"rom_style = [^*]*", 'rom_style = "block" ', path.name)
        sources.texts[path.name] = text
    return sources
