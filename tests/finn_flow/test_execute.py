# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Batched execution against FINN's own executor."""

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx as finn_execute
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, Siren

from dhq_brevitas.export import run_qonnx, set_batch_size
from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow import execute as execute_module
from dhq_brevitas.finn_flow.transformations import ExtractHostAffine, InferLookupActivation


@pytest.fixture(scope="module")
def siren() -> Siren:
    return Siren(hidden=16, layers=2, order=16, requant_factor=0.13, outputs=2)


@pytest.fixture(scope="module")
def built(siren, tmp_path_factory):
    return build_dataflow(siren.build(), tmp_path_factory.mktemp("built"), progress=False)


def test_equals_finn_executor_sample_by_sample(siren, built):
    x = siren.samples(40)
    codes = built.host.encode(x)
    result = execute_dataflow(built.model, codes, progress=False)
    assert result.dtype == np.int64
    single = ModelWrapper(built.model.model, make_deepcopy=True)
    for node in single.graph.node:
        if node.op_type.endswith("_rtl"):
            getCustomOp(node).set_nodeattr("exec_mode", "cppsim")
    name_in, name_out = single.graph.input[0].name, single.graph.output[0].name
    expected = [
        finn_execute(single, {name_in: row[None].astype(np.float32)})[name_out] for row in codes
    ]
    np.testing.assert_array_equal(result, np.concatenate(expected))


def test_graph_converted_in_part_runs_in_batches(siren):
    model = siren.build().transform(ExtractHostAffine())
    x = siren.samples(10).round()
    expected = run_qonnx(model, x)
    model = model.transform(InferLookupActivation())
    assert {"LookupActivation", "MatMul"} <= {node.op_type for node in model.graph.node}
    np.testing.assert_array_equal(run_qonnx(model, x, batch_size=3), expected)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_batch_size_does_not_matter(siren, built, batch_size):
    codes = built.host.encode(siren.samples(40))
    expected = execute_dataflow(built.model, codes, progress=False)
    result = execute_dataflow(built.model, codes, batch_size=batch_size, progress=False)
    np.testing.assert_array_equal(result, expected)


def test_model_is_left_as_it_is(siren, built):
    before = built.model.model.SerializeToString(deterministic=True)
    execute_dataflow(built.model, built.host.encode(siren.samples(3)), progress=False)
    assert built.model.model.SerializeToString(deterministic=True) == before


def test_batch_size_of_hardware_layers(built):
    batched = set_batch_size(built.model, 9)
    assert batched.get_tensor_shape(batched.graph.output[0].name) == [9, 2]
    for node in batched.graph.node:
        assert getCustomOp(node).get_nodeattr("numInputVectors") == [9]
        assert batched.get_tensor_shape(node.output[0])[0] == 9


def test_sums_beyond_float32_are_exact():
    """A product whose result has bits that float32 would drop."""
    weights = np.array([[2047, 1], [2047, -2047]] * 64)
    g = GraphBuilder(128, datatype="INT12")
    x = np.full((1, 128), -2048)
    x[0, 0] += 1
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )

    model = g.matmul(weights, 12).model(2).transform(InferQuantizedMatrixVectorActivation())
    result = execute_dataflow(model, x, progress=False)
    exact = x @ weights
    assert np.any(exact.astype(np.float32).astype(np.int64) != exact)
    np.testing.assert_array_equal(result, exact)


def test_thresholds_limit_the_batch(built, monkeypatch):
    assert execute_module.default_batch_size(built.model) == 4096
    monkeypatch.setattr(execute_module, "MAX_COMPARISONS", 16 * 255 * 10)
    assert execute_module.default_batch_size(built.model) == 10


def test_overflow_is_an_error(siren, built):
    """FINN only warns when a value does not fit its datatype."""
    model = ModelWrapper(built.model.model, make_deepcopy=True)
    node = model.graph.node[0]
    from qonnx.core.datatype import DataType

    model.set_tensor_datatype(node.output[0], DataType["INT4"])
    with pytest.raises(FlowError, match=r"output of node MVAU_rtl_0 .* does not fit INT4"):
        execute_dataflow(model, built.host.encode(siren.samples(10)), progress=False)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((3, 5)), r"inputs of shape \[3, 5\] do not fit the graph, .* \[samples, 2\]"),
        (np.zeros(2), r"inputs of shape \[2\] do not fit"),
        (np.zeros((0, 2)), "inputs hold no sample"),
        (np.full((1, 2), 128), "the input ranges from 128 to 128 and does not fit INT8"),
        (np.full((1, 2), 0.5), "the input holds values that are not integers"),
    ],
)
def test_bad_inputs(built, codes, message):
    with pytest.raises(FlowError, match=message):
        execute_dataflow(built.model, codes, progress=False)


def test_not_a_dataflow_graph(siren):
    with pytest.raises(FlowError, match=r"node Quant_0 \(op_type Quant\) is no hardware layer"):
        execute_dataflow(siren.build(), np.zeros((1, 2)), progress=False)


def test_progress_bar(siren, built, capsys):
    codes = built.host.encode(siren.samples(5))
    execute_dataflow(built.model, codes, progress=True, description="picture")
    assert "picture" in capsys.readouterr().err
