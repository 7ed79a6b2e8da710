# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What is done in linear time here gives what QONNX's own functions give."""

import copy

import brevitas.export
import pytest
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.util.cleanup import cleanup_model

from dhq_brevitas.export.graph import IndexedGraph
from dhq_brevitas.export.inference import infer_datatypes
from dhq_brevitas.export.passes.clean_up import clean_up
from networks import calibrated, grid_codes, sine_network


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> ModelWrapper:
    """A network as Brevitas exports it."""
    path = str(tmp_path_factory.mktemp("raw") / "model.onnx")
    network = calibrated(sine_network()).eval()
    brevitas.export.export_qonnx(network, args=grid_codes(3), export_path=path)
    return ModelWrapper(path)


def parts(model: ModelWrapper) -> list[list[str]]:
    graph = model.graph
    tensors = (graph.input, graph.output, graph.initializer, graph.quantization_annotation)
    return [[str(part) for part in kind] for kind in (graph.node, *tensors)] + [
        sorted(map(str, graph.value_info))
    ]


def test_clean_up_is_qonnxs(exported):
    before = copy.deepcopy(exported)
    ours, theirs = clean_up(exported), cleanup_model(copy.deepcopy(exported))
    assert parts(ours) == parts(theirs)
    names = ours.get_all_tensor_names()
    assert {"global_in", "global_out", "Gemm_0_out0"}.issubset(names)
    assert set(names).isdisjoint(exported.get_all_tensor_names())
    assert exported.model == before.model


def test_datatypes_are_qonnxs(exported):
    ours = clean_up(exported)
    ours.set_tensor_datatype("global_in", DataType["INT4"])
    theirs = ours.transform(InferDataTypes())
    infer_datatypes(ours)
    assert parts(ours) == parts(theirs)
    found = {ours.get_tensor_datatype(name).name for name in ours.get_all_tensor_names()}
    assert len(found) > 2


def test_a_view_finds_what_the_graph_has(exported):
    graph = clean_up(exported)
    graph.set_tensor_datatype("global_in", DataType["INT4"])
    view = IndexedGraph(graph)
    view.set_tensor_datatype("global_out", DataType["UINT7"])
    view.set_tensor_datatype("global_in", DataType["INT5"])
    names = [*graph.get_all_tensor_names(), *(t.name for t in graph.graph.initializer)]
    for name in names:
        assert view.get_tensor_shape(name) == graph.get_tensor_shape(name)
        assert view.get_tensor_datatype(name) == graph.get_tensor_datatype(name)
        assert view.find_producer(name) == graph.find_producer(name)
        assert view.find_consumers(name) == graph.find_consumers(name)
        assert view.get_tensor_valueinfo(name) == graph.get_tensor_valueinfo(name)
        ours, theirs = (g.get_initializer(name, return_dtype=True) for g in (view, graph))
        assert str(ours) == str(theirs)
    assert graph.get_tensor_datatype("global_out") == DataType["UINT7"]
    assert graph.get_tensor_datatype("global_in") == DataType["INT5"]
    for find in (view.get_tensor_shape, view.find_producer, view.get_initializer):
        assert find("nowhere") is None
    assert view.find_consumers("nowhere") == []
