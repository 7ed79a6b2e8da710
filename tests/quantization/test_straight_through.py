# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Straight-through training: what it learns at which rate, and what is left at the end."""

import math

import pytest
import torch

from dhq_brevitas.inr.layers import fold_of
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, tensor_psnr
from dhq_brevitas.nn.scales import learned_scales, odd_mantissa, step_of
from dhq_brevitas.quantization.post_training import post_train
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import (
    straight_through_groups,
    train_straight_through,
)

STEP = 2 / 16
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))
TARGET = torch.sin(3 * CODES[:, :1] * STEP) * torch.cos(2 * CODES[:, 1:] * STEP)


def rounded(**quant):
    inr = Inr(InrSpec(hidden=16, layers=2, out_features=1, parameters={"omega": 6.0}), seed=1)
    model = QuantInr.from_float(inr, QuantSpec(**{"weight_bits": 4, **quant}), STEP, 4)
    return model, post_train(model, CODES)


def psnr(model):
    with torch.no_grad():
        return tensor_psnr(model.eval()(CODES), TARGET)


@pytest.mark.parametrize("scale", ["po2", "dyadic", "float"])
@pytest.mark.parametrize("rotation", ["none", "input", "after", "output"])
def test_training_improves_and_settling_changes_nothing(rotation, scale):
    sides = ("none", rotation, "none")
    model, post = rounded(rotation=sides, scale=scale, signs_seed=3)
    before, names = psnr(model), set(model.state_dict())
    spec = TrainSpec(80, batch=128, learning_rate=2e-3)
    trained = train_straight_through(model, CODES, TARGET, spec, post, progress=False)
    assert trained.step == 80
    assert trained.psnr == psnr(model) > before + 1
    assert set(model.state_dict()) == names
    outputs = model(CODES)
    settle(model, CODES)
    assert torch.equal(model(CODES), outputs)


def test_float_scales_are_learned_then_settled():
    model, post = rounded(scale="float")
    start = [step_of(q).detach().clone() for q in learned_scales(model)]
    spec = TrainSpec(80, batch=128, learning_rate=2e-3)
    trained = train_straight_through(model, CODES, TARGET, spec, post, progress=False)
    assert trained.step == 80
    steps = [step_of(q).detach() for q in learned_scales(model)]
    assert all(not torch.equal(a, b) for a, b in zip(start, steps, strict=True))
    for step in steps:
        mantissa = torch.frexp(step.double())[0]
        code = mantissa * 512  # of 9 bits where the odd one of 8 rounds up to a power of two
        torch.testing.assert_close(code, torch.round(code), atol=1e-4, rtol=0)
        assert bool((odd_mantissa(step, 8) >= step).all())


def test_a_threshold_moves_as_fast_as_a_weight_and_an_input_s_relatively():
    model, _ = rounded(scale="float", rotation="input")
    linear = model.linears[1]
    groups = straight_through_groups(model.linears)
    factors = {id(group["params"][0]): group["factor"] for group in groups}
    thresholds = [
        next(learned_scales(proxy)).scaling_impl.value
        for proxy in (linear.weight_quant, linear.input_quant)
    ]
    weight, act = (float(value.detach().mean()) for value in thresholds)
    assert factors[id(linear.weight)] == fold_of(linear).weight
    assert factors[id(thresholds[0])] == pytest.approx(fold_of(linear).weight, rel=1e-5)
    assert factors[id(thresholds[1])] / act == pytest.approx(fold_of(linear).weight / weight)
    assert sum(group["of_scales"] for group in groups) == len(list(learned_scales(model)))


def test_training_that_makes_it_worse_is_taken_back():
    model, post = rounded()
    with torch.no_grad():
        outputs = model.eval()(CODES)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    spec = TrainSpec(4, learning_rate=0.1)
    trained = train_straight_through(model, CODES, outputs, spec, post, progress=False)
    assert (trained.step, trained.psnr) == (0, math.inf)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_no_steps_keep_what_was_there():
    model, post = rounded()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = train_straight_through(model, CODES, TARGET, TrainSpec(0), post, progress=False)
    assert trained.step == 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
