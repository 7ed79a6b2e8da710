# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Rotation after the activation quantizer in hardware: the wider multiplier, and its limit."""

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import UnsupportedNodeError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.ranges import integer_ranges
from dhq_brevitas.finn_flow.stitching import simulate_stitched
from networks import grid_codes, sine_network


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    network, x = sine_network(hidden=16, layers=0, after=True, weight_bits=4), grid_codes(64, 3)
    graph = export_qonnx(network, args=x[:1])
    result = build_dataflow(
        graph, tmp_path_factory.mktemp("build"), cycles_per_sample=16, progress=False
    )
    return graph, result, x.numpy()


def test_rtl_gives_the_codes_of_python(built, tmp_path):
    graph, result, x = built
    codes = result.host.encode(x)
    expected = execute_dataflow(result.model, codes, progress=False)
    np.testing.assert_array_equal(result.host.decode(expected), run_qonnx(graph, x))
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds == ["MVAU_rtl", "LookupActivation_rtl", "HadamardTransform_rtl", "MVAU_rtl"]
    wide = result.model.graph.node[-1]
    # 8 bits and log2(16) more.
    assert result.model.get_tensor_datatype(wide.input[0]).name == "INT12"
    outputs, _ = simulate_stitched(result.model, codes, folder=tmp_path, progress=False)
    np.testing.assert_array_equal(outputs, expected)


def test_ranges_hold_every_code_and_are_those_of_the_unrotated_input(built):
    _, result, x = built
    bounds = integer_ranges(result.model)[result.model.graph.output[0].name]
    codes = execute_dataflow(result.model, result.host.encode(x), progress=False)
    assert np.all(codes >= bounds.low)
    assert np.all(codes <= bounds.high)
    # Of integers of 12 bits that were independent of each other: four times as wide or more.
    weights = result.model.get_initializer(result.model.graph.node[-1].input[1])
    assert bounds.magnitude < np.abs(weights).sum(axis=0).max() * 2**11 / 3


def test_a_wrong_sign_of_the_rotation_is_seen(built):
    """Negative control of the comparisons."""
    _, result, x = built
    codes = result.host.encode(x)
    before = execute_dataflow(result.model, codes, progress=False)
    model = ModelWrapper(result.model.model, make_deepcopy=True)
    transform = getCustomOp(model.graph.node[2])
    transform.set_nodeattr("signs", [-1] + [1] * 15)
    assert (execute_dataflow(model, codes, progress=False) != before).any()


def test_finns_multiplier_refuses_what_is_too_wide_with_its_limit(tmp_path):
    network = sine_network(hidden=128, layers=0, after=True, weight_bits=2, act_bits=12)
    graph = export_qonnx(network, args=grid_codes(1))
    with pytest.raises(
        UnsupportedNodeError, match=r"MVAU.* INT19 inputs .* at most 18, .* a smaller block"
    ):
        build_dataflow(graph, tmp_path, mvau="finn", progress=False)
    result = build_dataflow(graph, tmp_path, verify_inputs=grid_codes(8).numpy(), progress=False)
    assert getCustomOp(result.model.graph.node[-1]).ours
