# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The networks of a run folder."""

from dataclasses import replace
from typing import Any

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.planning.plan_file import layers_to_json, read_plan
from dhq_brevitas.quantization.narrowing import kept_neurons, narrowed
from dhq_brevitas.run.folder import FLOAT, LAYERS, QUANTIZED, Folder
from dhq_brevitas.run.stages.fit import FitOptions, inr_spec
from dhq_brevitas.signals.tasks import Problem
from dhq_brevitas.util.files import read_json, write_json
from dhq_brevitas.util.states import load_state, save_state

__all__ = ["load_float", "load_quantized", "make_narrowed", "make_quantized", "save_quantized"]

# What a quantized network is made of beside the plan and what the fit's options say.
NETWORK = ("limits", "coordinate_step", "coordinate_bits")


def load_float(folder: Folder, fit: FitOptions, problem: Problem) -> Inr:
    """The fitted network, on the CPU; ValueError where only a quantized one was unpacked."""
    if not problem.reference:
        raise ValueError(
            f"{folder.path} was unpacked from a file, which holds neither the float network nor "
            "the signal: fit one with dhq fit in another folder"
        )
    model = Inr(inr_spec(fit, problem.axes, problem.channels))
    load_state(folder.file(FLOAT), model)
    return model.eval()


def make_narrowed(network: Inr, first_hidden: int | None, problem: Problem) -> Inr:
    """The network with so many neurons in its first hidden layer; itself with all, or None."""
    if first_hidden in (None, network.spec.hidden):
        return network
    return narrowed(network, problem.fit_inputs * problem.step, first_hidden)


def make_quantized(network: Inr, spec: QuantSpec, problem: Problem) -> QuantInr:
    """The quantized network of a float one, with its weights; not calibrated yet."""
    return QuantInr.from_float(network, spec, problem.step, problem.bits, problem.inputs)


def load_quantized(folder: Folder, fit: FitOptions, problem: Problem) -> QuantInr:
    """The settled quantized network, on the CPU."""
    plans, known = read_plan(folder.file(LAYERS)), read_json(folder.file(LAYERS)).get("network")
    if not isinstance(known, dict) or set(known) != set(NETWORK):
        raise ValueError(
            f"{folder.path} is of an earlier version of dhq: run dhq quantize again, or dhq run"
        )
    spec = inr_spec(fit, problem.axes, problem.channels)
    spec = replace(spec, first_hidden=kept_neurons(spec, plans))
    model = QuantInr(spec, QuantSpec(layers=plans), **known)
    load_state(folder.file(QUANTIZED), model)
    return model.eval()


def save_quantized(folder: Folder, model: QuantInr, **others: Any) -> list[str]:
    """Writes quant.pt, and layers.json with ``others`` in it; their names."""
    save_state(folder.file(QUANTIZED), model)
    known = {name: getattr(model, name) for name in NETWORK}
    values = {"layers": layers_to_json(model.plans), "network": known, **others}
    write_json(folder.file(LAYERS), values)
    return [QUANTIZED, LAYERS]
