# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What tests of trainings share: a network of moments, an interruption, a comparison."""

import os
import signal

import torch

from dhq_brevitas.inr import training
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step

SIZE = 16


def small_siren():
    return Inr(InrSpec(hidden=16, layers=2))


def uncalibrated(siren, **quant):
    return QuantInr.from_float(
        siren, QuantSpec(**quant), grid_step((SIZE, SIZE)), code_bits(grid_codes((SIZE, SIZE)))
    )


def quantized(siren, codes, **quant):
    model = uncalibrated(siren, **quant)
    calibrate(model, codes)
    return model


def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Sends a signal in the middle of a step, as Ctrl-C does."""
    original = training.TrainingRun._one_step

    def one_step(run, *args):
        if run.step == step:
            os.kill(os.getpid(), number)
        return original(run, *args)

    monkeypatch.setattr(training.TrainingRun, "_one_step", one_step)


def same_state(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
