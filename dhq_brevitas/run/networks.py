# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The networks of a run folder."""

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.planning.plan_file import read_plan
from dhq_brevitas.run.folder import FLOAT, LAYERS, QUANTIZED, Folder
from dhq_brevitas.run.stages.fit import FitOptions, inr_spec
from dhq_brevitas.signals.tasks import Problem
from dhq_brevitas.util.states import load_state

__all__ = ["load_float", "load_quantized", "make_quantized"]


def load_float(folder: Folder, fit: FitOptions, problem: Problem) -> Inr:
    """The fitted network, on the CPU."""
    model = Inr(inr_spec(fit, problem.axes, problem.channels))
    load_state(folder.file(FLOAT), model)
    return model.eval()


def make_quantized(network: Inr, spec: QuantSpec, problem: Problem) -> QuantInr:
    """The quantized network of a float one, with its weights; not calibrated yet."""
    return QuantInr.from_float(network, spec, problem.step, problem.bits, problem.inputs)


def load_quantized(folder: Folder, fit: FitOptions, problem: Problem) -> QuantInr:
    """The settled quantized network, on the CPU."""
    spec = QuantSpec(layers=read_plan(folder.file(LAYERS)))
    model = make_quantized(load_float(folder, fit, problem), spec, problem)
    load_state(folder.file(QUANTIZED), model)
    return model.eval()
