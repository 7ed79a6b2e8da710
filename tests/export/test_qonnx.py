# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import re
import subprocess
import sys
from pathlib import Path

import brevitas.export
import brevitas.nn as qnn
import numpy as np
import onnxruntime
import pytest
import torch
from brevitas.quant.scaled_int import Int8WeightPerTensorFloat
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model
from torch import nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.export import (
    ExportError,
    LowerHadamardToMatMul,
    export_qonnx,
    run_qonnx,
)
from dhq_brevitas.export import qonnx as qonnx_module
from graphs import hadamard_model
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


def test_weights_leave_as_their_quantizer_rounds_them():
    """Down to the next code, which Brevitas's own handler would round to the nearest one."""
    options = {"weight_quant": Int8WeightPerTensorFloat, "weight_float_to_int_impl_type": "floor"}
    layer = qnn.QuantLinear(2, 8, bias=False, **options)
    codes = qnn.QuantIdentity(act_quant=q.IntegerCodes, bit_width=7, return_quant_tensor=True)
    model = nn.Sequential(codes, layer).eval()
    graph = export_qonnx(model, args=grid_codes(9))
    (product,) = [node for node in graph.graph.node if node.op_type == "MatMul"]
    expected = layer.quant_weight().int().numpy()
    assert np.array_equal(graph.get_initializer(product.input[1]).T, expected)
    nearest = np.rint((layer.weight / layer.quant_weight().scale).detach().numpy())
    assert not np.array_equal(nearest, expected)


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


@pytest.mark.exhaustive
@pytest.mark.once
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


@pytest.mark.parametrize("call", ["brevitas", "keywords", "path first", "path only by position"])
def test_arguments_in_either_order(call, tmp_path):
    model, x, path = sine_network(), grid_codes(1), tmp_path / "model.onnx"
    if call == "brevitas":
        graph = export_qonnx(model, x, str(path))
    elif call == "keywords":
        graph = export_qonnx(model, args=x, export_path=path)
    elif call == "path first":
        graph = export_qonnx(model, path, x)
    else:
        graph = export_qonnx(model, path, args=x)
    assert list(ModelWrapper(str(path)).graph.node) == list(graph.graph.node)
    assert len(graph.graph.node) > 0


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

    @pytest.mark.parametrize("unit", [1.0, 1 / 3], ids=["dyadic", "thirds"])
    def test_a_last_bit_that_differs_is_found_where_nothing_rounds(self, unit, monkeypatch):
        """Negative control: a bias one last bit off, behind the last integers."""

        def broken(graph, bits):
            graph = original(graph, bits)
            bias = [node for node in graph.graph.node if node.op_type == "Add"][-1].input[1]
            values = graph.get_initializer(bias)
            graph.set_initializer(bias, np.nextafter(values, np.float32(np.inf)))
            return graph

        class Units(nn.Module):
            def __init__(self):
                super().__init__()
                self.network = sine_network()

            def forward(self, x):
                return self.network(x) * unit

        original = qonnx_module.to_integer_form
        monkeypatch.setattr(qonnx_module, "to_integer_form", broken)
        if unit == 1:
            with pytest.raises(ExportError, match="outputs of the exported graph differ from the"):
                export_qonnx(Units(), args=grid_codes(9))
        else:
            export_qonnx(Units(), args=grid_codes(9))

    def test_folder_that_does_not_exist(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*/no; create it first"):
            export_qonnx(sine_network(), tmp_path / "no" / "m.onnx", args=grid_codes(1))

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((grid_codes(1), 3), "args must be one torch.Tensor"),
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

    @pytest.mark.parametrize(
        ("positional", "message"),
        [
            ((), "0 tensors and 0 paths given; give one example input"),
            (("m.onnx",), "0 tensors and 1 paths given"),
            ((grid_codes(1), grid_codes(1)), "2 tensors and 0 paths given"),
            ((grid_codes(1), "a.onnx", Path("b.onnx")), "1 tensors and 2 paths given"),
            ((grid_codes(1), 13), "args must be one torch.Tensor, .* int is neither"),
        ],
        ids=["nothing", "path", "two inputs", "two paths", "number"],
    )
    def test_positional_arguments(self, positional, message):
        with pytest.raises(TypeError, match=message):
            export_qonnx(sine_network(), *positional)

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


@pytest.mark.parametrize("dynamo", [False, True])
def test_an_output_with_its_scale_is_exported_as_values(dynamo):
    network = sine_network(scale="FixedPoint")
    sine = network[:-1]
    x = grid_codes(30)
    graph = export_qonnx(sine, args=x[:1], dynamo=dynamo)
    assert type(sine(x)).__name__ == "IntQuantTensor"
    np.testing.assert_array_equal(run_qonnx(graph, x), outputs_of(sine, x).numpy())


@pytest.mark.parametrize("name", ["weight", "bias", "input_quant"])
def test_what_is_not_finite_is_named(name):
    network = sine_network(scale="Float")
    found = [n for n, _ in network.named_parameters() if name in n]
    with torch.no_grad():
        network.get_parameter(found[0]).view(-1)[0] = float("nan")
    with pytest.raises(ValueError, match=rf"{re.escape(found[0])} holds NaN or infinity"):
        export_qonnx(network, args=grid_codes(1))
