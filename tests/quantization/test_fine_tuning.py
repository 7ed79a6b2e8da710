# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Fine-tuning by gradual freezing: what is frozen when, and what is left at the end."""

import math

import numpy as np
import pytest
import torch

from dhq_brevitas.inr import training
from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, tensor_psnr
from dhq_brevitas.planning.limits import Hardware, Limits, Resources
from dhq_brevitas.quantization.fine_tuning import (
    _due,
    _Freezer,
    fine_tuning_rate,
    freeze_quantized,
    windows,
)
from dhq_brevitas.quantization.post_training import code_grid, post_train

STEP = 2 / 16
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))
TARGET = torch.sin(3 * CODES[:, :1] * STEP) * torch.cos(2 * CODES[:, 1:] * STEP)


def rounded(**quant):
    inr = Inr(InrSpec(hidden=16, layers=2, out_features=1, parameters={"omega": 6.0}), seed=1)
    model = QuantInr.from_float(inr, QuantSpec(weight_bits=4, **quant), STEP, 4)
    return model, post_train(model, CODES)


def psnr(model):
    with torch.no_grad():
        return tensor_psnr(model.eval()(CODES), TARGET)


def test_layers_are_frozen_one_after_the_other():
    assert windows(2) == [(0.4, 0.4), (0.4, 0.97)]
    assert windows(4) == [(0.4, 0.4), (0.4, 0.625), (0.625, 0.85), (0.85, 0.97)]
    assert [_due(64, (0.4, 0.8), share) for share in (0, 0.4, 0.5, 0.79, 0.8)] == [0, 0, 16, 60, 64]


@pytest.mark.parametrize("rotation", ["none", "input", "output"])
def test_training_improves_and_leaves_quantized_weights(rotation):
    sides = ("none", rotation, "none")
    model, post = rounded(rotation=sides, scale="float", signs_seed=3)
    before, names = psnr(model), set(model.state_dict())
    spec = TrainSpec(60, batch=128, learning_rate=1e-3)
    trained = freeze_quantized(model, CODES, TARGET, spec, post, progress=False)
    assert trained.step == 60
    assert trained.psnr == psnr(model) > before + 1
    assert set(model.state_dict()) == names
    # Of scales no gradients are computed, nor of weights that were frozen before the last step.
    assert all(p.requires_grad for p in model.parameters())
    with_gradient = {n for n, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {n for n in names if n.endswith(".bias")} | {"linear2.weight"}
    assert all(name not in dict(model.linears[1].named_buffers()) for name in ("frozen", "held"))
    layer = model.linears[1]
    if rotation != "output":
        weight = layer.weight
        if rotation == "input":
            weight = layer.weight_quant.rotate_weight(weight)
        assert torch.allclose(layer.quant_weight().value, weight, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled_it_freezes_the_same(monkeypatch):
    """With the compiler's front end, whose back end takes a minute to find the processor's kind."""
    compile_, states, calls = torch.compile, [], []

    def front_end(form, **options):
        calls.append(form)
        return compile_(form, backend="aot_eager", **options)

    monkeypatch.setattr(torch, "compile", front_end)
    for work in (0, math.inf):
        monkeypatch.setattr(training, "COMPILED_WORK", work)
        model, post = rounded(rotation="input", scale="float")
        spec = TrainSpec(60, batch=128, learning_rate=1e-3)
        assert freeze_quantized(model, CODES, TARGET, spec, post, progress=False).step == 60
        states.append(model.state_dict())
    assert len(calls) == 1
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_weights_keep_to_the_codes_that_they_may_take():
    model, post = rounded(rotation=("none", "after", "none"), scale="float", signs_seed=3)
    found = [torch.from_numpy(layer.weight) for layer in layer_codes(model, CODES)]
    bounds = [(codes - 1, codes) for codes in found]
    spec = TrainSpec(60, batch=128, learning_rate=1e-3)
    assert freeze_quantized(model, CODES, TARGET, spec, post, progress=False, bounds=bounds).step
    for layer, codes in zip(layer_codes(model, CODES), found, strict=True):
        assert np.unique(layer.weight - codes.numpy()).tolist() == [-1, 0]


@pytest.mark.parametrize("kept", [True, False])
def test_free_weights_stay_where_their_codes_reach(monkeypatch, kept):
    """A rate that takes many out of it; without the limit some are."""
    model, post = rounded(rotation="input", scale="float", signs_seed=3)
    layer = model.linears[1]
    step, low, high = code_grid(layer.weight_quant.tensor_quant, layer.weight.detach())
    outside = []

    def beyond(freezer):
        if kept:
            restore(freezer)
        codes = layer.weight_quant.rotate_weight(layer.weight.detach()) / step
        outside.append(int(((codes < low - 0.501) | (codes > high + 0.501)).sum()))

    restore = _Freezer.restore
    monkeypatch.setattr(_Freezer, "restore", beyond)
    spec = TrainSpec(10, batch=128, learning_rate=3e-2)
    freeze_quantized(model, CODES, TARGET, spec, post, progress=False)
    assert (sum(outside) == 0) is kept
    assert len(outside) == 10


@pytest.mark.parametrize(
    ("bits", "steps", "share"),
    [(8, 500, 0.05), (8, 0, 0.05), (8, 2000, 0.1), (4, 500, 0.2), (4, 3000, 0.4), (2, 500, 0.4)],
)
def test_the_rate_follows_bits_and_steps(bits, steps, share):
    assert fine_tuning_rate(2.0, QuantSpec(weight_bits=bits), steps) == pytest.approx(2 * share)


def test_no_steps_keep_what_was_there():
    model, post = rounded()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = freeze_quantized(model, CODES, TARGET, TrainSpec(0), post, progress=False)
    assert trained.step == 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_training_that_makes_it_worse_is_taken_back():
    model, post = rounded()
    with torch.no_grad():
        outputs = model.eval()(CODES)  # nothing comes closer to that than the network as it is
    before = {name: value.clone() for name, value in model.state_dict().items()}
    spec = TrainSpec(4, learning_rate=0.1)
    trained = freeze_quantized(model, CODES, outputs, spec, post, progress=False)
    assert (trained.step, trained.psnr) == (0, math.inf)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("limit", "kept"), [(0, False), (10**6, True)])
def test_training_that_exceeds_limits_on_hardware_is_taken_back(limit, kept):
    model, post = rounded()
    before = [layer.weight for layer in layer_codes(model, CODES)]
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def changed_codes(layers):
        pairs = zip(layers, before, strict=True)
        return [Resources(lut=int((layer.weight != old).sum())) for layer, old in pairs]

    hardware = Hardware(Limits(lut=limit), changed_codes)
    assert hardware.exceeded(model, CODES) == ""
    spec = TrainSpec(60, batch=128, learning_rate=1e-3)
    found = []

    def allowed():
        found.append(hardware.exceeded(model, CODES))
        return not found[-1]

    trained = freeze_quantized(model, CODES, TARGET, spec, post, progress=False, allowed=allowed)
    same = [torch.equal(start[name], value) for name, value in model.state_dict().items()]
    assert trained.step == (60 if kept else 0)
    assert trained.psnr == psnr(model)
    assert all(same) != kept
    assert len(found) == 1
    assert found[0] == "" if kept else found[0].endswith("lut, not 0")
