# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's own passes and analyzes on layers of this package."""

import copy

import numpy as np
import pytest
from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import InferDataTypes
from siren_graphs import GraphBuilder, Siren, layer_kinds

from dhq_brevitas.finn_flow import (
    FlowError,
    UnsupportedNodeError,
    build_dataflow,
    execute_dataflow,
)
from dhq_brevitas.finn_flow.checks import check_all_rtl
from dhq_brevitas.finn_flow.transformations import MinimizeAccumulators, SetLayerFolding

PART = "xczu3eg-sbva484-1-e"


@pytest.fixture(scope="module")
def siren() -> Siren:
    return Siren(hidden=32, layers=1, order=32)


@pytest.fixture(scope="module")
def built(siren, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    return build_dataflow(siren.build(), folder, cycles_per_sample=32, progress=False)


def test_every_layer_is_rtl_and_seen_by_finns_analyzes(built):
    kinds = [n.op_type for n in built.model.graph.node]
    assert kinds == ["MVAU_rtl", "LookupActivation_rtl", "HadamardTransform_rtl", "MVAU_rtl"]
    assert {n.domain for n in built.model.graph.node} == {"finn.custom_op.fpgadataflow.rtl"}
    names = [n.name for n in built.model.graph.node]
    assert list(exp_cycles_per_layer(built.model)) == names
    assert list(res_estimation(built.model, PART)) == names


@pytest.mark.parametrize("target", [1, 7, 32, 1000])
def test_folding_is_the_smallest_that_meets_the_target(built, transformed, target):
    transformation = SetLayerFolding(target)
    result = transformed(built.model, transformation)
    for node in result.graph.node:
        op = getCustomOp(node)
        if node.op_type.startswith("MVAU"):
            continue
        smaller = [n for n in op.legal_lanes() if n < op.lanes]
        assert op.get_exp_cycles() <= target
        if smaller:
            op.set_nodeattr(op.FOLDING, smaller[-1])
            assert op.get_exp_cycles() > target
    assert transformation.missed == []


def test_folding_that_cannot_be_met(tmp_path):
    siren = Siren(hidden=96, layers=1, order=32)
    model = build_dataflow(siren.build(), tmp_path, progress=False).model
    transformation = SetLayerFolding(2)
    result = model.transform(transformation)
    node = result.graph.node[layer_kinds(result).index("HadamardTransform")]
    assert transformation.missed == [node.name]
    op = getCustomOp(node)
    assert (op.lanes, op.get_exp_cycles()) == (32, 3)
    with pytest.raises(FlowError, match="target_cycles_per_frame=0 must be at least 1"):
        SetLayerFolding(0)


def test_hls_node_is_named(built):
    model = built.model.transform(SetLayerFolding(32))
    node = model.graph.node[0]
    node.op_type, node.domain = "MVAU_hls", "finn.custom_op.fpgadataflow.hls"
    with pytest.raises(
        UnsupportedNodeError, match=r"node MVAU_rtl_0 \(op_type MVAU_hls\) was left to HLS"
    ):
        check_all_rtl(model, PART)


@pytest.mark.parametrize("input_bits", [7, 12])
@pytest.mark.parametrize(("weight_bits", "act_bits"), [(2, 2), (3, 3), (12, 8)])
def test_mvau_is_rtl_at_all_widths(tmp_path, input_bits, weight_bits, act_bits):
    siren = Siren(
        hidden=16,
        layers=1,
        order=16,
        input_bits=input_bits,
        weight_bits=weight_bits,
        act_bits=act_bits,
        constants="double",
    )
    result = build_dataflow(
        siren.build(), tmp_path, verify_inputs=siren.samples(64), progress=False
    )
    mvaus = [n for n in result.model.graph.node if n.op_type.startswith("MVAU")]
    assert {n.op_type for n in mvaus} == {"MVAU_rtl"}
    first = getCustomOp(mvaus[0])
    assert first.get_nodeattr("mem_mode") == "internal_decoupled"
    assert first.get_input_datatype(0).name == f"INT{input_bits}"
    assert first.get_input_datatype(1).name == f"INT{weight_bits}"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([[1, 2], [3, 0]], "INT3"),
        ([[0, -1], [-1, 0]], "INT2"),
        ([[1, -1], [-1, 1]], "INT2"),
        ([[1, 1], [0, 0]], "INT2"),
    ],
)
def test_weights_stay_signed(tmp_path, weights, expected):
    model = GraphBuilder(2, datatype="INT4").matmul(np.array(weights), 4).model(2)
    x = np.array([[1, -8], [7, 7], [-3, 2]])
    result = build_dataflow(model, tmp_path, verify_inputs=x, progress=False)
    op = getCustomOp(result.model.graph.node[0])
    assert op.onnx_node.op_type == "MVAU_rtl"
    assert op.get_input_datatype(1).name == expected
    codes = execute_dataflow(result.model, x, progress=False)
    np.testing.assert_array_equal(codes, x @ np.array(weights))


def test_accumulators_in_one_pass_are_those_of_finns_pass(built):
    model = copy.deepcopy(built.model)
    for node in model.graph.node:
        if node.op_type == "MVAU_rtl":
            for name in ("outputDataType", "accDataType"):
                getCustomOp(node).set_nodeattr(name, "INT32")
    model = model.transform(InferDataTypes())
    ours, theirs = (
        model.transform(step()) for step in (MinimizeAccumulators, MinimizeAccumulatorWidth)
    )
    assert [str(node) for node in ours.graph.node] == [str(node) for node in theirs.graph.node]
    names = ours.get_all_tensor_names()
    found = [ours.get_tensor_datatype(name).bitwidth() for name in names]
    assert found == [theirs.get_tensor_datatype(name).bitwidth() for name in names]
    assert max(found) < 32
