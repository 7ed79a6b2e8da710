# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""MVAUs as adder graphs: where they are, where they cannot be, the fewest registers."""

import importlib.util
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder

from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.ops.adder_graph import AdderGraph, adder_graph, with_registers
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from graphs import codes
from layer_graphs import mvau

pytest.importorskip("da4ml", reason="pip install 'dhq-brevitas[adders]'")
WEIGHTS = np.random.default_rng(3).integers(-100, 100, (6, 5))


def product():
    """x·WEIGHTS as integers."""
    return GraphBuilder(6, datatype="INT8").matmul(WEIGHTS, 8).model(5)


def test_unrolled_matrices_are_adders(tmp_path):
    built = build_dataflow(product(), tmp_path, cycles_per_sample=1, mvau="adders", progress=False)
    op = getCustomOp(built.model.graph.node[0])
    assert op.unrolled
    graph = op.adder_graph(built.model)
    found = {name: built.report[f"{name}_estimate"] for name in ("lut", "dsp_rtl", "bram18")}
    assert found == {"lut": graph.lut, "dsp_rtl": 0, "bram18": 0}
    x = codes("INT8", 20, 6)
    np.testing.assert_array_equal(execute_dataflow(built.model, x, progress=False), x @ WEIGHTS)


@pytest.mark.parametrize("narrow", [{"simd": 3}, {"pe": 2}, {"inLanes": 2}, {"outLanes": 4}])
def test_what_is_not_unrolled_is_on_the_other_kernel(narrow):
    op = getCustomOp(
        mvau(**{"mw": 6, "mh": 8, "simd": 6, "pe": 8, "kernel": "adders"} | narrow).graph.node[0]
    )
    op.set_nodeattr("gen_top_module", "top")
    assert not op.unrolled
    assert "matrix_vector.sv" in op.get_rtl_file_list()


def test_nothing_to_unroll_is_said(tmp_path):
    message = r"has none: .* multiplies 5 x 3 of 5 x 6 weights; use cycles_per_sample=1, or mvau="
    with pytest.raises(FlowError, match=message):
        build_dataflow(product(), tmp_path, cycles_per_sample=2, mvau="adders", progress=False)


def test_missing_da4ml_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FlowError, match=r"needs da4ml.*pip install 'dhq-brevitas\[adders\]'"):
        build_dataflow(product(), tmp_path, cycles_per_sample=1, mvau="adders", progress=False)


def test_vivado_gets_the_graph(tmp_path):
    built = build_dataflow(product(), tmp_path, cycles_per_sample=1, mvau="adders", progress=False)
    op = getCustomOp(generate_nodes(built.model, "xczu3eg-sbva484-1-e", 5.0).graph.node[0])
    *files, _ = op.code_generation_ipi()
    paths = [Path(line.removeprefix("add_files -norecurse ")) for line in files]
    assert all(path.is_file() for path in paths)
    assert {"MVAU_rtl_0_adders.sv", "dhq_pipeline_control.sv"} <= {path.name for path in paths}


def longest(graph: AdderGraph) -> int:
    """Adders in a row, one behind the outputs counted; 99 for a value that is read too early."""
    ways = [0] * graph.inputs
    stages = (*graph.stages, graph.last)
    before: dict[int, list[int]] = {}
    for u, v in graph.readers():
        before.setdefault(v, []).append(u)
    for v in range(graph.inputs, len(stages)):
        given = before.get(v, [])
        if any(stages[u] > stages[v] for u in given):
            return 99
        ways.append(1 + max((ways[u] for u in given if stages[u] == stages[v]), default=0))
    return max(ways)


@pytest.mark.parametrize("in_row", [1, 2, 5])
def test_adders_in_a_row(in_row):
    weights = np.random.default_rng(in_row).integers(-128, 128, (12, 10))
    graph = adder_graph(weights, DataType["INT8"], in_row)
    assert 1 <= longest(graph) <= in_row
    assert longest(replace(graph, stages=(0,) * len(graph.stages), last=0)) > in_row


def test_no_other_stages_have_fewer_registers():
    """All stages of a small graph, tried."""
    graph = with_registers(adder_graph(np.array([[3, 5], [45, -9]]), DataType["INT4"]), 1)
    assert graph.last >= 2
    choices = itertools.product(range(graph.last + 1), repeat=len(graph.adders))
    tried = [replace(graph, stages=(0, 0, *stages)) for stages in choices]
    assert min(other.ff for other in tried if longest(other) == 1) == graph.ff
