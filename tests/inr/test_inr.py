# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import copy
import itertools
import math
import warnings

import numpy as np
import pytest
import torch

from dhq_brevitas.analysis.layer_table import kurtosis, measure_layers
from dhq_brevitas.inr import integers
from dhq_brevitas.inr.integers import accumulator_bits, evaluate, exact_in_float32, layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import tensor_psnr
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step
from dhq_brevitas.util import hooks

# Brevitas calls Tensor.rename, which PyTorch announces as experimental.
pytestmark = pytest.mark.filterwarnings("ignore:Named tensors")

SCHEMES = [("stock", "none"), ("dhq", "input"), ("dhq", "output")]
SCALES = ["po2", "dyadic", "float"]


def codes_of(height, width):
    return torch.from_numpy(grid_codes((height, width))).float()


def quantized(spec=None, height=16, width=16, **quant):
    """(calibrated network, codes, output of the float network)."""
    siren = Inr(spec or InrSpec(hidden=16, layers=2))
    step, bits = grid_step((height, width)), code_bits(grid_codes((height, width)))
    model = QuantInr.from_float(siren, QuantSpec(**quant), step, bits)
    codes = codes_of(height, width)
    calibrate(model, codes)
    with torch.no_grad():
        expected = siren(codes * step)
    return model.eval(), codes, expected


def output_of(model, codes):
    with torch.no_grad():
        return model.eval()(codes)


# -- descriptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0, 1, 13, 33])
@pytest.mark.parametrize(
    "name", ["weight_bits", "act_bits", "first_weight_bits", "last_weight_bits", "sine_bits"]
)
def test_bits_out_of_range(name, bits):
    with pytest.raises(ValueError, match=rf"{name}={bits} is out of range: use 2 to 12 bits"):
        QuantSpec(**{name: bits})


@pytest.mark.parametrize("bits", [3, 17])
def test_phase_bits_out_of_range(bits):
    with pytest.raises(ValueError, match=f"phase_bits={bits} is out of range: use 4 to 16"):
        QuantSpec(phase_bits=bits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers=0 is out of range: use 1 to 32"),
        ({"layers": 33}, "layers=33 is out of range"),
        ({"hidden": 0}, "hidden=0 must be at least 1"),
        ({"parameters": {"omega_first": -1.0}}, "omega_first=-1.0 must be a positive number"),
        ({"parameters": {"omega": math.nan}}, r"omega=nan must be a positive number \(30 is usual"),
        ({"parameters": {"sigma": 1.0}}, "sigma=1.0 is no parameter of siren; it has: omega, "),
        ({"family": "cosine"}, "family='cosine' is unknown: use siren, finer, "),
        ({"family": "wire-complex"}, "cannot be quantized: its activation is a function of two"),
    ],
)
def test_bad_network(options, message):
    with pytest.raises(ValueError, match=message):
        InrSpec(**options)


@pytest.mark.parametrize("name", ["scheme", "scale", "granularity", "rotation"])
def test_unknown_choice(name):
    with pytest.raises(ValueError, match=f"{name}='wrong' is unknown: use "):
        QuantSpec(**{name: "wrong"})


def test_default_plan():
    plans = plan_layers(shapes_of_inr(InrSpec(hidden=96), 8), QuantSpec(weight_bits=6, act_bits=7))
    assert [p.name for p in plans] == ["linear0", "linear1", "linear2", "linear3"]
    assert [str(p.rotation) for p in plans] == ["none", "input", "input", "input"]
    assert [p.order for p in plans] == [1, 32, 32, 32]
    assert [p.weight_bits for p in plans] == [12, 6, 6, 6]
    assert [p.act_bits for p in plans] == [8, 7, 7, 7]
    assert [p.sine_bits for p in plans] == [9, 9, 9, None]


def test_plan_of_stock_and_of_output_side():
    stock = plan_layers(shapes_of_inr(InrSpec(), 7), QuantSpec(scheme="stock", last_weight_bits=10))
    assert all(p.rotation == Side.NONE and p.order == 1 for p in stock)
    assert [p.weight_bits for p in stock] == [12, 8, 8, 10]
    assert [p.sine_bits for p in stock] == [8, 8, 8, None]
    # Three outputs have no rotation, so the last layer is left out; one scale where channels mix.
    output = plan_layers(shapes_of_inr(InrSpec(), 7), QuantSpec(rotation="output"))
    assert [str(p.rotation) for p in output] == ["none", "output", "output", "none"]
    assert [str(p.granularity) for p in output] == ["channel", "tensor", "tensor", "channel"]


def test_plan_names_each_side():
    spec = InrSpec(hidden=24, layers=2, out_features=4)
    sides = ("output", "input", "output")
    plans = plan_layers(shapes_of_inr(spec, 7), QuantSpec(rotation=sides))
    assert [(str(p.rotation), p.order) for p in plans] == [
        ("output", 8),
        ("input", 8),
        ("output", 4),
    ]
    with pytest.raises(ValueError, match="rotation has 2 entries, the network 3 linear layers"):
        plan_layers(shapes_of_inr(spec, 7), QuantSpec(rotation=("none", "input")))
    with pytest.raises(ValueError, match="linear2: rotation='output': its size 3 is odd"):
        plan_layers(shapes_of_inr(InrSpec(hidden=24, layers=2), 7), QuantSpec(rotation=sides))


def test_size_without_rotation():
    with pytest.raises(ValueError, match=r"the hidden width must be even .* or use scheme='stock'"):
        plan_layers(shapes_of_inr(InrSpec(hidden=33), 7), QuantSpec())
    assert (
        plan_layers(shapes_of_inr(InrSpec(hidden=33), 7), QuantSpec(rotation="none"))[1].order == 1
    )


# -- float network ---------------------------------------------------------------------------------


def test_siren_formula_and_initialization():
    parameters = {"omega": 10.0, "omega_first": 20.0}
    spec = InrSpec(hidden=40, layers=2, out_features=1, parameters=parameters)
    model = Inr(spec, seed=3)
    first, second, last = model.linears
    assert first.weight.abs().max() <= 1 / 2
    assert 0.9 * math.sqrt(6 / 40) / 10 < second.weight.abs().max() <= math.sqrt(6 / 40) / 10
    x = torch.linspace(-1, 1, 14).reshape(7, 2)
    hidden = torch.sin(10 * second(torch.sin(20 * first(x))))
    assert torch.equal(model(x), last(hidden))


def test_seed_decides_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (Inr(InrSpec(), seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.linears[1].weight, same.linears[1].weight)
    assert not torch.equal(one.linears[1].weight, other.linears[1].weight)


# -- quantized network -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("scheme", "side"), SCHEMES)
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_wide_quantizers_reproduce_the_float_network(scheme, side, scale, granularity):
    model, codes, expected = quantized(
        scheme=scheme,
        rotation=side,
        scale=scale,
        granularity=granularity,
        weight_bits=12,
        act_bits=12,
        phase_bits=16,
    )
    assert tensor_psnr(output_of(model, codes), expected) > 65


@pytest.mark.parametrize(
    ("hidden", "layers", "channels", "height", "width"),
    [
        (64, 1, 3, 12, 20),
        (96, 2, 1, 20, 12),
        (256, 3, 3, 16, 16),
        (16, 4, 1, 9, 16),
        (8, 5, 3, 16, 8),
    ],
)
def test_sizes_depths_channels_and_shapes(hidden, layers, channels, height, width):
    spec = InrSpec(hidden=hidden, layers=layers, out_features=channels)
    model, codes, expected = quantized(spec, height, width, weight_bits=12, act_bits=12)
    output = output_of(model, codes)
    assert output.shape == (height * width, channels)
    assert tensor_psnr(output, expected) > 55


def test_random_signs_give_another_rotation_of_the_same_function():
    plain, codes, expected = quantized(weight_bits=12, act_bits=12)
    signed, _, _ = quantized(weight_bits=12, act_bits=12, signs_seed=1)
    a, b = output_of(plain, codes), output_of(signed, codes)
    assert not torch.equal(a, b)
    assert tensor_psnr(b, expected) > 60


@pytest.mark.parametrize("bits", range(2, 13))
def test_all_widths_use_their_integers(bits):
    model, codes, expected = quantized(weight_bits=bits, act_bits=bits)
    layers = layer_codes(model, codes)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    for layer in layers[1:]:
        assert np.abs(layer.multiplied).max() <= high  # narrow
        assert np.abs(layer.multiplied).max() > high // 2
        assert layer.x.min() >= low
        assert layer.x.max() <= high
        assert np.abs(layer.x).max() > high // 2
    assert np.array_equal(layers[0].x, codes.numpy())
    # 6 dB a bit, less what the clipping costs: better than 4 dB a bit.
    assert tensor_psnr(output_of(model, codes), expected) > 12 + 4 * bits


@pytest.mark.parametrize("scale", ["po2", "dyadic"])
@pytest.mark.parametrize(("scheme", "side"), SCHEMES)
def test_float32_evaluation_is_exact(scheme, side, scale):
    model, codes, _ = quantized(scheme=scheme, rotation=side, scale=scale)
    assert exact_in_float32(model, codes)
    last = layer_codes(model, codes)[-1]
    integers = last.accumulators() + last.bias_codes
    assert np.array_equal(output_of(model, codes).double().numpy(), integers * last.scale)


def test_exactness_has_limits():
    wide, codes, _ = quantized(InrSpec(hidden=64, layers=2), weight_bits=12, act_bits=12)
    assert max(accumulator_bits(wide, codes)) > 25
    assert not exact_in_float32(wide, codes)
    floating, codes, _ = quantized(scale="float")
    assert max(accumulator_bits(floating, codes)) <= 25
    assert not exact_in_float32(floating, codes)


def test_samples_in_parts_give_the_same(monkeypatch):
    model, codes, _ = quantized(InrSpec(hidden=64, layers=2), weight_bits=12, act_bits=12)
    whole, bits = evaluate(model, codes), accumulator_bits(model, codes)
    for module in (hooks, integers):
        monkeypatch.setattr(module, "CHUNK", 100)
    parts = evaluate(model, codes)
    np.testing.assert_array_equal(parts.accumulators, whole.accumulators)
    np.testing.assert_array_equal(parts.outputs, whole.outputs)
    assert parts.dtype == whole.dtype == "float64"
    # A bound of each part is no larger than that of the whole.
    assert all(part <= one for part, one in zip(accumulator_bits(model, codes), bits, strict=True))


def test_accumulator_bits_hold_the_sums():
    model, codes, _ = quantized()
    for bits, layer in zip(accumulator_bits(model, codes), layer_codes(model, codes), strict=True):
        largest = np.abs(layer.accumulators() + layer.bias_codes).max()
        assert largest < 2 ** (bits - 1)
        assert bits < 26


def test_folding():
    siren = Inr(InrSpec(hidden=16, layers=2))
    model = QuantInr.from_float(siren, QuantSpec(), 2 / 20, 5)
    turns = 30 / (2 * math.pi)
    torch.testing.assert_close(model.linears[0].weight, siren.linears[0].weight * turns / 10)
    torch.testing.assert_close(model.linears[1].weight, siren.linears[1].weight * turns)
    torch.testing.assert_close(model.linears[2].weight, siren.linears[2].weight)
    for source, target in itertools.islice(zip(siren.linears, model.linears, strict=True), 2):
        difference = source.bias * turns - target.bias
        torch.testing.assert_close(difference, difference.round(), atol=1e-5, rtol=0)
        assert target.bias.abs().max() <= 0.5
    torch.testing.assert_close(model.linears[2].bias, siren.linears[2].bias)


def test_bad_coordinates():
    siren = Inr(InrSpec(hidden=16))
    with pytest.raises(ValueError, match="coordinate_step=0 must be positive"):
        QuantInr.from_float(siren, QuantSpec(), 0, 5)
    with pytest.raises(ValueError, match="coordinate_bits=0 is out of range"):
        QuantInr.from_float(siren, QuantSpec(), 0.1, 0)


@pytest.mark.parametrize("scale", SCALES)
def test_state_dict_and_deepcopy(scale):
    model, codes, _ = quantized(scale=scale, signs_seed=7)
    expected = output_of(model, codes)
    fresh = QuantInr(model.spec, QuantSpec(layers=tuple(model.plans)), 0.125, 4)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(output_of(fresh, codes), expected)
    assert torch.equal(output_of(copy.deepcopy(model), codes), expected)


# -- the finished network --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("scheme", "side"), SCHEMES)
def test_finished_network_has_the_same_integers_in_every_precision(scheme, side, scale):
    model, codes, expected = quantized(scheme=scheme, rotation=side, scale=scale, signs_seed=2)
    before = output_of(model, codes)
    integers = layer_codes(model, codes)
    settle(model, codes)
    if scale != "float":
        assert torch.equal(output_of(model, codes), before)
    assert tensor_psnr(output_of(model, codes), expected) > tensor_psnr(before, expected) - 3
    in_float32 = layer_codes(model, codes)
    in_float64 = layer_codes(copy.deepcopy(model).double(), codes.double())
    for one, two in zip(in_float32, in_float64, strict=True):
        assert np.array_equal(one.weight, two.weight)
        assert np.array_equal(one.bias_codes, two.bias_codes)
        assert np.array_equal(one.scale, two.scale)
    if scale == "float":
        for one, two in zip(in_float32, integers, strict=True):
            assert not np.array_equal(one.scale, two.scale)
            mantissa = one.scale * 2.0**60  # products of two 8-bit mantissas at most
            odd = mantissa / (mantissa.astype(np.int64) & -mantissa.astype(np.int64))
            assert odd.max() < 2**16


@pytest.mark.parametrize("scale", SCALES)
def test_reference_is_the_integer_network(scale):
    model, codes, _ = quantized(scale=scale)
    settle(model, codes)
    reference = evaluate(model, codes)
    assert reference.dtype == ("float64" if scale == "float" else "float32")
    last = layer_codes(copy.deepcopy(model).double(), codes.double())[-1]
    assert np.array_equal(reference.accumulators, last.accumulators())
    assert reference.accumulators.dtype == np.int64
    outputs = (reference.accumulators + last.bias_codes) * last.scale
    np.testing.assert_allclose(reference.outputs, outputs, rtol=1e-6)
    assert reference.outputs.dtype == np.float32


# -- measurements ----------------------------------------------------------------------------------


def test_kurtosis_of_known_shapes():
    grid = torch.linspace(-1, 1, 10001)
    assert kurtosis(grid) == pytest.approx(1.8, abs=1e-3)
    assert kurtosis(torch.sin(math.pi / 2 * grid)) == pytest.approx(1.5, abs=1e-3)
    generator = torch.Generator().manual_seed(0)
    assert kurtosis(torch.randn(100_000, generator=generator)) == pytest.approx(3, abs=0.1)
    assert kurtosis(torch.ones(5)) is None


def test_layer_measurements():
    model, codes, _ = quantized(InrSpec(hidden=64, layers=2))
    first, middle, last = measure_layers(model, codes)
    assert set(first) == {
        "name",
        "rotation",
        "hadamard_order",
        "weight_bits",
        "act_bits",
        "weight_kurtosis_before",
        "weight_sqnr_before",
    }
    for layer in (middle, last):
        assert layer["hadamard_order"] == 64
        assert layer["act_kurtosis_before"] == pytest.approx(1.5, abs=0.25)
        assert layer["act_kurtosis_after"] == pytest.approx(3.0, abs=0.5)
        # A sine fills its range, a bell shape does not.
        assert layer["act_sqnr_before"] > 48
        assert 36 < layer["act_sqnr_after"] < 44
        # W is uniform at the start, W H is bell-shaped.
        assert layer["weight_kurtosis_before"] == pytest.approx(1.8, abs=0.3)
        assert layer["weight_kurtosis_after"] > 2.3


def test_measurement_leaves_out_what_does_not_apply():
    model, codes, _ = quantized(scheme="stock")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = measure_layers(model, codes)
    assert not any(key.endswith("_after") for layer in layers for key in layer)
    assert "act_sqnr_before" in layers[1]
