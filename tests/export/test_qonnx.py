# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys
from pathlib import Path

import brevitas.export
import brevitas.nn as qnn
import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.export import (
    ExportError,
    LowerHadamardToMatMul,
    exact_tensor,
    export_qonnx,
    run_qonnx,
    set_batch_size,
    with_exact_sums,
)
from dhq_brevitas.export import qonnx as qonnx_module
from graphs import hadamard_model, make_model
from networks import grid_codes, outputs_of, sine_network


def count(model, op_type):
    return sum(node.op_type == op_type for node in model.graph.node)


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize(
    "network",
    [{}, {"scale": "Float"}, {"side": "output", "signs": 3}, {"scheme": "stock"}, {"after": True}],
    ids=str,
)
def test_stock_export_works_unchanged(network, dynamo, tmp_path):
    model = sine_network(**network)
    x = grid_codes(100)
    path = str(tmp_path / "stock.onnx")
    brevitas.export.export_qonnx(model, args=x, export_path=path, dynamo=dynamo)
    graph = cleanup_model(ModelWrapper(path))
    expected = outputs_of(model, x).numpy()
    np.testing.assert_allclose(run_qonnx(graph, x.numpy()), expected, atol=1e-5)
    rotated_layers = {"stock": 0}.get(network.get("scheme"), 1 if "side" in network else 2)
    assert count(graph, "HadamardTransform") == rotated_layers


def test_dynamo_and_torchscript_give_the_same_integer_form():
    model = sine_network()
    x = grid_codes(60)
    graphs = [export_qonnx(model, args=x[:1], dynamo=dynamo) for dynamo in (False, True)]
    outputs = [run_qonnx(graph, x.numpy()) for graph in graphs]
    np.testing.assert_array_equal(*outputs)
    assert [n.op_type for n in graphs[0].graph.node] == [n.op_type for n in graphs[1].graph.node]


def test_weights_leave_rotated_and_training_mode_is_kept():
    model = sine_network().train()
    model[0].eval()
    before = [module.training for module in model.modules()]
    graph = export_qonnx(model, args=grid_codes(1))
    assert [module.training for module in model.modules()] == before
    assert len(set(before)) == 2
    layer = model[3]
    matmul = [node for node in graph.graph.node if node.op_type == "MatMul"][1]
    weight = graph.get_initializer(matmul.input[1])
    np.testing.assert_array_equal(weight.T, layer.quant_weight().int().numpy())


@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolution_exports_and_computes_the_same(dimensions):
    torch.manual_seed(0)
    convolution = qnn.QuantConv1d if dimensions == 1 else qnn.QuantConv2d
    model = nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        convolution(
            8,
            4,
            3,
            weight_quant=q.Int8DHQWeightPerTensorFixedPoint,
            input_quant=q.Int8DHQActPerTensorFixedPoint,
            input_collect_stats_steps=1,
        ),
    )
    x = torch.randn(2, 8, *[9] * dimensions)
    for _ in range(301):
        model(x)
    model.eval()
    graph = export_qonnx(model, args=x)
    assert count(graph, "HadamardTransform") == 1
    np.testing.assert_allclose(run_qonnx(graph, x.numpy()), outputs_of(model, x), atol=1e-5)


def test_command_line_tools_of_qonnx_read_the_file(tmp_path):
    path, data = tmp_path / "model.onnx", tmp_path / "x.npy"
    model = sine_network()
    x = grid_codes(1)
    graph = export_qonnx(model, path, args=x)
    np.save(data, x.numpy())
    tools = Path(sys.executable).parent

    def run(*command):
        done = subprocess.run(
            [str(tools / command[0]), *map(str, command[1:])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("qonnx-exec", path, data, "--output-prefix", "out_")
    produced = np.load(next(tmp_path.glob("out_*.npy")))
    np.testing.assert_array_equal(produced, outputs_of(model, x).numpy())
    cost = run("qonnx-inference-cost", path)
    # It counts the products with weights that are not zero.
    weights = [graph.get_initializer(n.input[1]) for n in graph.graph.node if n.op_type == "MatMul"]
    products = sum(np.count_nonzero(weight) for weight in weights)
    assert sum(weight.size for weight in weights) == 2 * 16 + 16 * 16 + 16 * 3
    assert f"'total_macs': {products}.0" in cost
    run("qonnx-cleanup", path, "--out-file", tmp_path / "clean.onnx")
    np.testing.assert_array_equal(
        run_qonnx(ModelWrapper(str(tmp_path / "clean.onnx")), x.numpy()), produced
    )


class TestLowering:
    @pytest.mark.parametrize("signs", [None, 3])
    @pytest.mark.parametrize("hidden", [16, 24])
    def test_same_integers_and_no_operator_left(self, signs, hidden):
        x = grid_codes(50)
        graph = export_qonnx(sine_network(hidden=hidden, signs=signs), args=x[:1])
        lowered = graph.transform(LowerHadamardToMatMul())
        assert count(lowered, "HadamardTransform") == 0
        assert count(lowered, "MatMul") == count(graph, "MatMul") + 2
        np.testing.assert_array_equal(run_qonnx(lowered, x.numpy()), run_qonnx(graph, x.numpy()))

    @pytest.mark.parametrize("normalize", [0, 1])
    def test_onnx_runtime_runs_the_lowered_graph(self, normalize):
        rng = np.random.default_rng(0)
        x = rng.integers(-8, 8, (5, 24)).astype(np.float32)
        model = hadamard_model(8, x.shape, normalize=normalize, signs=rng.choice([-1, 1], 24))
        lowered = model.transform(LowerHadamardToMatMul())
        # No custom operator is left, so ONNX Runtime takes the whole file.
        session = onnxruntime.InferenceSession(lowered.model.SerializeToString())
        np.testing.assert_allclose(session.run(None, {"x": x})[0], run_qonnx(model, x), atol=1e-5)

    def test_graph_without_the_operator_is_unchanged(self):
        graph = export_qonnx(sine_network(scheme="stock"), args=grid_codes(1))
        _, changed = LowerHadamardToMatMul().apply(graph)
        assert not changed


class TestBadInput:
    def test_model_without_quantizers(self):
        with pytest.raises(ValueError, match="Linear has no enabled quantizer"):
            export_qonnx(nn.Linear(3, 3), args=torch.zeros(1, 3))

    def test_activation_never_calibrated(self):
        layer = qnn.QuantLinear(
            8,
            4,
            bias=True,
            weight_quant=q.Int8DHQWeightPerTensorFloat,
            input_quant=q.Int8DHQActPerTensorFloat,
        )
        with pytest.raises(ValueError, match=r"0\.input_quant: the activation scale was never"):
            export_qonnx(nn.Sequential(layer), args=torch.zeros(1, 8))

    def test_wrong_graph_is_not_written(self, tmp_path, monkeypatch):
        # Negative control of the check inside export_qonnx: an export that loses the weights.
        def broken(graph, bits):
            graph = original(graph, bits)
            matmul = next(node for node in graph.graph.node if node.op_type == "MatMul")
            graph.set_initializer(matmul.input[1], 0 * graph.get_initializer(matmul.input[1]))
            return graph

        original = qonnx_module.to_integer_form
        monkeypatch.setattr(qonnx_module, "to_integer_form", broken)
        with pytest.raises(ExportError, match="differs from the model"):
            export_qonnx(sine_network(), tmp_path / "m.onnx", args=grid_codes(9))
        assert list(tmp_path.iterdir()) == []

    def test_folder_that_does_not_exist(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*/no; create it first"):
            export_qonnx(sine_network(), tmp_path / "no" / "m.onnx", args=grid_codes(1))

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((grid_codes(1),), "args must be one torch.Tensor"),
            (grid_codes(1).numpy(), "args must be one torch.Tensor"),
            (grid_codes(1).double(), "args is torch.float64; export"),
            (grid_codes(1).long(), "args is torch.int64"),
            (grid_codes(1)[0], r"args has shape \[2\]; the first axis is that of samples"),
            (grid_codes(1)[:0], r"args has shape \[0, 2\]"),
            (grid_codes(1).to("meta"), "args is on meta; export"),
        ],
        ids=["tuple", "array", "double", "integer", "no batch", "empty", "device"],
    )
    def test_example_input(self, args, message):
        with pytest.raises((TypeError, ValueError), match=message):
            export_qonnx(sine_network(), args=args)

    def test_model_of_another_type(self):
        with pytest.raises(TypeError, match=r"weight is torch.float64; export model.float\(\)"):
            export_qonnx(sine_network().double(), args=grid_codes(1))

    @pytest.mark.parametrize("after", [False, True])
    def test_exporter_that_does_not_know_rotations(self, after, tmp_path):
        model = nn.Sequential(
            qnn.QuantLinear(
                8,
                4,
                bias=True,
                weight_quant=q.Int8DHQWeightPerTensorFloat,
                input_quant=q.Int8DHQActPerTensorFloat,
                input_hadamard_after=after,
            )
        )
        x = torch.ones(1, 8)
        model(x)
        with pytest.raises(RuntimeError, match="this exporter does not know DHQ quantizers"):
            brevitas.export.export_onnx_qcdq(
                model.eval(),
                args=x,
                export_path=str(tmp_path / "m.onnx"),
                dynamo=False,
                opset_version=13,
            )

    def test_batch_size(self):
        with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
            set_batch_size(export_qonnx(sine_network(), args=grid_codes(1)), 0)


def test_sums_beyond_24_bits_are_exact():
    """A sum of 25 bits, taken by a Cast and by a Mul: float64 keeps it, float32 rounds it."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Mod", ["wide", "two"], ["odd"]),
        helper.make_node("Cast", ["odd"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["sum", "one"], ["narrow"]),
    ]
    nodes[2].attribute.append(helper.make_attribute("fmod", 1))
    constants = {"weight": [[4097], [1]], "one": 1, "two": np.array(2, np.float64)}
    graph = make_model(nodes, (2, 2), constants, (2, 1))
    x = np.array([[4096, 1], [4096, 2]], np.float32)  # 4096 · 4097 + 1 and + 2, beyond 2^24
    exact = with_exact_sums(graph)
    context = execute_onnx(exact, {"x": x}, return_full_exec_context=True)
    sums = x.astype(np.int64) @ np.array([[4097], [1]])
    np.testing.assert_array_equal(exact_tensor(context, "sum"), sums)
    np.testing.assert_array_equal(context["narrow"], sums.astype(np.float32))
    np.testing.assert_array_equal(run_qonnx(graph, x), sums % 2)
    rounded = execute_onnx(graph, {"x": x})["y"]
    np.testing.assert_array_equal(rounded, [[0], [0]])


def test_exact_sums_are_summed_again_exactly():
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["sum"]),
        helper.make_node("MatMul", ["sum", "identity"], ["y"]),
    ]
    graph = make_model(nodes, (1, 2), {"weight": [[4097], [1]], "identity": [[1]]}, (1, 1))
    x = np.array([[4096, 1]], np.float32)
    context = execute_onnx(with_exact_sums(graph), {"x": x}, return_full_exec_context=True)
    assert exact_tensor(context, "y").item() == 4096 * 4097 + 1
