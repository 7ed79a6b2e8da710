# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import os
import signal

import pytest
import torch

from dhq_brevitas.inr import training
from dhq_brevitas.inr.train_step import TrainStep, adam, load_adam
from dhq_brevitas.inr.training import (
    Interrupted,
    TrainSpec,
    batch_indices,
    fit_float,
    tensor_psnr,
)
from dhq_brevitas.quantization.fine_tuning import freeze_quantized
from dhq_brevitas.quantization.post_training import post_train
from small_trainings import interrupt_at, quantized, same_state, small_siren

pytestmark = pytest.mark.filterwarnings("ignore:Named tensors")


def test_fit_reaches_the_picture(data):
    _, coordinates, target = data
    siren = small_siren()
    before = tensor_psnr(siren(coordinates), target)
    result = fit_float(siren, coordinates, target, TrainSpec(150), progress=False)
    assert before < 15
    assert result.psnr > 25
    assert result.psnr == pytest.approx(tensor_psnr(siren(coordinates), target))
    assert (result.step, result.resumed_from) == (150, 0)


def test_the_seed_decides(data):
    _, coordinates, target = data
    results = []
    for seed in (0, 0, 1):
        siren = small_siren()
        torch.rand(1)  # the global generator plays no part
        fit_float(siren, coordinates, target, TrainSpec(20, batch=64, seed=seed), progress=False)
        results.append(siren)
    assert same_state(results[0], results[1])
    assert not same_state(results[0], results[2])


def test_batches_cover_an_epoch_once():
    spec = TrainSpec(10, batch=30, seed=4)
    epoch = torch.cat([batch_indices(100, spec, step) for step in range(3)])
    assert epoch.unique().numel() == 90
    following = torch.cat([batch_indices(100, spec, step) for step in range(3, 6)])
    assert not torch.equal(epoch, following)
    assert batch_indices(30, spec, 0) is None


def test_learning_rate_falls_to_its_fraction():
    spec = TrainSpec(100, final_fraction=0.1)
    rates = [spec.rate_fraction(step) for step in range(101)]
    assert (rates[0], rates[-1]) == (1.0, pytest.approx(0.1))
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_fit_resumes_to_the_same_bits(data, tmp_path, monkeypatch, number):
    _, coordinates, target = data
    spec, checkpoint = TrainSpec(40, batch=50), tmp_path / "fit.pt"
    whole = small_siren()
    fit_float(whole, coordinates, target, spec, progress=False)
    parts = small_siren()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 17, number)
        with pytest.raises(Interrupted, match=r"interrupted at step 18 of 40.*fit\.pt"):
            fit_float(parts, coordinates, target, spec, checkpoint, "key", progress=False)
    parts = small_siren()
    result = fit_float(parts, coordinates, target, spec, checkpoint, "key", progress=False)
    assert result.resumed_from == 18
    assert same_state(parts, whole)
    assert os.listdir(tmp_path) == []


def test_periodic_checkpoint_survives_a_crash(data, tmp_path, monkeypatch):
    _, coordinates, target = data
    spec, checkpoint = TrainSpec(10, save_seconds=0), tmp_path / "fit.pt"
    whole = small_siren()
    fit_float(whole, coordinates, target, spec, progress=False)
    original = training.TrainingRun._one_step

    def crash(run, *args):
        if run.step == 6:
            raise MemoryError
        return original(run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingRun, "_one_step", crash)
        with pytest.raises(MemoryError):
            fit_float(small_siren(), coordinates, target, spec, checkpoint, progress=False)
    parts = small_siren()
    result = fit_float(parts, coordinates, target, spec, checkpoint, progress=False)
    assert result.resumed_from == 6
    assert same_state(parts, whole)


def test_checkpoint_of_something_else_is_not_used(data, tmp_path, monkeypatch):
    _, coordinates, target = data
    spec, checkpoint = TrainSpec(6), tmp_path / "fit.pt"
    interrupt_at(monkeypatch, 2)
    with pytest.raises(Interrupted):
        fit_float(small_siren(), coordinates, target, spec, checkpoint, "one", progress=False)
    monkeypatch.undo()
    result = fit_float(small_siren(), coordinates, target, spec, checkpoint, "two", progress=False)
    assert result.resumed_from == 0


def test_damaged_checkpoint_is_announced(data, tmp_path):
    _, coordinates, target = data
    checkpoint = tmp_path / "fit.pt"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.warns(UserWarning, match=r"fit\.pt is no checkpoint, or damaged"):
        fit_float(small_siren(), coordinates, target, TrainSpec(2), checkpoint, progress=False)


def test_signal_handlers_are_restored(data):
    _, coordinates, target = data
    before = signal.getsignal(signal.SIGINT)
    fit_float(small_siren(), coordinates, target, TrainSpec(1), progress=False)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps=-1 must be at least 0"),
        ({"steps": 1, "batch": 0}, "batch=0 must be at least 1"),
        ({"steps": 1, "learning_rate": 0.0}, "learning_rate=0.0 must be a positive number"),
    ],
)
def test_bad_training_options(options, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(**options)


def test_bad_data():
    with pytest.raises(ValueError, match=r"inputs \(3, 2\) and target \(4, 1\)"):
        fit_float(small_siren(), torch.zeros(3, 2), torch.zeros(4, 1), TrainSpec(1))


def test_adam_continues_what_another_kind_of_device_saved():
    weight = torch.nn.Parameter(torch.ones(3))
    (weight * torch.arange(3.0)).sum().backward()
    one = adam([{"params": [weight]}], 0.1)
    one.step()
    state = one.state_dict()
    # As on CUDA, where the count of steps and the rate are on the device.
    state["param_groups"][0] |= {"capturable": True, "fused": True, "lr": torch.tensor(0.1)}
    other = adam([{"params": [weight]}], 0.1)
    load_adam(other, state)
    assert other.param_groups[0]["capturable"] is False
    step = TrainStep(lambda x: x * weight, other, torch.ones(1, 3), torch.zeros(1, 3))
    before = weight.detach().clone()
    step(None, 0.01)
    assert torch.allclose(before - weight.detach(), torch.full((3,), 0.01), atol=5e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_steps_captured_on_cuda_give_the_bits_of_others(data, fitted, monkeypatch):
    codes, _, target = (tensor.cuda() for tensor in data)
    results = []
    for kind in (training.train_step, TrainStep):
        monkeypatch.setattr(training, "train_step", kind)
        model = quantized(fitted, data[0], rotation="after").cuda()
        fit_float(model, codes, target, TrainSpec(20, batch=64), progress=False)
        results.append(model)
    assert same_state(*results)


def test_divergence_is_an_error(data):
    _, coordinates, target = data
    siren = small_siren()
    with torch.no_grad():
        siren.linears[-1].bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="training diverged at step 20"):
        fit_float(siren, coordinates, target, TrainSpec(20), progress=False)


def test_a_training_that_collapses_with_a_finite_loss_is_said(data, monkeypatch):
    _, coordinates, target = data
    spec = TrainSpec(400, learning_rate=1e-3)
    fit_float(small_siren(), coordinates, target, spec, progress=False)  # without a warning
    rate = TrainSpec.rate_fraction
    leaping = lambda spec, step: rate(spec, step) if step < 380 else 300.0  # noqa: E731
    monkeypatch.setattr(TrainSpec, "rate_fraction", leaping)
    with pytest.warns(UserWarning, match=r"it was at \d\d\.\d\d dB .* rate than 0\.001$"):
        fit_float(small_siren(), coordinates, target, spec, progress=False)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled_training_resumes_to_the_same_bits(data, fitted, tmp_path, monkeypatch):
    """With the compiler's front end: its back end takes a minute to find the processor's kind."""
    codes, _, target = data
    compile_ = torch.compile
    monkeypatch.setattr(training, "COMPILED_WORK", 0)
    monkeypatch.setattr(torch, "compile", lambda f, **o: compile_(f, backend="aot_eager", **o))
    spec, checkpoint = TrainSpec(8, batch=50, learning_rate=1e-4), tmp_path / "qat.pt"

    def trained(interrupted=False):
        model = quantized(fitted, codes, scale="float")
        post = post_train(model, codes)
        arguments = (codes, target, spec, post, checkpoint)
        if interrupted:
            with monkeypatch.context() as patch:
                interrupt_at(patch, 4)
                with pytest.raises(Interrupted):
                    freeze_quantized(model, *arguments, progress=False)
            return None
        freeze_quantized(model, *arguments, progress=False)
        return model

    whole = trained()
    trained(interrupted=True)
    assert same_state(trained(), whole)
    monkeypatch.setattr(training, "COMPILED_WORK", float("inf"))
    assert same_state(trained(), whole)  # and eager
