# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's own passes on layers of this package: before and after an RTL variant is registered."""

import numpy as np
import pytest
from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.custom_op.fpgadataflow import rtl
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from qonnx.custom_op import registry
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, Siren, layer_kinds

from dhq_brevitas.finn_flow import (
    FlowError,
    UnsupportedNodeError,
    build_dataflow,
    execute_dataflow,
)
from dhq_brevitas.finn_flow.backend_view import lacks_variant, seen_as_rtl
from dhq_brevitas.finn_flow.checks import check_all_rtl
from dhq_brevitas.finn_flow.ops import HadamardTransform, LookupActivation
from dhq_brevitas.finn_flow.transformations import SetLayerFolding

PART = "xczu3eg-sbva484-1-e"


class _Variant(RTLBackend):
    """What an RTL variant must have for FINN; it generates nothing."""

    def get_rtl_file_list(self, abspath=False):
        return []

    def generate_hdl(self, model, fpgapart, clk):
        return None

    def code_generation_ipi(self):
        return []


class HadamardTransform_rtl(HadamardTransform, _Variant):
    def get_nodeattr_types(self):
        return RTLBackend.get_nodeattr_types(self) | HadamardTransform.get_nodeattr_types(self)


class LookupActivation_rtl(LookupActivation, _Variant):
    def get_nodeattr_types(self):
        return RTLBackend.get_nodeattr_types(self) | LookupActivation.get_nodeattr_types(self)


VARIANTS = (HadamardTransform_rtl, LookupActivation_rtl)


def forget_variants() -> None:
    """QONNX keeps the classes it has resolved; make it look again."""
    known = registry._OP_REGISTRY.get("finn.custom_op.fpgadataflow.rtl", {})
    for variant in VARIANTS:
        known.pop(variant.__name__, None)


@pytest.fixture
def variants(monkeypatch):
    """Both layers have an RTL variant for the time of a test."""
    forget_variants()
    for variant in VARIANTS:
        monkeypatch.setitem(rtl.custom_op, variant.__name__, variant)
    yield
    forget_variants()


@pytest.fixture
def no_variants(monkeypatch):
    """Neither layer has an RTL variant for the time of a test."""
    for variant in VARIANTS:
        monkeypatch.delitem(rtl.custom_op, variant.__name__, raising=False)


@pytest.fixture(scope="module")
def siren() -> Siren:
    return Siren(hidden=32, layers=1, order=32)


@pytest.fixture(scope="module")
def built(siren, tmp_path_factory):
    """Built while no variant is registered."""
    with pytest.MonkeyPatch.context() as patch:
        for variant in VARIANTS:
            patch.delitem(rtl.custom_op, variant.__name__, raising=False)
        folder = tmp_path_factory.mktemp("built")
        yield build_dataflow(siren.build(), folder, cycles_per_sample=32, progress=False)


def test_layers_stay_abstract_without_variant(built, no_variants):
    domains = {n.op_type: n.domain.removeprefix("finn.custom_op.") for n in built.model.graph.node}
    assert domains == {
        "MVAU_rtl": "fpgadataflow.rtl",
        "LookupActivation": "fpgadataflow",
        "HadamardTransform": "fpgadataflow",
    }
    with pytest.raises(Exception, match="no hw implementation variant"):
        built.model.transform(SpecializeLayers(PART))


def test_layers_are_specialised_with_variant(siren, built, variants, tmp_path):
    result = build_dataflow(
        siren.build(),
        tmp_path,
        cycles_per_sample=32,
        verify_inputs=siren.samples(100),
        progress=False,
    )
    kinds = [n.op_type for n in result.model.graph.node]
    assert kinds == ["MVAU_rtl", "LookupActivation_rtl", "HadamardTransform_rtl", "MVAU_rtl"]
    assert not any(lacks_variant(n) for n in result.model.graph.node)
    assert result.samples_compared == 100
    # The same folding and the same estimates as before, under the specialized names.
    for before, after in zip(built.report["layers"], result.report["layers"], strict=True):
        same = {k: v for k, v in after.items() if k not in ("name", "op_type")}
        assert same == {k: v for k, v in before.items() if k not in ("name", "op_type")}


def test_steps_are_finns_own_with_variants(siren, variants, tmp_path):
    """No domain is changed for FINN's passes once every layer has a variant."""
    model = build_dataflow(siren.build(), tmp_path, progress=False).model
    before = [(n.domain, n.op_type) for n in model.graph.node]
    seen = []
    seen_as_rtl(model, lambda m: seen.append([(n.domain, n.op_type) for n in m.graph.node]) or m)
    assert seen == [before]


def test_analyses_see_every_layer(built, no_variants):
    names = [n.name for n in built.model.graph.node]
    assert len(exp_cycles_per_layer(built.model)) < len(names)

    def check(model):
        assert list(exp_cycles_per_layer(model)) == names
        assert list(res_estimation(model, PART)) == names
        return model

    after = seen_as_rtl(built.model, check)
    assert [n.domain for n in after.graph.node] == [n.domain for n in built.model.graph.node]


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
