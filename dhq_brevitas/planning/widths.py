# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Chooses how many neurons of the first hidden layer to keep, by what a plan of each width reaches.

Fewer neurons (:mod:`dhq_brevitas.quantization.narrowing`) leave more of the same bits to each
weight and each input, and lose what the others cannot replace. The error of a width is the sum of
two mean squares at the output, on the same samples:

    narrowing:     the narrowed float network against the whole one,
    quantization:  its plan, quantized in earnest, against the narrowed float network.

Every width is planned with few trials, and the one of least error once more with all. A width whose
narrowing alone loses more than another does in all is not planned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.inr.layer_plan import MAX_BITS, LayerPlan, weight_bits
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.planning.alternatives import MULTIPLIED_BITS, Budget
from dhq_brevitas.planning.limits import Hardware
from dhq_brevitas.planning.search import (
    MAX_TRIALS,
    TRIAL_SAMPLES,
    Plan,
    decibels,
    make_plan,
)
from dhq_brevitas.quantization.post_training import drawn
from dhq_brevitas.util.tables import text_table

__all__ = ["Width", "WidthChoice", "candidate_widths", "plan_widths", "same_bits"]

#: Neurons that are kept, in 32nds; rounded up to a multiple, which leaves blocks for rotations.
KEPT, MULTIPLE = (26, 21), 8
#: Trials that decide between widths: the integer program's plans.
SCOUTED = 4
WORSE = "not planned: narrowing alone loses more than another width in all"


@dataclass(frozen=True)
class Width:
    """What so many neurons in the first hidden layer lose; see the module docstring.

    ``quantization``: None where it was not planned, and ``reason`` says why.
    """

    neurons: int
    narrowing: float
    quantization: float | None = None
    reason: str = ""

    @property
    def error(self) -> float:
        """All of it; infinite where that is not known."""
        return math.inf if self.quantization is None else self.narrowing + self.quantization


@dataclass(frozen=True)
class WidthChoice:
    """The plan of the best width, all that were considered, and the mean square of the output."""

    plan: Plan
    best: Width
    widths: tuple[Width, ...]
    power: float

    def text(self) -> str:
        """What each width reaches, and which was taken."""
        rows = [["first hidden layer", "narrowed, SQNR dB", "planned", "both", ""]]
        for width in self.widths:
            taken = "taken" if width is self.best else width.reason
            reached = ["" if x is None else f"{x:.2f}" for x in self._sqnr(width).values()]
            rows.append([f"{width.neurons} neurons", *reached, taken])
        note = ""
        if len(self.widths) == 1 and not self.best.narrowing:
            note = f"\nno width is worth a try that is a multiple of {MULTIPLE} and not all neurons"
        return text_table(rows) + note

    def to_json(self) -> list[dict[str, Any]]:
        """The same for a plan file; None for what was not measured, and for no error."""
        return [
            {"neurons": x.neurons, **self._sqnr(x), "taken": x is self.best} for x in self.widths
        ]

    def _sqnr(self, width: Width) -> dict[str, float | None]:
        """In dB, None where there is no error or it is not known."""
        planned = width.quantization
        errors = {
            "sqnr_narrowed": width.narrowing,
            "sqnr_planned": planned,
            "sqnr": planned and width.narrowing + planned,
        }
        return {name: decibels(self.power, x) if x else None for name, x in errors.items()}


def candidate_widths(hidden: int) -> list[int]:
    """Neurons to keep that are worth a try, all of them first.

    >>> candidate_widths(256), candidate_widths(16)
    ([256, 208, 168], [16])
    """
    fewer = (MULTIPLE * math.ceil(hidden * kept / (32 * MULTIPLE)) for kept in KEPT)
    return [hidden, *dict.fromkeys(n for n in fewer if n < hidden)]


def same_bits(budget: Budget, whole: Sequence[LayerPlan], layers: Sequence[LayerPlan]) -> Budget:
    """``budget`` of the layers ``whole`` for others of fewer weights and inputs.

    It has the bits of all weights in total, and of all quantized inputs, as far as MAX_BITS for
    each of ``layers`` takes them.
    """
    before, after = (sum(layer.in_features for layer in x[1:]) for x in (whole, layers))
    return replace(
        budget,
        weight_bits=min(budget.weight_bits, MAX_BITS * sum(layer.weights for layer in layers)),
        act_bits=min(budget.act_bits * before / after, MAX_BITS),
    )


def plan_widths(
    whole: QuantInr,
    models: Sequence[QuantInr],
    inputs: Tensor,
    base: QuantSpec,
    budget: Budget | None = None,
    progress: bool = True,
    hardware: Hardware | None = None,
    mvau: str = "matrix_vector",
) -> WidthChoice:
    """The best plan of one of ``models``: ``whole``, or that narrowed, in order of width.

    ``budget``, by default as many bits as ``base`` makes, is that of ``whole``, and its bits in
    total are those of all. The rest is as for :func:`dhq_brevitas.planning.search.make_plan`, for
    networks whose weights are not rounded. Raises its ValueError for the last of ``models``, the
    narrowest, where there is no plan for any of them.
    """
    uniform = _uniform(whole, base)
    if budget is None:
        budget = Budget(weight_bits(uniform), base.act_bits, MULTIPLIED_BITS[mvau])
    samples = inputs[drawn(len(inputs), TRIAL_SAMPLES).to(inputs.device)]
    expected = _outputs(whole, samples)

    def plan_of(model: QuantInr, trials: int) -> Plan:
        bits = same_bits(budget, uniform, _uniform(model, base))
        return make_plan(model, inputs, base, bits, progress, trials, hardware, mvau)

    widths: list[Width] = []
    plans: list[Plan | None] = []
    refused: ValueError | None = None
    for model in models:
        neurons, plan = model.spec.first_hidden or model.spec.hidden, None
        width = Width(neurons, _mean_square(_outputs(model, samples) - expected))
        if width.narrowing >= min((other.error for other in widths), default=math.inf):
            width = replace(width, reason=WORSE)
        else:
            try:
                plan = plan_of(model, MAX_TRIALS if len(models) == 1 else SCOUTED)
                width = replace(width, quantization=plan.trials[0].measured)
            except ValueError as error:
                refused = error
                width = replace(width, reason=str(error))
        widths.append(width)
        plans.append(plan)
    best = min(range(len(models)), key=lambda index: widths[index].error)
    plan = plans[best]
    if plan is None:
        assert refused is not None
        raise refused
    if len(models) > 1:
        plan = plan_of(models[best], MAX_TRIALS)
    return WidthChoice(plan, widths[best], tuple(widths), _mean_square(expected))


def _uniform(model: QuantInr, base: QuantSpec) -> list[LayerPlan]:
    """Layers of the uniform network whose bits a plan may use."""
    shapes = shapes_of_inr(model.spec, model.coordinate_bits)
    return plan_layers(shapes, replace(base, scheme=Scheme.STOCK, layers=None))


@torch.no_grad()
def _outputs(model: QuantInr, samples: Tensor) -> Tensor:
    """Of the float network that ``model`` stands for."""
    with unquantized(model):
        return model(samples)


def _mean_square(x: Tensor) -> float:
    return float(x.double().square().mean())
