# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One path for every network: modules of Brevitas layers that are not our own."""

import json

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int8ActPerTensorFloat, Int32Bias
from torch import Tensor, nn

import dhq_brevitas as dhq
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.layers import layers_of
from dhq_brevitas.inr.planned import plans_of
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.scales import set_scale
from dhq_brevitas.planning.plan_file import plan_to_json
from networks import INPUT_BITS, grid_codes

CODES = grid_codes(400)


def linear(n_in, n_out, **options):
    return qnn.QuantLinear(
        n_in,
        n_out,
        bias=True,
        weight_quant=Int8WeightPerChannelFixedPoint,
        bias_quant=Int32Bias,
        **options,
    )


def codes_in():
    return qnn.QuantIdentity(
        act_quant=dhq.IntegerCodes, bit_width=INPUT_BITS, return_quant_tensor=True
    )


class Net(nn.Module):
    """A user's network: nested modules, names of its own, a layer that is never called."""

    def __init__(self, hidden=16):
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.ModuleDict({"codes": codes_in(), "first": linear(2, hidden)})
        self.stem["first"].weight.data *= 0.02
        self.wave = dhq.QuantSine(period=1.0, return_quant_tensor=True)
        self.middle = linear(hidden, hidden)
        self.bump = dhq.QuantLookupActivation(
            lambda x: torch.exp(-(x**2)), limit=4.0, return_quant_tensor=True
        )
        self.head = linear(hidden, 2)
        self.unused = linear(5, 5, input_quant=Int8ActPerTensorFloat)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wave(self.stem["first"](self.stem["codes"](x)))
        return self.head(self.bump(self.middle(x)))


class Skip(nn.Module):
    """No chain: the second layer is fed with the first table and the coordinates."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.codes, self.first = codes_in(), linear(2, 14)
        self.first.weight.data *= 0.02
        self.wave = dhq.QuantSine(period=1.0)
        self.second = linear(16, 16, input_quant=Int8ActPerTensorFloat)
        self.wave2 = dhq.QuantSine(period=1.0, return_quant_tensor=True)
        self.head = linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wave(self.first(self.codes(x)))
        y = torch.cat([y, x / 64], dim=-1)
        return self.head(self.wave2(self.second(y)))


def floats(model, inputs):
    with unquantized(model), torch.no_grad():
        return model(inputs)


def psnr(one, other):
    one, other = one.detach(), other.detach()
    peak = float(other.max() - other.min())
    return -10 * np.log10(float((one - other).square().mean()) / peak**2 + 1e-12)


@pytest.mark.parametrize("kind", [Net, Skip])
@pytest.mark.parametrize("rotation", ["none", "input", "after"])
def test_any_module_is_quantized(kind, rotation):
    model = kind()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = floats(model, CODES)
    spec = dhq.QuantSpec(rotation=rotation, scale="dyadic")
    quantized = dhq.quantize(model, CODES, spec, progress=False)
    with torch.no_grad():
        output = quantized(CODES)
    assert psnr(output, expected) > 30
    plans = plans_of(layers_of(quantized, CODES))
    assert {str(plan.rotation) for plan in plans[1:]} <= {rotation, "none"}
    assert str(plans[1].rotation) == rotation
    assert [plan.weight_bits for plan in plans] == [12, 8, 8]
    # The user's module is as it was.
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_its_codes_are_those_of_qonnx():
    model = Net()
    del model.unused  # Brevitas exports what is never called, too
    quantized = dhq.quantize(model, CODES, dhq.QuantSpec(rotation="after"), progress=False)
    reference = evaluate(quantized, CODES)
    assert reference.dtype == "float32"
    codes, outputs = run_qonnx(export_qonnx(quantized, args=CODES[:1]), CODES, codes=True)
    assert np.array_equal(codes, reference.accumulators)
    assert np.array_equal(outputs, reference.outputs)


def test_without_a_spec_the_quantizers_stay():
    model = Net()
    quantized = dhq.quantize(model, CODES, progress=False)
    assert [type(m) for m in quantized.modules()] == [type(m) for m in model.modules()]
    assert psnr(quantized(CODES).detach(), floats(model, CODES)) > 25


@pytest.mark.once
def test_fine_tuning_and_plans(tmp_path):
    model = Net()
    target = floats(model, CODES)
    spec = dhq.QuantSpec(weight_bits=4)
    chosen = dhq.plan(model, CODES, spec, progress=False)
    assert [layer.name for layer in chosen.layers] == ["stem.first", "middle", "head"]
    # Learned rounding of a plan that keeps the bits is no worse than of the uniform scheme.
    planned = dhq.quantize(model, CODES, chosen, progress=False)
    uniform = dhq.quantize(model, CODES, dhq.QuantSpec("stock", weight_bits=4), progress=False)
    assert psnr(planned(CODES), target) > psnr(uniform(CODES), target) - 0.5
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_to_json(chosen)))
    again = dhq.quantize(model, CODES, file, progress=False)
    assert torch.equal(again(CODES), planned(CODES))
    tuned = dhq.quantize(
        model, CODES, chosen, target=target, steps=20, learning_rate=1e-4, progress=False
    )
    assert psnr(tuned(CODES), target) >= psnr(planned(CODES), target)


def test_relu_networks_of_stock_layers():
    torch.manual_seed(0)
    model = nn.Sequential(
        codes_in(),
        linear(2, 16),
        qnn.QuantReLU(bit_width=8, return_quant_tensor=True),
        linear(16, 16),
        qnn.QuantReLU(bit_width=8, return_quant_tensor=True),
        linear(16, 1),
    )
    expected = floats(model, CODES)
    chosen = dhq.plan(model, CODES, progress=False)
    assert chosen.layers[0].act_bits == INPUT_BITS
    quantized = dhq.quantize(model, CODES, chosen, progress=False)
    assert psnr(quantized(CODES), expected) > 25


def test_points_in_batches():
    batched = CODES.reshape(4, 100, 2)
    flat = dhq.quantize(Net(), CODES, dhq.QuantSpec(), progress=False)
    model = dhq.quantize(Net(), batched, dhq.QuantSpec(), progress=False)
    assert model(batched).shape == (4, 100, 2)
    # Samples are drawn in another order, so sums that scales follow may differ in the last bits.
    assert psnr(model(batched).reshape(-1, 2), flat(CODES)) > 40


def test_analysis_names_the_users_layers():
    found = dhq.analyze(Skip(), CODES)
    assert [layer.name for layer in found] == ["first", "second", "head"]
    assert found[2].act["none"].kind in ("U-shaped", "uniform")


@pytest.mark.parametrize("call", [dhq.quantize, dhq.plan])
def test_what_cannot_be_quantized_is_named(call):
    layer = linear(2, 2)
    twice = nn.Sequential(codes_in(), layer, dhq.QuantSine(return_quant_tensor=True), layer)
    with pytest.raises(ValueError, match="1: the network calls this layer twice; give each call"):
        call(twice, CODES, dhq.QuantSpec(), progress=False)
    with pytest.raises(ValueError, match="Sequential calls no QuantLinear layer: build it"):
        call(nn.Sequential(codes_in()), CODES, dhq.QuantSpec(), progress=False)
    broken = Net()
    broken.middle.weight.data[3, 2] = float("nan")
    with pytest.raises(ValueError, match=r"middle\.weight holds NaN or infinity"):
        call(broken, CODES, dhq.QuantSpec(), progress=False)
    with pytest.raises(ValueError, match="device='tpu' is unknown: use auto, cpu, cuda"):
        call(Net(), CODES, dhq.QuantSpec(), device="tpu", progress=False)


def test_scales_that_are_not_finite_are_refused():
    quantizer = Net().middle.weight_quant.tensor_quant
    with pytest.raises(ValueError, match=r"has no learned scale to set|is not finite"):
        set_scale(quantizer, torch.full((16, 1), float("inf")))


def test_signs_without_a_seed_are_in_no_plan():
    layer = qnn.QuantLinear(
        8,
        8,
        bias=True,
        weight_quant=dhq.Int8DHQWeightPerChannelFixedPoint,
        input_quant=dhq.Int8DHQActPerTensorFixedPoint,
        weight_hadamard_signs=3,
    )
    dhq.calibrate(layer, torch.randn(20, 8))
    assert layer.weight_quant.rotation.signs_seed == 3
    state = layer.state_dict()
    layer.load_state_dict(state)
    assert layer.weight_quant.rotation.signs_seed == 3
    state["weight_quant.hadamard_signs"] = dhq.random_signs(8, 4)
    layer.load_state_dict(state)
    assert layer.weight_quant.rotation.signs_seed is None
    model = nn.Sequential(layer).eval()
    with pytest.raises(ValueError, match="0: the signs of its rotation were not drawn from a seed"):
        plans_of(layers_of(model, torch.randn(3, 8)))


def test_a_plan_for_another_network_is_refused():
    chosen = plans_of(layers_of(dhq.quantize(Skip(), CODES, progress=False), CODES))
    with pytest.raises(ValueError, match=r"layer 0 of the plan is 'first', not 'stem\.first'"):
        dhq.quantize(Net(), CODES, chosen, progress=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_cuda_gives_a_network_on_the_cpu():
    quantized = dhq.quantize(Net(), CODES, dhq.QuantSpec(), progress=False, device="cuda")
    assert all(p.device.type == "cpu" for p in quantized.parameters())
    assert psnr(quantized(CODES), floats(Net(), CODES)) > 30


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        (None, TypeError, "inputs must be a torch.Tensor of samples"),
        (np.ones((4, 2), np.float32), TypeError, "inputs must be a torch.Tensor of samples"),
        (torch.ones(4, 2, dtype=torch.int64), TypeError, r"torch.int64; convert them with .float"),
        (torch.ones(0, 2), ValueError, r"calibration data of shape \(0, 2\) must be"),
        (torch.full((4, 2), torch.nan), ValueError, "hold NaN or infinity"),
        (
            torch.ones(4, 5),
            ValueError,
            r"fails on inputs of shape \[\d, 5\]",
        ),
        (torch.ones(4, 2).double(), ValueError, r"fails on inputs of shape .* torch.float64"),
    ],
)
@pytest.mark.parametrize("call", [dhq.quantize, dhq.plan, dhq.calibrate, dhq.analyze])
def test_inputs_that_are_none(call, inputs, kind, message):
    layers = [qnn.QuantLinear(2, 4, bias=True), nn.ReLU(), qnn.QuantLinear(4, 1, bias=True)]
    model = nn.Sequential(*layers)
    if call is dhq.analyze and kind is ValueError and "fails" in message:
        pytest.skip("has a sentence of its own for them")
    with pytest.raises(kind, match=message) as info:
        call(model, inputs)
    assert "\n" not in str(info.value)
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, not <class 'str'>"):
        call("model", inputs)
