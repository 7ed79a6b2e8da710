# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Straight-through fine-tuning."""

import copy

import pytest
import torch

from dhq_brevitas.inr import training
from dhq_brevitas.inr.training import (
    Interrupted,
    TrainSpec,
    evaluated_psnr,
    tensor_psnr,
)
from dhq_brevitas.nn.scales import LEARNED
from dhq_brevitas.quantization import recipe
from dhq_brevitas.quantization.post_training import post_train
from dhq_brevitas.quantization.straight_through import (
    quantized_groups,
    straight_through,
    train_quantized,
)
from small_trainings import interrupt_at, quantized, same_state, uncalibrated

pytestmark = pytest.mark.filterwarnings("ignore:Named tensors")


@pytest.mark.parametrize("scale", ["po2", "float"])
def test_interrupted_fine_tuning_resumes_to_the_same_bits(
    data, fitted, tmp_path, monkeypatch, scale
):
    codes, _, target = data
    spec, checkpoint = TrainSpec(12, learning_rate=1e-4, evaluate_every=4), tmp_path / "qat.pt"
    options = {"scale": scale, "weight_bits": 4}
    whole = quantized(fitted, codes, **options)
    expected = train_quantized(whole, codes, target, spec, progress=False)
    parts = quantized(fitted, codes, **options)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 6)
        with pytest.raises(Interrupted, match="step 7 of 12"):
            train_quantized(parts, codes, target, spec, checkpoint, progress=False)
    parts = quantized(fitted, codes, **options)
    result = train_quantized(parts, codes, target, spec, checkpoint, progress=False)
    assert same_state(parts, whole)
    assert (result.psnr, result.step) == (expected.psnr, expected.step)


@pytest.mark.parametrize(
    ("scheme", "scale"), [("stock", "float"), ("dhq", "po2"), ("dhq", "dyadic")]
)
def test_fine_tuning_improves_coarse_weights(data, fitted, scheme, scale):
    codes, _, target = data
    model = quantized(fitted, codes, scheme=scheme, scale=scale, weight_bits=3)
    with torch.no_grad():
        before = tensor_psnr(model.eval()(codes), target)
    spec = TrainSpec(40, learning_rate=1e-4, evaluate_every=10)
    result = train_quantized(model, codes, target, spec, progress=False)
    assert result.psnr > before + 0.2
    with torch.no_grad():
        assert tensor_psnr(model(codes), target) == result.psnr  # the best weights are loaded
    assert not model.training


def test_fine_tuning_never_makes_it_worse(data, fitted):
    codes, _, target = data
    model = quantized(fitted, codes)
    with torch.no_grad():
        before = tensor_psnr(model.eval()(codes), target)
    spec = TrainSpec(4, learning_rate=0.5, evaluate_every=2)  # ruins the weights
    result = train_quantized(model, codes, target, spec, progress=False)
    assert (result.step, result.psnr) == (0, before)
    with torch.no_grad():
        assert tensor_psnr(model(codes), target) == before


def test_no_steps_leave_the_network_alone(data, fitted):
    codes, _, target = data
    model, same = quantized(fitted, codes), quantized(fitted, codes)
    train_quantized(model, codes, target, TrainSpec(0), progress=False)
    assert same_state(model, same)


def test_power_of_two_scales_stay(data, fitted):
    codes, _, target = data
    for scale, learned in (("po2", False), ("dyadic", True), ("float", True)):
        model = quantized(fitted, codes, scale=scale, weight_bits=4)
        before = [m.value.clone() for m in model.modules() if isinstance(m, LEARNED)]
        run = training.TrainingRun(
            model, lambda m=model: quantized_groups(m, codes), TrainSpec(1), None, ""
        )
        model.train()
        run._one_step(codes, target)
        after = [m.value for m in model.modules() if isinstance(m, LEARNED)]
        changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert changed == [learned] * len(before)


@pytest.mark.parametrize(("bits", "way"), [(2, "straight_through"), (4, "freeze_quantized")])
def test_few_bits_are_trained_straight_through(data, fitted, monkeypatch, bits, way):
    codes, _, target = data
    called = []
    originals = {name: getattr(recipe, name) for name in ("straight_through", "freeze_quantized")}
    for name in originals:

        def noted(*arguments, name=name, original=originals[name], **options):
            called.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(recipe, name, noted)
    model = uncalibrated(fitted, weight_bits=bits, first_weight_bits=bits, scale="float")
    rounded = []
    result = recipe.quantize_in_place(
        model,
        codes,
        target,
        TrainSpec(40, learning_rate=1e-3, evaluate_every=20),
        progress=False,
        after_rounding=lambda post: rounded.append(evaluated_psnr(model, codes, target, None)),
    )
    assert called == [way]
    assert result.step > 0
    assert result.psnr > rounded[0]
    # Settled scales have mantissas of 8 bits, so that the network is not quite the trained one.
    assert evaluated_psnr(model, codes, target, None) == pytest.approx(result.psnr, abs=0.1)


def with_two_bits(fitted, codes):
    """A network of two bit weights after rounding, what that returned, and a copy of it."""
    model = uncalibrated(fitted, weight_bits=2)
    post = post_train(model, codes)
    return model, post, copy.deepcopy(model)


def test_a_network_that_is_not_allowed_stays_as_it_was(data, fitted):
    codes, _, target = data
    model, post, before = with_two_bits(fitted, codes)
    result = straight_through(
        model, codes, target, TrainSpec(4), post, progress=False, allowed=lambda: False
    )
    assert result.step == 0
    assert same_state(model, before)


def test_data_that_do_not_fit_change_nothing(data, fitted):
    codes, _, target = data
    model, post, before = with_two_bits(fitted, codes)
    with pytest.raises(ValueError, match=r"inputs \(256, 2\) and target \(255, 3\)"):
        straight_through(model, codes, target[1:], TrainSpec(4), post, progress=False)
    assert same_state(model, before)
