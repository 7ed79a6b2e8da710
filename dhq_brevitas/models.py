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

from torch import Tensor, nn

from dhq_brevitas.analysis.distributions import LayerAnalysis, analyze_layers
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layers import layers_of
from dhq_brevitas.inr.planned import shapes_of, with_plans
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.training import TrainSpec
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.limits import Hardware
from dhq_brevitas.planning.plan_file import read_plan
from dhq_brevitas.planning.search import Plan, make_plan
from dhq_brevitas.quantization.recipe import (
    FINE_TUNING_BATCH,
    FINE_TUNING_STEPS,
    quantize_in_place,
)
from dhq_brevitas.util.device import resolve_device

__all__ = ["analyze", "plan", "quantize"]

# A twentieth of the rate at which a SIREN is fitted.
LEARNING_RATE = 1e-4

SpecOrPlan = QuantSpec | Plan | Sequence[LayerPlan] | str | os.PathLike[str]


def quantize(
    model: nn.Module,
    inputs: Tensor,
    spec: SpecOrPlan | None = None,
    *,
    target: Tensor | None = None,
    steps: int = FINE_TUNING_STEPS,
    learning_rate: float = LEARNING_RATE,
    batch: int = FINE_TUNING_BATCH,
    seed: int = 0,
    progress: bool = True,
    device: str = "cpu",
) -> nn.Module:
    """Calibrates, rounds, fine-tunes and settles a copy of ``model``.

    Args:
        model: any module of Brevitas layers that runs on ``inputs``. Its weights are taken to be
            those of the float network, not rounded yet.
        inputs: calibration samples, float32 [N, …].
        spec: how: None: as the quantizers of ``model`` say; a :class:`QuantSpec`; a plan, as
            :func:`plan` gives it, its layers, or its file; "auto": :func:`plan` first.
        target: outputs wanted, float32 [N, m], for which ``steps`` steps of fine-tuning at
            ``learning_rate`` are taken, each on ``batch`` samples; None: no fine-tuning.
        device: "cpu", "cuda", or "auto": CUDA where it is. The result is on the CPU.

    Returns the quantized network, in evaluation mode: ``export_qonnx`` takes it. Raises ValueError
    for samples and weights that are not finite, for a layer that is called twice, and for a plan
    that does not fit, naming the layer.

    >>> quantized = quantize(model, inputs, QuantSpec(weight_bits=6, rotation="after"))
    >>> quantized(inputs).shape
    torch.Size([256, 1])
    """
    on = resolve_device(device)
    training = None if target is None else TrainSpec(steps, batch, learning_rate, seed=seed)
    model = copy.deepcopy(model).to(on)
    inputs = inputs.to(on)
    if spec == "auto":
        spec = make_plan(model, inputs, progress=progress)
    if spec is not None:
        model = with_plans(model, _layer_plans(model, inputs, spec), inputs).to(on)
    goal = None if target is None else target.to(on)
    quantize_in_place(model, inputs, goal, training, progress=progress)
    return model.cpu()


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
    inputs: Tensor,
    base: QuantSpec | None = None,
    *,
    budget: Budget | None = None,
    hardware: Hardware | None = None,
    progress: bool = True,
    device: str = "cpu",
) -> Plan:
    """Rotation and bits of every layer; see :func:`dhq_brevitas.planning.search.make_plan`.

    ``base`` gives the kind of scales, and with its weight and activation bits the budget.

    >>> chosen = plan(model, inputs, QuantSpec(weight_bits=4), progress=False)
    >>> sum(layer.weights * layer.weight_bits for layer in chosen.layers) <= 32 * 12 + 16 * 4
    True
    >>> quantized = quantize(model, inputs, chosen)
    """
    on = resolve_device(device)
    return make_plan(
        copy.deepcopy(model).to(on), inputs.to(on), base, budget, progress, hardware=hardware
    )


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
    return analyze_layers(copy.deepcopy(model).to(on), inputs.to(on), weight_bits, act_bits)
