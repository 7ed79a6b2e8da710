# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import copy
import io
import warnings

import brevitas.nn as qnn
import pytest
import torch
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int16Bias,
    Int32Bias,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.nn.hadamard import hadamard_transform
from dhq_brevitas.nn.proxies import NoRotationWarning
from dhq_brevitas.nn.scales import DyadicRestrictValue
from networks import grid_codes, outputs_of, sine_network

WEIGHTS = sorted(name for name in q.__all__ if name.startswith("Int8DHQWeight"))
ACTS = sorted(name for name in q.__all__ if name.startswith("Int8DHQAct"))


def layer(weight: str, act: str, n_in: int = 32, n_out: int = 16, bits: int = 8, **kwargs):
    return qnn.QuantLinear(
        n_in,
        n_out,
        bias=True,
        weight_quant=getattr(q, weight),
        input_quant=getattr(q, act),
        bias_quant=Int32Bias,
        weight_bit_width=bits,
        input_bit_width=bits,
        input_collect_stats_steps=1,
        **kwargs,
    )


def calibrate(module: nn.Module, x: torch.Tensor) -> nn.Module:
    module.train()
    with torch.no_grad():
        module(x)
        module(x)
    return module.eval()


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("act", ACTS)
def test_at_16_bits_every_pair_is_a_linear_layer(weight, act):
    torch.manual_seed(1)
    x = torch.randn(64, 32)
    module = calibrate(layer(weight, act, bits=16, weight_hadamard_signs=7), x)
    expected = nn.functional.linear(x, module.weight, module.bias)
    # Two uniform quantizers of step ≤ 2·max/2^15 over 32 terms of size about 1·0.2.
    assert (outputs_of(module, x) - expected).abs().max() < 1e-3


@given(
    n_in=st.sampled_from([2, 6, 16, 48, 96, 128]),
    n_out=st.integers(1, 9),
    signs=st.none() | st.integers(0, 5),
    side=st.sampled_from(["input", "output"]),
    seed=st.integers(0, 1000),
)
def test_disabled_quantization_is_a_linear_layer(n_in, n_out, signs, side, seed):
    torch.manual_seed(seed)
    n_in, n_out = (n_in, n_out) if side == "input" else (n_out, n_in)
    act = q.Int8DHQActPerTensorFloat if side == "input" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoRotationWarning)
        module = qnn.QuantLinear(
            n_in,
            n_out,
            bias=True,
            weight_quant=q.Int8DHQWeightPerTensorFloat,
            input_quant=act,
            weight_hadamard_side=side,
            weight_hadamard_signs=signs,
        ).eval()
    module.weight_quant.disable_quant = True
    module.input_quant.disable_quant = True
    x = torch.randn(5, n_in)
    expected = nn.functional.linear(x, module.weight, module.bias)
    # float32 rounding of two transforms of up to 128 terms
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)


def test_output_side_is_a_linear_layer():
    torch.manual_seed(0)
    module = qnn.QuantLinear(
        3,
        64,
        bias=True,
        weight_quant=q.Int8DHQWeightPerTensorFixedPoint,
        weight_bit_width=16,
        weight_hadamard_side="output",
        weight_hadamard_signs=3,
    )
    x = torch.randn(20, 3)
    expected = nn.functional.linear(x, module.weight, module.bias)
    assert (module(x) - expected).abs().max() < 1e-3
    # The quantized weight is R times integers of 16 + 6 bits at the scale that it claims.
    weight = module.quant_weight()
    codes = weight.value / weight.scale
    assert torch.equal(codes, codes.round())
    assert weight.bit_width == 22


@pytest.mark.parametrize("per", ["Tensor", "Channel"])
def test_weight_statistics_see_the_rotated_tensor(per):
    torch.manual_seed(0)
    module = layer(f"Int8DHQWeightPer{per}Float", "Int8DHQActPerTensorFloat")
    module.weight.data[:, 0] += 10  # one heavy column, spread evenly by the rotation
    rotated = hadamard_transform(module.weight, scale=2.0**-3)
    largest = rotated.abs().amax() if per == "Tensor" else rotated.abs().amax(1, keepdim=True)
    torch.testing.assert_close(module.weight_quant.scale(), largest / 127)


def test_activation_statistics_see_the_rotated_tensor():
    x = torch.ones(8, 32)  # rotates to one coefficient of 32·2^-2 and zeros
    module = calibrate(layer("Int8DHQWeightPerTensorFloat", "Int8DHQActPerTensorFloat"), x)
    torch.testing.assert_close(module.input_quant.scale(), torch.tensor(8.0 / 128))


def test_quantized_weight_equals_manual_quantization():
    torch.manual_seed(0)
    module = layer("Int8DHQWeightPerTensorFixedPoint", "Int8DHQActPerTensorFixedPoint", bits=4)
    rotated = hadamard_transform(module.weight.detach(), scale=2.0**-3)
    scale = 2.0 ** (torch.ceil(torch.log2(rotated.abs().max())) - 3)
    expected = torch.clamp(torch.round(rotated / scale), -7, 7)
    assert torch.equal(module.quant_weight().int().float(), expected)


def test_scale_search_is_not_fooled_by_a_second_rotation():
    torch.manual_seed(0)
    weight = torch.randn(16, 32)
    dhq = layer("Int8DHQWeightPerTensorFloatMSE", "Int8DHQActPerTensorFloat", bits=4)
    dhq.weight.data = weight
    rotated = hadamard_transform(weight, scale=2.0**-3)
    searched = dhq.quant_weight().value - rotated
    at_maximum = layer("Int8DHQWeightPerTensorFloat", "Int8DHQActPerTensorFloat", bits=4)
    at_maximum.weight.data = weight
    assert searched.square().mean() < (at_maximum.quant_weight().value - rotated).square().mean()


@pytest.mark.parametrize("scale", ["Float", "FloatMSE", "FixedPoint", "Dyadic"])
def test_state_dict_and_deepcopy_restore_outputs(scale):
    torch.manual_seed(0)
    x = torch.randn(16, 32)
    names = f"Int8DHQWeightPerChannel{scale}", f"Int8DHQActPerTensor{scale}"
    module = calibrate(layer(*names, weight_hadamard_signs=1), x)
    expected = outputs_of(module, x)
    assert torch.equal(outputs_of(copy.deepcopy(module), x), expected)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = layer(*names, weight_hadamard_signs=2)
    other.load_state_dict(torch.load(file))
    assert torch.equal(outputs_of(other.eval(), x), expected)


def test_float_state_dict_loads_where_brevitas_ignores_missing_keys(monkeypatch):
    from brevitas import config

    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", True)
    module = layer("Int8DHQWeightPerTensorFloat", "Int8DHQActPerTensorFloat")
    module.load_state_dict(nn.Linear(32, 16).state_dict())


def test_mixes_with_stock_quantizers_in_one_model():
    torch.manual_seed(0)
    model = nn.Sequential(
        qnn.QuantLinear(
            8,
            32,
            bias=True,
            weight_quant=Int8WeightPerTensorFloat,
            input_quant=Int8ActPerTensorFloat,
            input_collect_stats_steps=1,
        ),
        qnn.QuantReLU(bit_width=8),
        layer("Int8DHQWeightPerChannelFloat", "Int8DHQActPerTensorFloat"),
    )
    x = torch.randn(128, 8)
    calibrate(model, x)
    reference = nn.functional.linear(x, model[0].weight, model[0].bias).relu()
    reference = nn.functional.linear(reference, model[2].weight, model[2].bias)
    error = (outputs_of(model, x) - reference).square().mean() / reference.var()
    assert error < 1e-3  # 30 dB: three 8-bit quantizers


def test_bias_quantizer_gets_the_accumulator_scale():
    x = torch.randn(64, 32)
    module = calibrate(layer("Int8DHQWeightPerChannelFixedPoint", "Int8DHQActPerTensorFloat"), x)
    module.return_quant_tensor = True
    out = module(x)
    expected = module.weight_quant.scale().view(-1) * module.input_quant.scale()
    torch.testing.assert_close(out.scale.view(-1), expected)
    codes = out.value / out.scale
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-2)


def test_keyword_overrides_and_other_bias_quantizers():
    module = qnn.QuantLinear(
        16,
        4,
        bias=True,
        weight_quant=q.Int8DHQWeightPerTensorFloat,
        input_quant=q.Int8DHQActPerTensorFloat,
        bias_quant=Int16Bias,
        weight_bit_width=3,
        input_bit_width=5,
        weight_hadamard_order=4,
    )
    assert module.weight_quant.bit_width() == 3
    assert module.input_quant.bit_width() == 5
    assert module.weight_quant.rotation.order == 4
    assert module.quant_weight().int().abs().max() <= 3


def test_evaluation_caches_the_rotated_weight():
    module = layer("Int8DHQWeightPerTensorFloat", "Int8DHQActPerTensorFloat").eval()
    module.weight_quant.cache_inference_quant_weight = True
    first = module.quant_weight()
    assert torch.equal(module.weight_quant._cached_weight.quant_tensor.value, first.value)


@pytest.mark.parametrize(
    ("convolution", "shape"), [(qnn.QuantConv1d, (2, 16, 9)), (qnn.QuantConv2d, (2, 16, 7, 7))]
)
def test_convolutions_rotate_their_input_channels(convolution, shape):
    torch.manual_seed(0)
    module = convolution(
        16,
        8,
        3,
        padding=1,
        weight_quant=q.Int8DHQWeightPerChannelFloat,
        input_quant=q.Int8DHQActPerTensorFloat,
        weight_bit_width=16,
        input_bit_width=16,
        input_collect_stats_steps=1,
    )
    x = torch.randn(*shape)
    calibrate(module, x)
    functional = nn.functional.conv1d if x.ndim == 3 else nn.functional.conv2d
    expected = functional(x, module.weight, module.bias, padding=1)
    assert (outputs_of(module, x) - expected).abs().max() < 2e-3


def test_gradients_reach_weight_input_and_scale():
    x = torch.randn(64, 32, requires_grad=True)
    module = layer("Int8DHQWeightPerChannelFloat", "Int8DHQActPerTensorFloat", bits=16)
    module.train()
    for _ in range(3):
        module.zero_grad()
        x.grad = None
        module(x).square().sum().backward()
    out = nn.functional.linear(x, module.weight, module.bias)
    expected_x, expected_w = torch.autograd.grad(out.square().sum(), (x, module.weight))
    assert x.grad is not None
    # Straight-through: the float gradients up to the 16-bit quantization of both factors; clipping
    # at the 99.999th percentile touches a few elements.
    assert (x.grad - expected_x).abs().median() < 1e-2 * expected_x.abs().median()
    assert (module.weight.grad - expected_w).abs().median() < 1e-2 * expected_w.abs().median()
    scale = module.input_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value
    assert scale.grad is not None


@pytest.mark.parametrize("scale", ["FixedPoint", "Dyadic"])
def test_every_sum_of_a_network_is_exact_in_float32(scale):
    network = sine_network(32, 2, scale=scale, signs=1)
    x = grid_codes(200)
    double = copy.deepcopy(network).double()
    assert torch.equal(outputs_of(network, x).double(), outputs_of(double, x.double()))


def test_float_scales_are_not_exact_in_float32():
    # Negative control of the test above: the comparison does see float scales.
    network = sine_network(32, 2, scale="Float", signs=1)
    x = grid_codes(200)
    double = copy.deepcopy(network).double()
    assert not torch.equal(outputs_of(network, x).double(), outputs_of(double, x.double()))


@given(
    value=st.floats(1e-12, 1e12, allow_nan=False),
    bits=st.integers(1, 12),
)
def test_dyadic_scale_is_the_next_short_mantissa(value, bits):
    x = torch.tensor([value], dtype=torch.float32)
    restricted = DyadicRestrictValue(bits)(x)
    mantissa = torch.frexp(restricted)[0] * 2**bits
    assert mantissa == mantissa.round()
    assert restricted >= x
    assert restricted <= x * (1 + 2.0 ** (1 - bits))


class TestBadInput:
    def test_rotated_weight_without_rotated_input(self):
        module = qnn.QuantLinear(8, 4, True, weight_quant=q.Int8DHQWeightPerTensorFloat)
        with pytest.raises(ValueError, match="pass a DHQ activation quantizer as input_quant"):
            module(torch.zeros(1, 8))

    def test_rotated_input_without_rotated_weight(self):
        module = qnn.QuantLinear(8, 4, True, input_quant=q.Int8DHQActPerTensorFloat)
        with pytest.raises(ValueError, match="pass a DHQ weight quantizer as weight_quant"):
            module(torch.zeros(1, 8))

    def test_activation_quantizer_outside_a_layer(self):
        module = qnn.QuantIdentity(act_quant=q.Int8DHQActPerTensorFloat)
        with pytest.raises(ValueError, match="use it as input_quant"):
            module(torch.zeros(1, 8))

    def test_odd_size_warns_and_names_the_layer(self):
        with pytest.warns(NoRotationWarning, match=r"QuantLinear\(in_features=7, .*size 7 is odd"):
            layer("Int8DHQWeightPerTensorFloat", "Int8DHQActPerTensorFloat", n_in=7)

    @pytest.mark.parametrize("order", [0, 3, 8192])
    def test_order_that_is_no_power_of_two(self, order):
        with pytest.raises(ValueError, match=f"hadamard_order={order} is not a power of two"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_order=order)

    @pytest.mark.parametrize("order", ["8", 8.0])
    def test_order_that_is_no_integer(self, order):
        with pytest.raises(TypeError, match=f"hadamard_order={order!r} must be an integer"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_order=order)

    def test_order_that_does_not_divide(self):
        with pytest.raises(ValueError, match=r"does not divide the size 48; .* is 16"):
            layer(WEIGHTS[0], ACTS[0], n_in=48, weight_hadamard_order=32)

    def test_signs_of_the_wrong_size(self):
        with pytest.raises(ValueError, match="must be 32 entries of ±1"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_signs=torch.ones(16))

    def test_signs_that_are_not_signs(self):
        with pytest.raises(ValueError, match="must be 32 entries of ±1"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_signs=torch.zeros(32))
        with pytest.raises(ValueError, match="got 'random'"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_signs="random")

    def test_unknown_side(self):
        with pytest.raises(ValueError, match="hadamard_side='left' is unknown"):
            layer(WEIGHTS[0], ACTS[0], weight_hadamard_side="left")

    def test_per_channel_scale_on_the_output_side(self):
        with pytest.raises(ValueError, match="use a per-tensor weight quantizer"):
            layer("Int8DHQWeightPerChannelFloat", ACTS[0], weight_hadamard_side="output")

    def test_grouped_convolution(self):
        with pytest.raises(ValueError, match="groups must be 1, not 2"):
            qnn.QuantConv2d(8, 8, 3, groups=2, weight_quant=q.Int8DHQWeightPerTensorFloat)

    def test_unsupported_layer(self):
        with pytest.raises(TypeError, match="not QuantConvTranspose2d"):
            qnn.QuantConvTranspose2d(8, 8, 3, weight_quant=q.Int8DHQWeightPerTensorFloat)

    def test_shared_quantizer(self):
        shared = layer(WEIGHTS[0], ACTS[0])
        with pytest.raises(ValueError, match="give each layer its own"):
            qnn.QuantLinear(32, 16, True, weight_quant=shared.weight_quant)

    def test_activation_quantizer_of_two_layers(self):
        # The second layer's weight may be rotated with other signs.
        shared = layer(WEIGHTS[0], ACTS[0], weight_hadamard_signs=1)
        with pytest.raises(ValueError, match="belongs to one layer, with whose weight it rotates"):
            qnn.QuantLinear(
                32,
                16,
                True,
                weight_quant=q.Int8DHQWeightPerTensorFloat,
                input_quant=shared.input_quant,
            )

    def test_rotated_output(self):
        # Sizes agree here, so the output would be rotated without a word.
        module = layer(WEIGHTS[0], ACTS[0], n_out=32, output_quant=q.Int8DHQActPerTensorFloat)
        with pytest.raises(ValueError, match="and a stock quantizer as output_quant"):
            module(torch.zeros(1, 32))

    @pytest.mark.parametrize(("name", "value"), [("order", 4), ("signs", 3), ("side", "output")])
    def test_rotation_given_to_the_input_quantizer(self, name, value):
        with pytest.raises(ValueError, match=f"has no effect: .* use weight_hadamard_{name}"):
            layer(WEIGHTS[0], ACTS[0], **{f"input_hadamard_{name}": value})

    def test_input_of_the_wrong_size(self):
        module = layer(WEIGHTS[0], ACTS[0])
        with pytest.raises(ValueError, match="has 31 channels, the layer expects 32"):
            module(torch.zeros(4, 31))

    @pytest.mark.parametrize("bits", [0, 13])
    def test_mantissa_bits(self, bits):
        with pytest.raises(ValueError, match=f"mantissa_bits={bits} is out of range"):
            DyadicRestrictValue(bits)
