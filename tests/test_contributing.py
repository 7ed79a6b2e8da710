# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The examples of CONTRIBUTING.md work as they stand there, each behind its one line."""

import importlib.util
import re
import sys
from pathlib import Path

import brevitas.nn as qnn
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

import dhq_brevitas as dhq
from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.layers import layers_of
from dhq_brevitas.inr.planned import plans_of
from dhq_brevitas.nn import scales
from dhq_brevitas.run.cli import main
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.signals.tasks import TASKS, get_task
from networks import grid_codes, sine_network

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# example: (\w+)\n(.*?)```", TEXT, flags=re.DOTALL))


@pytest.fixture
def example(tmp_path, monkeypatch):
    """name -> the module that a block of CONTRIBUTING.md is."""

    def load(name: str):
        file = tmp_path / f"contributed_{name}.py"
        file.write_text(BLOCKS[name])
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_there_is_one_for_each_kind_of_change():
    assert sorted(BLOCKS) == ["family", "pass", "quantizer", "scale", "stage", "task"]
    assert TEXT.count("```python") == len(BLOCKS)


def test_quantizer(example):
    quantizer = example("quantizer").Int4DHQWeightPerChannelFloat
    act = dhq.Int8DHQActPerTensorFloat
    layer = qnn.QuantLinear(16, 8, bias=False, weight_quant=quantizer, input_quant=act)
    with torch.no_grad():
        weight = layer.quant_weight()
        rotated = layer.weight_quant.rotation.rotate_weight(layer.weight)
        outputs = layer(torch.eye(16))
    assert weight.bit_width == 4
    step = rotated.abs().amax(dim=1, keepdim=True) / 7
    torch.testing.assert_close(weight.scale, step)
    assert ((weight.value - rotated).abs() <= step * 0.5001).all()
    # Inputs are rotated, too: 16 weights with errors of half a step, and the inputs' own.
    torch.testing.assert_close(outputs.T, layer.weight, rtol=0, atol=2 * float(step.max()))


def test_family(example, monkeypatch):
    family = example("family").FAMILY
    monkeypatch.setitem(FAMILIES, family.name, family)
    codes = grid_codes(64).numpy()
    fitted = dhq.fit(
        codes, codes[:, :1], family="sinc", hidden=8, layers=1, steps=2, progress=False
    )
    outputs = fitted.quantize(steps=0, progress=False)(codes)
    assert abs(outputs - fitted(codes)).mean() < 0.1 * codes.max()


def test_task(example, monkeypatch):
    task = example("task").TASK
    monkeypatch.setitem(TASKS, task.name, task)
    problem = get_task("negative").problem("camera", size=8, grey=True)
    positive = get_task("picture").problem("camera", size=8, grey=True)
    assert (problem.values == -positive.values).all()


@pytest.fixture
def adder(example, monkeypatch):
    """The kind of scale, behind its lines in ScaleKind and SCALES."""
    kind = example("scale").AdderScale
    member = str.__new__(scales.ScaleKind, "adder")
    member._name_, member._value_ = "ADDER", "adder"
    monkeypatch.setitem(scales.ScaleKind._value2member_map_, "adder", member)
    before = dict(scales.SCALES)
    scales.SCALES.clear()
    scales.SCALES.update({member: kind, **before})
    yield kind
    scales.SCALES.clear()
    scales.SCALES.update(before)


def test_scale(adder):
    """Quantized by a spec, found again as a plan, exported to the same codes."""
    from dhq_brevitas.export import export_qonnx, run_qonnx

    inputs = grid_codes(256)
    spec = dhq.QuantSpec(scale="adder")
    model = dhq.quantize(sine_network(), inputs, spec, progress=False)
    layers = layers_of(model, inputs)
    assert {plan.scale for plan in plans_of(layers)} == {"adder"}
    for layer in layers:
        quantizer = layer.linear.weight_quant.tensor_quant
        assert isinstance(scales.scale_of(quantizer), adder)
        mantissas = torch.frexp(scales.step_of(quantizer))[0]
        assert set(mantissas.flatten().tolist()) <= {0.5, 0.625}
    codes, outputs = run_qonnx(export_qonnx(model, inputs[:1]), inputs, codes=True)
    expected = evaluate(model, inputs)
    assert (codes == expected.accumulators).all()
    assert (outputs == expected.outputs).all()


def test_pass(example):
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = ModelWrapper(qonnx_make_model(graph))
    remove = example("pass").RemoveIdentity()
    assert remove.apply(model)[1] is True
    assert [node.op_type for node in model.graph.node] == ["Add", "Identity"]
    assert list(model.graph.node[0].input) == ["x", "x"]
    assert remove.apply(model)[1] is False


def test_stage(example, monkeypatch, tmp_path, capsys):
    stage = example("stage").STAGE
    monkeypatch.setitem(STAGES, stage.name, stage)
    monkeypatch.setattr("dhq_brevitas.run.cli._prepare_process", lambda debug: None)
    out = ["--out", str(tmp_path / "run")]
    size = ["--size", "16", "--hidden", "8", "--layers", "1", "--steps", "0"]
    assert main(["fit", "camera", *size, *out]) == 0
    assert main(["count", "--least", "0", *out]) == 0
    assert load_run(tmp_path / "run").summary["counted"] == 256
    assert main(["count", "--least", "0", *out]) == 0
    assert "count: unchanged, skipped" in capsys.readouterr().out
    assert main(["count", "--least", "100", *out]) == 2
    assert "--least 100 is beyond all codes: use at most 99" in capsys.readouterr().err
