# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Rotation after the activation quantizer, on exact integers."""

import copy
import itertools
import json

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.fixed_point import Uint8ActPerTensorFixedPoint
from brevitas.quant.scaled_int import Int32Bias
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.export.passes.integer_form.values import Rotated
from dhq_brevitas.inr.integers import LayerCodes, evaluate, layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn.hadamard import hadamard_transform_int, random_signs
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.planning.plan_file import layers_to_json, read_plan
from dhq_brevitas.quantization.post_training import post_train
from dhq_brevitas.quantization.settle import settle
from networks import calibrated, grid_codes, outputs_of, sine_network

SPEC = InrSpec(hidden=16, layers=2, out_features=3, parameters={"omega": 6.0})
STEP = 2 / 16
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))


def layer(scale="FixedPoint", n_in=32, **kwargs):
    torch.manual_seed(0)
    return qnn.QuantLinear(
        n_in,
        8,
        bias=True,
        weight_quant=getattr(q, f"Int8DHQWeightPerChannel{scale}"),
        **{
            "bias_quant": Int32Bias,
            "weight_bit_width": 4,
            "input_quant": getattr(q, f"Int8DHQActPerTensor{scale}"),
            "input_hadamard_after": True,
            "input_collect_stats_steps": 1,
        }
        | kwargs,
    )


def calibrate(module, x):
    module.train()
    with torch.no_grad():
        module(x)
        module(x)
    return module.eval()


@pytest.mark.parametrize("scale", ["FixedPoint", "Dyadic"])
@pytest.mark.parametrize(("order", "signs"), [(32, None), (32, 5), (8, 5), (2, None), (1, None)])
def test_codes_are_rotated_exactly(order, signs, scale):
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(1))
    module = layer(scale, weight_hadamard_order=order, weight_hadamard_signs=signs)
    calibrate(module, x)
    stock = copy.deepcopy(module.input_quant)
    stock.rotates_after = False
    stock._depth = 1  # as in a nested call: quantizes only
    codes = (stock(x).value / stock.scale()).detach().numpy().astype(np.int64)
    assert np.abs(codes).max() > 100
    diagonal = None if signs is None else random_signs(32, signs).numpy().astype(np.int64)
    expected = hadamard_transform_int(codes, order=order, signs=diagonal)

    rotated, weight = module.input_quant(x), module.quant_weight()
    k = order.bit_length() - 1
    assert torch.equal(rotated.value / rotated.scale, torch.from_numpy(expected).float())
    assert rotated.bit_width == 8 + k
    assert torch.equal(rotated.scale, stock.scale() * 2.0 ** -(k // 2))
    # The layer multiplies these integers; float32 is exact.
    bias = module.bias_quant(module.bias, rotated, weight)
    integers = expected @ weight.int().numpy().astype(np.int64).T + bias.int().numpy()
    scale_out = (rotated.scale * weight.scale).double().reshape(-1)
    output = outputs_of(module, x).double()
    assert torch.equal(output, torch.from_numpy(integers).double() * scale_out)


def test_raw_quantization_keeps_what_a_rotated_one_loses():
    """A sine's U-shaped values at 8 bits: 49 dB raw; rotated, a bell, some 10 dB less."""
    x = torch.sin(torch.randn(200, 32) * 20)
    errors = {}
    for after in (False, True):
        module = calibrate(layer("Float", weight_bit_width=12, input_hadamard_after=after), x)
        exact = nn.functional.linear(x, module.weight, module.bias)
        errors[after] = (outputs_of(module, x) - exact).square().mean()
    assert errors[True] < errors[False] / 2


def test_disabled_quantization_is_a_linear_layer():
    module = layer(weight_hadamard_signs=3, bias_quant=None).eval()
    module.weight_quant.disable_quant = True
    module.input_quant.disable_quant = True
    x = torch.randn(5, 32)
    expected = nn.functional.linear(x, module.weight, module.bias)
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)


def test_integers_are_taken_as_they_are_and_survive_copies():
    network, x = sine_network(after=True, weight_bits=4, signs=3), grid_codes(100)
    assert not [name for name in network.state_dict() if "input_quant" in name]
    expected = outputs_of(network, x)
    again = sine_network(after=True, weight_bits=4, signs=4)
    assert not torch.equal(outputs_of(again, x), expected)
    again.load_state_dict(network.state_dict())
    for other in (again, copy.deepcopy(network)):
        assert torch.equal(outputs_of(other, x), expected)


def test_codes_without_sign_give_signed_integers():
    network = calibrated(
        nn.Sequential(
            qnn.QuantLinear(2, 16, True),
            qnn.QuantReLU(Uint8ActPerTensorFixedPoint, bit_width=4, return_quant_tensor=True),
            layer(n_in=16, input_quant=q.DHQActOfIntegers),
        )
    )
    codes = network[:2](grid_codes(20))
    rotated = network[2].input_quant(codes)
    expected = hadamard_transform_int(codes.int().numpy().astype(np.int64))
    assert np.array_equal((rotated.value / rotated.scale).detach().numpy(), expected)
    assert (rotated.signed, int(rotated.bit_width)) == (True, 4 + 4 + 1)
    assert expected.min() < 0


def test_gradients_pass_through_both():
    x = torch.randn(40, 32, requires_grad=True)
    module = calibrate(layer(), x)
    module(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert module.weight.grad.abs().sum() > 0


def test_bad_input():
    with pytest.raises(TypeError, match="hadamard_after='yes' must be True or False"):
        layer(input_hadamard_after="yes")
    shifted = qnn.QuantIdentity(
        act_quant=ShiftedUint8ActPerTensorFloat, return_quant_tensor=True, collect_stats_steps=1
    )
    network = nn.Sequential(shifted, layer(input_quant=q.DHQActOfIntegers))
    with pytest.raises(ValueError, match="zero point 0: use a symmetric per-tensor quantizer"):
        calibrate(network, torch.randn(4, 32) + 1)
    with pytest.raises(ValueError, match="the input has 16 channels, the layer expects 32"):
        layer()(torch.randn(4, 16))


# -- implicit neural representations ---------------------------------------------------------------


def quantized(**options):
    inr = Inr(SPEC, seed=3)
    options = {"weight_bits": 4, "rotation": "after", **options}
    return inr, QuantInr.from_float(inr, QuantSpec(**options), STEP, 4)


def test_plan_quantizes_once_and_comes_back_from_json(tmp_path):
    layers = plan_layers(
        shapes_of_inr(SPEC, 4), QuantSpec(rotation="after", act_bits=6, signs_seed=1)
    )
    assert [str(x.rotation) for x in layers] == ["none", "after", "after"]
    assert [(x.act_bits, x.multiplied_bits) for x in layers] == [(4, 4), (6, 10), (6, 10)]
    assert [x.sine_bits for x in layers] == [6, 6, None]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"layers": layers_to_json(layers)}))
    assert read_plan(file) == tuple(layers)
    text = file.read_text().replace('"act_bits": 6', '"act_bits": 7', 1)
    file.write_text(text)
    with pytest.raises(ValueError, match=r"linear1: act_bits=7 must be 6.*rotation='after'"):
        QuantInr.from_float(Inr(SPEC), QuantSpec(layers=read_plan(file)), STEP, 4)


@pytest.mark.parametrize("scale", ["po2", "dyadic", "float"])
def test_rounding_sees_the_rotated_codes(scale):
    inr, learned = quantized(scale=scale, signs_seed=2)
    _, nearest = quantized(scale=scale, signs_seed=2)
    post_train(nearest, CODES, learned_rounding=False)
    records = post_train(learned, CODES).rounded
    assert all(record.rounded < 0.8 * record.nearest for record in records[1:])

    def error(model):
        return (outputs_of(model.eval(), CODES) - inr(CODES * STEP)).square().mean()

    assert error(learned) < 0.8 * error(nearest)
    settle(learned, CODES)
    reference = evaluate(learned, CODES)
    assert scale == "float" or reference.dtype == "float32"
    # The last layer multiplies the transform of the sine's codes.
    sine = nn.Sequential(*list(learned)[:-1])(CODES)
    signs = learned.linears[-1].weight_quant.hadamard_signs.numpy().astype(np.int64)
    rotated = hadamard_transform_int(sine.int().numpy().astype(np.int64), signs=signs)
    last = layer_codes(learned, CODES)[-1]
    assert np.array_equal(last.x, rotated)
    assert np.array_equal(reference.accumulators, rotated @ last.weight.T)


# -- bounds ----------------------------------------------------------------------------------------


def partial_sums(x, w):
    """Every sum of some of the terms of x · w, for each row of x."""
    chosen = np.array(list(itertools.product((0, 1), repeat=len(w))))
    return (x * w) @ chosen.T


def test_no_partial_sum_exceeds_the_bound():
    rng = np.random.default_rng(0)
    codes = rng.integers(-8, 8, (200, 8))
    x, w = hadamard_transform_int(codes, order=8), rng.integers(-7, 8, (3, 8))
    turn = Rotation(Side.AFTER, 8)
    layer = LayerCodes("a", x, 4, True, turn, None, 4, w, 4, np.ones(1), np.zeros(3))
    bound = layer.bound()
    rotated = Rotated(-8, 7, 8, None)
    for row, largest in zip(w, bound.tolist(), strict=True):
        seen = np.abs(partial_sums(x, row)).max()
        assert seen <= largest
        assert seen <= rotated.largest_sum(row[:, None]) < 8 * 8 * np.abs(row).sum()


def test_range_of_a_product_is_reached():
    rng = np.random.default_rng(1)
    codes = np.array(list(itertools.product((-2, 1), repeat=8)))
    signs = rng.choice([-1, 1], 8)
    weights = rng.integers(-3, 4, (8, 5))
    products = hadamard_transform_int(codes, order=4, signs=signs) @ weights
    low, high = Rotated(-2, 1, 4, signs).product_range(weights)
    assert np.array_equal(low, products.min(axis=0))
    assert np.array_equal(high, products.max(axis=0))
