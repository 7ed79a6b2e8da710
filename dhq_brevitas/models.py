# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks of one's own: any module of Brevitas layers is analyzed, planned and quantized.

>>> import brevitas.nn as qnn
>>> import torch
>>> import dhq_brevitas as dhq
>>> model = torch.nn.Sequential(
...     qnn.QuantIdentity(act_quant=dhq.IntegerCodes, bit_width=7, return_quant_tensor=True),
...     qnn.QuantLinear(2, 16, bias=True),
...     dhq.QuantSine(period=1.0, return_quant_tensor=True),
...     qnn.QuantLinear(16, 1, bias=True),
... )
>>> inputs = torch.randint(-64, 64, (256, 2)).float()
>>> spec = dhq.QuantSpec(scheme="dhq", weight_bits=6, act_bits=6)
>>> quantized = dhq.quantize(model, inputs, spec, progress=False)
>>> quantized(inputs).shape
torch.Size([256, 1])
"""

import copy
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from brevitas.nn.mixin.base import QuantLayerMixin
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from torch import Tensor, nn

from dhq_brevitas.analysis.distributions import LayerAnalysis, analyze_layers
from dhq_brevitas.inr.layer_plan import MAX_BITS, LayerPlan
from dhq_brevitas.inr.layers import check_network, layers_of
from dhq_brevitas.inr.planned import shapes_of, with_plans
from dhq_brevitas.inr.quant_spec import EXTRA_SINE_BITS, QuantSpec, Scheme, plan_layers
from dhq_brevitas.inr.training import TrainSpec
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.limits import Hardware
from dhq_brevitas.planning.plan_file import read_plan
from dhq_brevitas.planning.search import Plan, make_plan
from dhq_brevitas.quantization.post_training import check_finite
from dhq_brevitas.quantization.recipe import (
    FINE_TUNING_BATCH,
    FINE_TUNING_STEPS,
    quantize_in_place,
)
from dhq_brevitas.quantization.supported import check_quantizers
from dhq_brevitas.tracing.build import Widths
from dhq_brevitas.tracing.calling import Inputs, tensors_of
from dhq_brevitas.tracing.capture import unwrapped
from dhq_brevitas.tracing.network import TracedNetwork
from dhq_brevitas.tracing.trace import trace
from dhq_brevitas.util.device import resolve_device
from dhq_brevitas.util.errors import ArgumentError

__all__ = ["analyze", "plan", "quantize"]

# A twentieth of the rate at which a SIREN is fitted.
LEARNING_RATE = 1e-4

SpecOrPlan = QuantSpec | Plan | Sequence[LayerPlan] | str | os.PathLike[str]


def quantize(
    model: nn.Module,
    inputs: Inputs,
    spec: SpecOrPlan | None = None,
    *,
    target: Any = None,
    steps: int = FINE_TUNING_STEPS,
    learning_rate: float = LEARNING_RATE,
    batch: int = FINE_TUNING_BATCH,
    seed: int = 0,
    progress: bool = True,
    device: str = "cpu",
) -> nn.Module:
    """Calibrates, rounds, fine-tunes and settles a copy of ``model``.

    Args:
        model: a float module, which is traced and rebuilt from Brevitas layers
            (:mod:`dhq_brevitas.tracing`); or one of Brevitas layers that runs on ``inputs``, whose
            weights are taken to be those of the float network, not rounded yet.
        inputs: calibration samples, float32 [N, …]; for a float module as it takes them, a tuple of
            tensors for one of several inputs, or a dictionary: of keyword arguments, or else the
            module's one argument.
        spec: how: None: as the quantizers of ``model`` say, or for a float module 8 bits; a
            :class:`QuantSpec`; a plan, as :func:`plan` gives it, its layers, or its file; "auto":
            :func:`plan` first.
        target: outputs wanted, float32 [N, m] or for a float module of the structure of its
            outputs, for which ``steps`` steps of fine-tuning at ``learning_rate`` are taken, each
            on ``batch`` samples; None: no fine-tuning.
        device: "cpu", "cuda", or "auto": CUDA where it is. The result is on the CPU.

    Returns the quantized network, in evaluation mode, called as ``model`` is: ``export_qonnx``
    takes it. Raises ValueError for samples and weights that are not finite, for a plan that does
    not fit, and for a module that hardware has no layers for, naming it and what to do.

    >>> quantized = quantize(model, inputs, QuantSpec(weight_bits=6, rotation="after"))
    >>> quantized(inputs).shape
    torch.Size([256, 1])
    >>> float_module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.GELU())
    >>> quantize(float_module, torch.rand(64, 2)).eval()(torch.rand(5, 2)).shape
    torch.Size([5, 8])
    """
    on = resolve_device(device)
    training = None if target is None else TrainSpec(steps, batch, learning_rate, seed=seed)
    network, rows = _network(model, inputs, spec, on)
    check_finite(network)
    if target is not None and isinstance(network, TracedNetwork):
        target = network.flat_target(target, tensors_of(inputs))
    goal = None if target is None else target.to(on)
    with _flat(network):
        plans = _chosen_plans(network, rows, spec, progress)
        if plans is not None:
            network = with_plans(network, plans, rows).to(on)
        quantize_in_place(network, rows, goal, training, progress=progress)
    if isinstance(network, TracedNetwork):
        network.unflatten()
    return network.cpu()


def _chosen_plans(
    network: nn.Module, rows: Tensor, spec: SpecOrPlan | None, progress: bool
) -> Sequence[LayerPlan] | None:
    """What becomes of each layer; None: as its quantizers say."""
    if spec == "auto":
        spec = make_plan(network, rows, progress=progress)
    elif spec is None and isinstance(network, TracedNetwork):
        spec = _default_spec(network, rows)
    return None if spec is None else _layer_plans(network, rows, spec)


def _network(
    model: nn.Module, inputs: Inputs, spec: SpecOrPlan | None, on: torch.device
) -> tuple[nn.Module, Tensor]:
    """A network of Brevitas layers on a device, and its inputs [N, …] there."""
    model = unwrapped(model)
    if any(isinstance(m, QuantLayerMixin | QuantProxyFromInjector) for m in model.modules()):
        samples = check_network(model, inputs)
        check_quantizers(model)
        return copy.deepcopy(model).to(on), samples.to(on)
    network = trace(model, inputs, _widths(spec)).to(on)
    rows = network.flat_inputs([x.to(on) for x in tensors_of(inputs)])
    joints = None if spec is None or spec == "auto" else _planned_joints(network, rows, spec)
    if joints is not None:
        network = trace(model, inputs, replace(_widths(spec), joints=joints)).to(on)
    check_network(network, rows)
    return network, rows


def _planned_joints(network: TracedNetwork, rows: Tensor, spec: SpecOrPlan) -> int | None:
    """Width of concatenations and the like that a plan was made for, where it is another."""
    if isinstance(spec, QuantSpec):
        return None
    with network.flat():
        shapes = shapes_of(layers_of(network, rows[:1]))
        plans = {plan.name: plan for plan in _layer_plans(network, rows, spec)}
    for shape in shapes:
        plan = plans.get(shape.name)
        if plan is None or shape.of_inputs or plan.rotation == Side.INPUT:
            continue
        if shape.given_bits not in (None, plan.act_bits):
            return plan.act_bits
    return None


def _flat(network: nn.Module) -> AbstractContextManager[None]:
    return network.flat() if isinstance(network, TracedNetwork) else nullcontext()


def _widths(spec: SpecOrPlan | None) -> Widths:
    """Bits of what no plan decides."""
    if not isinstance(spec, QuantSpec):
        return Widths()
    again = spec.scheme == Scheme.DHQ and spec.rotation == Side.INPUT
    joints = min(spec.act_bits + (EXTRA_SINE_BITS if again else 0), MAX_BITS)
    return Widths(joints, max(Widths.outputs, spec.act_bits), scale=spec.scale)


def _default_spec(network: nn.Module, rows: Tensor) -> QuantSpec:
    """8 bits; rotated where a layer can be."""
    try:
        _layer_plans(network, rows, QuantSpec())
    except ArgumentError:
        return QuantSpec(Scheme.STOCK)
    return QuantSpec()


def _layer_plans(model: nn.Module, inputs: Tensor, spec: SpecOrPlan) -> Sequence[LayerPlan]:
    if isinstance(spec, QuantSpec):
        return plan_layers(shapes_of(layers_of(model, inputs[:1])), spec)
    if isinstance(spec, Plan):
        return spec.layers
    if isinstance(spec, str | os.PathLike):
        return read_plan(spec)
    return list(spec)


def plan(
    model: nn.Module,
    inputs: Inputs,
    base: QuantSpec | None = None,
    *,
    budget: Budget | None = None,
    hardware: Hardware | None = None,
    progress: bool = True,
    device: str = "cpu",
) -> Plan:
    """Rotation and bits of every layer; see :func:`dhq_brevitas.planning.search.make_plan`.

    ``base`` gives the kind of scales, and with its weight and activation bits the budget. Limits of
    ``hardware`` are for the whole network, with what joins its branches.

    >>> chosen = plan(model, inputs, QuantSpec(weight_bits=4), progress=False)
    >>> sum(layer.weights * layer.weight_bits for layer in chosen.layers) <= 32 * 12 + 16 * 4
    True
    >>> quantized = quantize(model, inputs, chosen)
    """
    network, rows = _network(model, inputs, base, resolve_device(device))
    with _flat(network):
        return make_plan(network, rows, base, budget, progress, hardware=hardware)


def analyze(
    model: nn.Module, inputs: Tensor, weight_bits: int = 8, act_bits: int = 8, device: str = "cpu"
) -> list[LayerAnalysis]:
    """Distributions of every linear layer's weight and input, and what rotations make of them.

    ``model`` may be float or of Brevitas layers; see
    :func:`dhq_brevitas.analysis.distributions.analyze_layers`.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> [layer.name for layer in analyze(model, torch.randn(64, 2))]
    ['0', '2']
    """
    on = resolve_device(device)
    check_network(model, inputs)
    return analyze_layers(copy.deepcopy(model).to(on), inputs.to(on), weight_bits, act_bits)
