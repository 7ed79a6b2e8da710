# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Chooses, layer by layer, rotation and bits for the least output error within a budget.

1. *Sensitivities*: one tensor at a time is quantized in each of the ways on offer, and the error at
   the network's output is measured (:mod:`dhq_brevitas.planning.sensitivity`).
2. *Integer program*: one way a layer, least sum of errors (:mod:`dhq_brevitas.planning.program`).
3. *Trials*: the errors are not quite independent, and later layers are rounded so as to make up for
   earlier ones. So a short-list is quantized in earnest: the program's solution, solutions with
   fewer freedoms, and the uniform schemes that fit the budget. From the best of them single steps
   are tried, a bit moved between two layers, a rotation put on or off, as long as that helps.

The plan with the least error measured on the calibration samples wins; there it is never worse than
the uniform schemes that fit the budget.

Limits on hardware bind the program through estimates of each alternative, and a plan that was
quantized in earnest through those of the very network it gave, which differ by a few LUTs: where
they exceed a limit that the program kept, the program is asked again for so much less. A limit that
the cheapest plan exceeds is refused before the sensitivities are measured.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from dhq_brevitas.inr.layer_plan import LayerPlan, weight_bits
from dhq_brevitas.inr.layers import check_network, is_chain, layers_of
from dhq_brevitas.inr.planned import shapes_of, with_plans
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme, plan_layers
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.planning.alternatives import (
    MULTIPLIED_BITS,
    Alternative,
    Budget,
    average_act_bits,
    connected,
    measure_alternatives,
    measure_tables,
    predicted_error,
)
from dhq_brevitas.planning.limits import Hardware, Limits, Resources
from dhq_brevitas.planning.neighbors import neighbors
from dhq_brevitas.planning.program import IntegerProgram
from dhq_brevitas.planning.resource_model import Prices
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.post_training import check_finite, drawn, post_train

__all__ = ["Plan", "Trial", "decibels", "make_plan"]

PROBE_SAMPLES = 4096
TRIAL_SAMPLES = 8192
MAX_TRIALS = 24
MAX_REPAIRS = 4  # times the program is asked again for a plan within the limits

Layers = tuple[LayerPlan, ...]
Allowed = Callable[[Alternative], bool]


@dataclass(frozen=True)
class Trial:
    """A whole plan that was quantized in earnest; errors are mean squares at the output."""

    name: str
    layers: Layers
    measured: float
    predicted: float | None = None
    resources: tuple[Resources, ...] = ()  # see Hardware.used, if they are estimated

    @property
    def between(self) -> Resources | None:
        """The resources of what is between the layers; None if nothing is."""
        return self.resources[-1] if len(self.resources) > len(self.layers) else None

    @property
    def total(self) -> Resources:
        """The resources of the network."""
        return sum(self.resources, Resources())


@dataclass(frozen=True)
class Plan:
    """The decision and its reasons.

    Attributes:
        layers: one plan a linear layer, to be used as ``QuantSpec(layers=...)``.
        budget: what it had to keep to.
        power: mean square of the network's output, to which errors compare.
        trials: the short-list, best first, without those that exceed a limit.
        alternatives: for each layer, by name, what could have been chosen.
        hardware: limits on what it takes, and who estimates that; None: not looked at.
    """

    layers: Layers
    budget: Budget
    power: float
    trials: tuple[Trial, ...] = ()
    alternatives: dict[str, tuple[Alternative, ...]] = field(default_factory=dict)
    hardware: Hardware | None = None


def decibels(power: float, error: float) -> float:
    """10·log10(power / error), infinite for no error."""
    return math.inf if error == 0 else 10 * math.log10(power / error)


def make_plan(
    model: nn.Module,
    inputs: Tensor,
    base: QuantSpec | None = None,
    budget: Budget | None = None,
    progress: bool = True,
    max_trials: int = MAX_TRIALS,
    hardware: Hardware | None = None,
    mvau: str = "matrix_vector",
) -> Plan:
    """Plans the quantization of a network.

    Args:
        model: of Brevitas layers, its weights not rounded; without its quantizers it is the float
            network that the plan's shall be like. Its tables are kept as functions.
        inputs: calibration samples for it, float32 [N, …].
        base: what the plan keeps: kind of scales, granularity, phase bits. Its weight and
            activation bits are the budget unless ``budget`` is given. Default: 8 and 8 bits.
        progress: show bars.
        max_trials: plans that are quantized in earnest, at most.
        hardware: limits on LUTs and so on, and who estimates them, such as
            :class:`dhq_brevitas.finn_flow.estimates.LayerEstimator`.
        mvau: whose matrix products, a key of ``MULTIPLIED_BITS``; ``budget`` has it, too.

    Raises ValueError for calibration data of the wrong shape or with NaN, for weights that are not
    finite, for a layer that is called twice, and for a budget that no plan can keep, naming the
    smallest that one can.
    """
    check_network(model, inputs)
    check_finite(model)
    search = _Search(model, inputs, base or QuantSpec(), budget, max_trials, hardware, mvau)
    return search.run(progress)


class _Search:
    """What is known while a plan is looked for: see the module docstring."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        base: QuantSpec,
        budget: Budget | None,
        max_trials: int,
        hardware: Hardware | None,
        mvau: str,
    ) -> None:
        self.model, self.inputs, self.base = model, inputs, base
        self.max_trials, self.hardware = max_trials, hardware
        self.limits = Limits() if hardware is None else hardware.limits
        layers = layers_of(model, inputs[:1])
        self.shapes = shapes_of(layers)
        self.feeders = [shape.feeder for shape in self.shapes]
        self.uniform = plan_layers(self.shapes, replace(base, scheme=Scheme.STOCK, layers=None))
        if budget is None:
            # Widths that are not the plan's, of concatenations and the like, count as they are.
            acts = max(base.act_bits, average_act_bits(self.uniform))
            budget = Budget(weight_bits(self.uniform), acts, MULTIPLIED_BITS[mvau])
        budget.check(self.uniform)
        self.budget = budget
        device = inputs.device
        self.probe = Probe(model, inputs[drawn(len(inputs), PROBE_SAMPLES).to(device)])
        self.samples = inputs[drawn(len(inputs), TRIAL_SAMPLES).to(device)]
        self.prices, self.tables = None, []
        if hardware is not None:
            self.prices = Prices(self.probe, layers, self.uniform, hardware.estimate)
        if self.limits.given():
            self.tables = measure_tables(self.probe, self.uniform, layers)
        self.trials: dict[Layers, Trial] = {}

    def run(self, progress: bool) -> Plan:
        """The plan of least measured error."""
        if self.limits.given():
            self._refuse_early()
        self.program = self._program(progress)
        with tqdm(
            total=self.max_trials, desc="trials", unit="plan", disable=not progress
        ) as self.bar:
            self._try_program()
            self._try_uniforms()
            if not self.trials:
                raise ValueError(
                    f"budget={self.budget.weight_bits} weight bits and {self.budget.act_bits} "
                    "activation bits on average leave no plan among the widths considered: raise "
                    "one of them"
                )
            self._improve()
        ordered = sorted(self._fitting(), key=lambda trial: trial.measured)
        return Plan(
            ordered[0].layers,
            self.budget,
            self._power,
            tuple(ordered),
            {
                layer.name: tuple(a)
                for layer, a in zip(self.uniform, self.program.alternatives, strict=True)
            },
            self.hardware,
        )

    # -- what is tried ---------------------------------------------------------------------------

    def _program(self, progress: bool, measured: bool = True) -> IntegerProgram:
        alternatives = measure_alternatives(
            self.probe, self.uniform, self.shapes, self.budget, progress, measured
        )
        return IntegerProgram(
            alternatives, self.uniform, self.budget, self.prices, self.tables, self.feeders
        )

    def _refuse_early(self) -> None:
        """ValueError for limits that the cheapest plans exceed, before anything is measured."""
        assert self.prices is not None
        assert self.hardware is not None
        cheapest = self._cheapest(self._program(progress=False, measured=False))
        if not is_chain(self.model, self.inputs[:1]):
            # Rather too little than too much: what turns out to exceed a limit is repaired.
            plan = next(iter(cheapest.values()), self.uniform)
            network = with_plans(self.model, plan, self.inputs[:1])
            calibrate(network, self.samples)
            self.prices.between = self.hardware.used(network, self.samples)[-1]
        limits = self.limits.given()
        if any(limits[n] < getattr(self.prices.of(plan), n) for n, plan in cheapest.items()):
            tried = [self._tried(f"least {name}", plan) for name, plan in cheapest.items()]
            if self._short(tried):
                raise ValueError(self._refusal(tried))

    def _try_program(self) -> None:
        """The program's plans, the freest first."""
        freedoms: dict[str, Allowed] = {
            "program": lambda a: True,
            "program, no rotation": lambda a: a.turn.side == Side.NONE,
            "program, not rotated after": lambda a: a.turn.side != Side.AFTER,
            "program, equal activations": lambda a: (
                a.act_error == 0 or a.act_bits == math.floor(self.budget.act_bits)
            ),
        }
        for name, allowed in freedoms.items():
            self._try_repaired(name, allowed)
        if self.prices is None or self._fitting():
            return
        for name, layers in self._cheapest(self.program).items():
            self._attempt(f"program, least {name}", layers, math.inf)
        if self.trials and not self._fitting():
            raise ValueError(self._refusal(list(self.trials.values())))

    def _try_repaired(self, name: str, allowed: Allowed) -> None:
        """A plan of the program; if it turns out to exceed the limits, one within tighter ones."""
        limits = self.limits
        for _ in range(MAX_REPAIRS):
            layers = self.program.solve(limits, allowed)
            if layers is None:
                return
            self._attempt(name, layers, math.inf)
            over = self.limits.exceeded(self.trials[layers].total)
            if self.prices is None or not over:
                return
            less: dict[str, Any] = {
                resource: max(0, limits.given()[resource] - more) for resource, more in over.items()
            }
            limits = replace(limits, **less)

    def _try_uniforms(self) -> None:
        """The uniform schemes that fit the budget."""
        for name, layers in self._uniforms():
            if self._holds(layers):
                self._attempt(name, layers)

    def _improve(self) -> None:
        """Single steps from the best plan, as long as one helps."""
        improved = True
        while improved and len(self.trials) < self.max_trials:
            best = self._best()
            for name, layers in neighbors(best.layers, self.shapes):
                if self._holds(layers):
                    self._attempt(name, layers)
                if self._best() is not best:
                    break
            improved = self._best() is not best

    def _uniforms(self) -> Iterator[tuple[str, Layers]]:
        """(name, layers) of the uniform schemes."""
        base = replace(self.base, layers=None)
        rotated = replace(base, scheme=Scheme.DHQ, rotation=Side.INPUT, sine_bits=None)
        uniforms = {
            "uniform, not rotated": replace(base, scheme=Scheme.STOCK),
            "uniform, rotated": rotated,
            "uniform, rotated after": replace(rotated, rotation=Side.AFTER),
        }
        for name, spec in uniforms.items():
            try:
                layers = tuple(plan_layers(self.shapes, spec))
            except ValueError:  # no layer that could be rotated
                continue
            yield name, layers
            if name == "uniform, rotated":
                yield (
                    "uniform, last rotated",
                    connected([*self.uniform[:-1], layers[-1]], self.feeders),
                )

    # -- trials ----------------------------------------------------------------------------------

    def _attempt(self, name: str, layers: Layers, at_most: float | None = None) -> None:
        """Tries a plan unless it was, or enough were."""
        limit = self.max_trials if at_most is None else at_most
        if layers in self.trials or len(self.trials) >= limit:
            return
        self.trials[layers] = self._tried(name, layers)
        best = min((trial.measured for trial in self._fitting()), default=math.nan)
        self.bar.update()
        self.bar.set_postfix_str(f"best {decibels(self._power, best):.2f} dB below the output")

    def _tried(self, name: str, layers: Layers) -> Trial:
        """Quantizes as ``layers`` say and measures the error."""
        quantized = with_plans(self.model, layers, self.inputs[:1])
        post_train(quantized, self.inputs)
        with torch.no_grad():
            output = quantized(self.samples)
        output = getattr(output, "value", output)
        error = float((output - self._expected).double().square().mean())
        used = () if self.hardware is None else self.hardware.used(quantized, self.inputs)
        program = getattr(self, "program", None)
        predicted = None
        if program is not None:
            predicted = predicted_error(program.alternatives, layers, self.tables)
        return Trial(name, layers, error, predicted, tuple(used))

    @cached_property
    def _power(self) -> float:
        """Mean square of the network's output."""
        return float(self.probe.output.double().square().mean())

    @cached_property
    def _expected(self) -> Tensor:
        """What the network gives on ``samples`` without its quantizers."""
        with unquantized(self.model), torch.no_grad():
            output = self.model(self.samples)
        return getattr(output, "value", output)

    def _fitting(self) -> list[Trial]:
        """The trials that keep to the limits."""
        return [trial for trial in self.trials.values() if self.limits.hold(trial.total)]

    def _best(self) -> Trial:
        """The one of least error."""
        return min(self._fitting(), key=lambda trial: trial.measured)

    def _holds(self, layers: Layers) -> bool:
        """Whether a plan keeps to budget and limits, as far as can be said before it is tried."""
        if not self.budget.holds(layers):
            return False
        return self.prices is None or self.limits.hold(self.prices.of(layers))

    # -- limits that cannot be kept --------------------------------------------------------------

    def _cheapest(self, program: IntegerProgram) -> dict[str, Layers]:
        """For each limited resource the plan that takes the least of it, if there is any."""
        plans = {name: program.solve(least=name) for name in self.limits.given()}
        return {name: layers for name, layers in plans.items() if layers is not None}

    def _least(self, trials: Sequence[Trial]) -> dict[str, int]:
        """Of each limited resource the least that one of ``trials`` takes."""
        totals = [trial.total for trial in trials]
        return {name: min(getattr(t, name) for t in totals) for name in self.limits.given()}

    def _short(self, trials: Sequence[Trial]) -> dict[str, int]:
        """The limits that none of ``trials`` keeps, whatever it takes of the rest."""
        least = self._least(trials)
        return {n: limit for n, limit in self.limits.given().items() if limit < least[n]}

    def _refusal(self, trials: Sequence[Trial]) -> str:
        """What to say when none of ``trials`` keeps to the limits."""
        least, short = self._least(trials), self._short(trials)
        asked = ", ".join(f"max_{n}={v}" for n, v in (short or self.limits.given()).items())
        smallest = ", ".join(f"{least[n]} {n}" for n in short or least)
        cycles = max(trial.total.cycles for trial in trials)
        if short:
            return (
                f"{asked} cannot be met with {cycles} cycles a sample: the smallest that can is "
                f"{smallest}; raise it, or allow more cycles"
            )
        return (
            f"{asked} cannot be met together with {cycles} cycles a sample: alone, the smallest "
            f"that can are {smallest}; raise one, or allow more cycles"
        )
