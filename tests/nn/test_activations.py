# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import copy
import math

import numpy as np
import pytest
import torch
from brevitas.quant_tensor import IntQuantTensor
from hypothesis import given
from hypothesis import strategies as st

from dhq_brevitas.nn.activations import QuantCos, QuantLookupActivation, QuantSine

FUNCTIONS = [(QuantSine, np.sin), (QuantCos, np.cos)]


def table(function, phase_bits: int, bits: int) -> np.ndarray:
    """Integer table of the activation, from its definition, in float64."""
    angle = 2 * np.pi * (np.arange(2**phase_bits) + 0.5) / 2**phase_bits
    half = 2 ** (bits - 1)
    return np.clip(np.rint(function(angle) * half), -half, half - 1)


@pytest.mark.parametrize("activation", FUNCTIONS, ids=lambda a: a[0].__name__)
@pytest.mark.parametrize("phase_bits", [4, 7, 10, 16])
@pytest.mark.parametrize("bits", [2, 8, 12])
def test_every_phase_gives_its_table_entry(activation, phase_bits, bits):
    module = activation[0](phase_bits, period=1.0, bit_width=bits, return_quant_tensor=True).eval()
    codes = torch.arange(2**phase_bits, dtype=torch.float32)
    out = module((codes + 0.25) / 2**phase_bits)  # anywhere inside the bin
    assert isinstance(out, IntQuantTensor)
    assert out.scale == 2.0 ** -(bits - 1)
    np.testing.assert_array_equal(out.int().numpy(), table(activation[1], phase_bits, bits))


@given(turns=st.integers(-100, 100), phase=st.integers(0, 1023))
def test_phase_wraps_around(turns, phase):
    module = QuantSine(10, period=1.0).eval()
    t = torch.tensor(phase / 1024)
    assert module(t + turns) == module(t)


def test_period_in_radians_is_the_default():
    x = torch.linspace(-9, 9, 1001)
    module = QuantSine(16, bit_width=16).eval()
    # One phase bin is 2π/2^16 rad, one output step 2^-15; at ±1 the range ends one step early.
    assert (module(x) - torch.sin(x)).abs().max() < 2 * math.pi / 2**16 + 2**-15


@pytest.mark.parametrize("activation", FUNCTIONS, ids=lambda a: a[0].__name__)
def test_floor_and_bin_center_leave_no_bias(activation):
    module = activation[0](4, period=1.0, act_quant=None).eval()
    t = (torch.arange(4096) + 0.5) / 4096
    exact = torch.from_numpy(activation[1](2 * np.pi * t.numpy()))
    error = module(t) - exact
    assert error.mean().abs() < 1e-6
    # Mean square error of a phase error uniform in ±π/16 on a sine: (π/16)²/3/2.
    assert error.square().mean() == pytest.approx((np.pi / 16) ** 2 / 6, rel=0.02)


@pytest.mark.parametrize("activation", FUNCTIONS, ids=lambda a: a[0].__name__)
def test_gradient_is_the_derivative_at_the_bin_center(activation):
    module = activation[0](8, period=2.0).train()
    x = torch.linspace(-3, 3, 101, requires_grad=True)
    module(x).sum().backward()
    center = 2 * np.pi * (np.floor(x.detach().numpy() / 2 * 256) + 0.5) / 256
    derivative = np.cos(center) if activation[0] is QuantSine else -np.sin(center)
    expected = derivative * np.pi
    value = activation[1](center)
    inside = np.abs(value) < 0.99  # the output quantizer passes no gradient where it clips
    np.testing.assert_allclose(x.grad.numpy()[inside], expected[inside], rtol=1e-4, atol=1e-4)


def test_training_and_evaluation_agree():
    t = torch.rand(1000) * 20 - 10
    module = QuantSine(12, period=1.0)
    # float32 against float64 sine: one code at most, and rarely.
    difference = (module.train()(t) - module.eval()(t)).abs() * 128
    assert difference.max() <= 1
    assert difference.mean() < 1e-2


@pytest.mark.parametrize("phase_bits", [0, 3, 17, 33])
def test_phase_bits_out_of_range(phase_bits):
    with pytest.raises(ValueError, match=f"phase_bit_width={phase_bits} is out of range: use 4"):
        QuantSine(phase_bits)


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan"), float("inf")])
def test_period_that_is_not_positive(period):
    with pytest.raises(ValueError, match="must be a positive number"):
        QuantCos(period=period)


# -- any function ----------------------------------------------------------------------------------


def gaussian(x):
    return torch.exp(-(x**2))


def odd_cube(x):
    return 3 * x**3


def triangle(x):
    return 1 - 4 * (x / 3 - torch.floor(x / 3) - 0.5).abs()


LOOKUPS = {
    "gaussian": (gaussian, {"limit": 4.0}, (0, 1.0)),
    "larger than one": (odd_cube, {"limit": 1.5}, (-1, 16.0)),
    "relu": (torch.relu, {"limit": 2.0}, (0, 2.0)),
    "periodic": (triangle, {"period": 3.0}, (-1, 1.0)),
}


@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.parametrize("bits", [4, 9])
def test_every_bin_gives_its_table_entry(name, bits):
    fn, unit, (sign, peak) = LOOKUPS[name]
    module = QuantLookupActivation(
        fn, **unit, table_bit_width=bits, bit_width=6, return_quant_tensor=True
    ).eval()
    periodic = "period" in unit
    width = next(iter(unit.values())) / 2 ** (bits if periodic else bits - 1)
    codes = np.arange(2**bits) - (0 if periodic else 2 ** (bits - 1))
    out = module(torch.from_numpy((codes + 0.25) * width).float())
    step = peak / (2**5 if sign < 0 else 2**6)
    assert out.scale == step
    assert out.signed == (sign < 0)
    values = fn(torch.from_numpy((codes + 0.5) * width)).numpy().astype(np.float32)
    low, high = (-32, 31) if sign < 0 else (0, 63)
    np.testing.assert_array_equal(out.int().numpy(), np.clip(np.rint(values / step), low, high))


def test_range_is_clipped_and_period_wraps():
    clipped = QuantLookupActivation(odd_cube, limit=1.5, act_quant=None).eval()
    ends = clipped(torch.tensor([-1.5, 1.5 - 1e-4]))
    far = clipped(torch.tensor([-1e6, 1e6]))
    assert torch.equal(far, ends)
    wrapped = QuantLookupActivation(triangle, period=3.0, act_quant=None).eval()
    x = torch.tensor([0.75, 2.25, -0.75])
    assert torch.equal(wrapped(x + 3 * 64), wrapped(x))


@pytest.mark.parametrize("name", LOOKUPS)
def test_gradient_of_a_function(name):
    fn, unit, _ = LOOKUPS[name]
    module = QuantLookupActivation(fn, **unit, act_quant=None)
    # In turns of the limit, halfway between bins: off the kinks, and at no boundary.
    x = (torch.linspace(-0.9, 0.9, 41) * next(iter(unit.values()))).requires_grad_()
    gradients = []
    for training in (True, False):
        module.train(training)
        (gradient,) = torch.autograd.grad(module(x).sum(), x)
        gradients.append(gradient)
    assert torch.equal(*gradients)
    bins = 2**12 if "period" in unit else 2**11
    width = next(iter(unit.values())) / bins
    center = ((torch.floor(x.detach().double() / width) + 0.5) * width).requires_grad_()
    (expected,) = torch.autograd.grad(fn(center).sum(), center)
    torch.testing.assert_close(gradients[0], expected.float(), rtol=1e-3, atol=1e-3)


def test_gradients_in_evaluation_leave_the_value_alone():
    module = QuantLookupActivation(gaussian, limit=4.0, act_quant=None).eval()
    x = torch.linspace(-5, 5, 1001)
    assert torch.equal(module(x.clone().requires_grad_()).detach(), module(x))


def test_copies_and_double_precision_have_the_same_table():
    module = QuantLookupActivation(gaussian, limit=4.0, bit_width=12).eval()
    x = torch.linspace(-5, 5, 1001)
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    assert torch.equal(copy.deepcopy(module).double()(x.double()).float(), module(x))
    assert list(module.state_dict()) == []  # the table follows from the function


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (torch.log, {"limit": 1.0}, "fn=log is not finite at -0.999"),
        (lambda x: x.softmax(0), {"limit": 1.0}, "must act on each element by itself"),
        (lambda x: x.sum(), {"limit": 1.0}, "to a tensor of the same shape, element by element"),
        (torch.zeros_like, {"limit": 1.0}, "fn=zeros_like is zero everywhere"),
        (torch.sin, {"period": 6.0}, "fn=sin does not repeat with period=6 "),
        (torch.sin, {}, "period=None, limit=None: give one of them"),
        (torch.sin, {"period": 1.0, "limit": 2.0}, "give one of them"),
        (torch.tanh, {"limit": 0.0}, "limit=0.0 must be a positive number"),
        (torch.tanh, {"limit": math.inf}, "limit=inf must be a positive number"),
        (torch.tanh, {"limit": 1.0, "table_bit_width": 17}, "table_bit_width=17 is out of range"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_functions_that_have_no_table(fn, options, message):
    with pytest.raises(ValueError, match=message):
        QuantLookupActivation(fn, **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_widened_before_the_phase_is_taken(dtype):
    """As autocast hands them on: the codes are those of the same numbers in float32, exactly."""
    x = (torch.rand(500, generator=torch.Generator().manual_seed(0)) * 20 - 10).to(dtype)
    sine = QuantSine()
    for mode in (True, False):
        sine.train(mode)
        torch.testing.assert_close(sine(x), sine(x.float()), rtol=0, atol=0)


def test_module_of_short_floats_is_refused():
    with pytest.raises(TypeError, match=r"QuantSine was converted to torch\.bfloat16"):
        QuantSine().bfloat16()(torch.zeros(2))


def test_nan_stays_nan():
    x = torch.tensor([0.3, float("nan"), 2.0])
    out = QuantSine().eval()(x)
    assert out.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(out[::2], QuantSine().eval()(x[::2]), rtol=0, atol=0)


def test_address_bits_are_integers():
    with pytest.raises(TypeError, match=r"phase_bit_width=12\.5 must be an integer"):
        QuantSine(phase_bit_width=12.5)
