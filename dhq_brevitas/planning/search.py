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
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.planning.limits import Hardware, Limits, Resources
from dhq_brevitas.planning.program import (
    LARGE_SHARE,
    MAX_MULTIPLIED_BITS,
    SIGNS_SEED,
    Alternative,
    Budget,
    allocate,
    connected,
    measure_alternatives,
    measure_tables,
    predicted_error,
)
from dhq_brevitas.planning.resource_model import Prices
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.quantize.post_training import check_samples, drawn, post_train

__all__ = ["Plan", "Trial", "decibels", "make_plan"]

PROBE_SAMPLES = 4096
TRIAL_SAMPLES = 8192
MAX_TRIALS = 24
MAX_REPAIRS = 4  # times the program is asked again for a plan within the limits

Layers = tuple[LayerPlan, ...]


@dataclass(frozen=True)
class Trial:
    """A whole plan that was quantized in earnest; errors are mean squares at the output."""

    name: str
    layers: Layers
    measured: float
    predicted: float | None = None
    resources: tuple[Resources, ...] = ()  # of each layer, if they are estimated

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
    build: Callable[[QuantSpec], Any],
    network: Any,
    codes: Tensor,
    coordinates: Tensor,
    base: QuantSpec,
    budget: Budget | None = None,
    progress: bool = True,
    max_trials: int = MAX_TRIALS,
    hardware: Hardware | None = None,
) -> Plan:
    """Plans the quantization of ``network``.

    Args:
        build: makes the quantized counterpart of ``network`` from a description.
        network: the float network, with ``linears``.
        codes, coordinates: the same calibration samples for the quantized and the float network,
            float32 [N, n].
        base: what the plan keeps: kind of scales, granularity, phase bits. Its weight and
            activation bits are the budget unless ``budget`` is given.
        progress: show bars.
        max_trials: plans that are quantized in earnest, at most.
        hardware: limits on LUTs and so on, and who estimates them, such as
            :class:`dhq_brevitas.finn_flow.estimates.LayerEstimator`.

    Raises ValueError for calibration data of the wrong shape or with NaN, and for a budget that no
    plan can keep, naming the smallest that one can.
    """
    check_samples(codes, coordinates)
    model = build(replace(base, scheme=Scheme.STOCK, layers=None))
    uniform = model.plans
    if budget is None:
        budget = Budget(sum(p.weights * p.weight_bits for p in uniform), base.act_bits)
    budget.check(uniform)
    chosen = drawn(len(codes), PROBE_SAMPLES)
    probe = Probe(
        network, network.linears, coordinates[chosen], model.fold_factors, model.bias_factors
    )
    power = float(probe.output.double().square().mean())
    prices = None if hardware is None else Prices(probe, model, hardware.estimate)
    limits = Limits() if hardware is None else hardware.limits
    tables = []
    if limits.given():
        activations = [model.activation_like(plan, i) for i, plan in enumerate(uniform[:-1])]
        tables = measure_tables(probe, uniform, activations)
    alternatives: list[list[Alternative]] = [[] for _ in uniform]  # measured below

    samples = drawn(len(codes), TRIAL_SAMPLES)
    with torch.no_grad():
        expected = network(coordinates[samples])

    def tried(name: str, layers: Layers) -> Trial:
        quantized = build(QuantSpec(layers=layers))
        post_train(quantized, network, codes, coordinates)
        with torch.no_grad():
            output = quantized.eval()(codes[samples])
        error = float((output - expected).double().square().mean())
        used = () if hardware is None else hardware.estimate(layer_codes(quantized))
        return Trial(
            name, layers, error, predicted_error(alternatives, layers, tables), tuple(used)
        )

    if prices is not None and limits.given():
        offered = measure_alternatives(probe, uniform, budget, progress, measured=False)
        unmeasured = _Program(offered, uniform, budget, prices, limits, {}, tables)
        cheapest = unmeasured.cheapest()
        if any(limits.given()[n] < getattr(prices.of(c), n) for n, c in cheapest.items()):
            for name, layers in cheapest.items():
                unmeasured.trials[layers] = tried(f"least {name}", layers)
            if unmeasured.short():
                raise ValueError(unmeasured.refusal())
    alternatives[:] = measure_alternatives(probe, uniform, budget, progress)
    trials: dict[Layers, Trial] = {}
    program = _Program(alternatives, uniform, budget, prices, limits, trials, tables)
    with tqdm(total=max_trials, desc="trials", unit="plan", disable=not progress) as bar:

        def attempt(name: str, layers: Layers, at_most: float = max_trials) -> None:
            if layers not in trials and len(trials) < at_most:
                trials[layers] = tried(name, layers)
                best = min((trial.measured for trial in program.fitting()), default=math.nan)
                bar.update()
                bar.set_postfix_str(f"best {decibels(power, best):.2f} dB below the output")

        for name, layers in program.solutions():
            attempt(name, layers, math.inf)
        for name, layers in _uniforms(uniform, base, build):
            if program.holds(layers):
                attempt(name, layers)
        if not trials:
            raise ValueError(
                f"budget={budget.weight_bits} weight bits and {budget.act_bits} activation bits on "
                "average leave no plan among the widths considered: raise one of them"
            )
        improved = True
        while improved and len(trials) < max_trials:
            best = program.best()
            for name, layers in _neighbours(best.layers):
                if program.holds(layers):
                    attempt(name, layers)
                if program.best() is not best:
                    break
            improved = program.best() is not best
    ordered = sorted(program.fitting(), key=lambda trial: trial.measured)
    return Plan(
        ordered[0].layers,
        budget,
        power,
        tuple(ordered),
        {layer.name: tuple(a) for layer, a in zip(uniform, alternatives, strict=True)},
        hardware,
    )


@dataclass(frozen=True)
class _Program:
    """The integer program, and the plans of it that were tried."""

    alternatives: list[list[Alternative]]
    uniform: Sequence[LayerPlan]
    budget: Budget
    prices: Prices | None
    limits: Limits
    trials: dict[Layers, Trial]
    tables: list[dict[int, float]]

    def fitting(self) -> list[Trial]:
        """The trials that keep to the limits."""
        return [trial for trial in self.trials.values() if self.limits.hold(trial.total)]

    def best(self) -> Trial:
        """The one of least error."""
        return min(self.fitting(), key=lambda trial: trial.measured)

    def holds(self, layers: Layers) -> bool:
        """Whether a plan keeps to budget and limits, as far as can be said before it is tried."""
        if not self.budget.holds(layers) or not all(map(_multipliable, layers)):
            return False
        return self.prices is None or self.limits.hold(self.prices.of(layers))

    def solve(
        self, limits: Limits, allowed: Callable[[Alternative], bool], least: str | None = None
    ) -> Layers | None:
        """See :func:`dhq_brevitas.planning.program.allocate`."""
        return allocate(
            self.alternatives,
            self.uniform,
            self.budget,
            allowed,
            self.prices,
            limits,
            least,
            self.tables,
        )

    def solutions(self) -> Iterator[tuple[str, Layers]]:
        """(name, layers) of the program's plans; each is tried before the next is asked for."""
        freedoms: dict[str, Callable[[Alternative], bool]] = {
            "program": lambda a: True,
            "program, no rotation": lambda a: a.turn.side == Side.NONE,
            "program, not rotated after": lambda a: a.turn.side != Side.AFTER,
            "program, equal activations": lambda a: (
                a.act_error == 0 or a.act_bits == math.floor(self.budget.act_bits)
            ),
        }
        for name, allowed in freedoms.items():
            limits = self.limits
            for _ in range(MAX_REPAIRS):
                layers = self.solve(limits, allowed)
                if layers is None:
                    break
                yield name, layers
                if self.prices is None or layers not in self.trials:
                    break
                over = self.limits.exceeded(self.trials[layers].total)
                if not over:
                    break
                less: dict[str, Any] = {
                    name: max(0, limits.given()[name] - more) for name, more in over.items()
                }
                limits = replace(limits, **less)
        if self.prices is not None and not self.fitting():
            for name, layers in self.cheapest().items():
                yield f"program, least {name}", layers
            if self.trials and not self.fitting():
                raise ValueError(self.refusal())

    def cheapest(self) -> dict[str, Layers]:
        """For each limited resource the plan that takes the least of it, if there is any."""
        plans = {n: self.solve(Limits(), lambda a: True, n) for n in self.limits.given()}
        return {name: layers for name, layers in plans.items() if layers is not None}

    def least(self) -> dict[str, int]:
        """Of each limited resource the least that a tried plan takes."""
        totals = [trial.total for trial in self.trials.values()]
        return {name: min(getattr(t, name) for t in totals) for name in self.limits.given()}

    def short(self) -> dict[str, int]:
        """The limits that no tried plan keeps, whatever it takes of the rest."""
        least = self.least()
        return {n: limit for n, limit in self.limits.given().items() if limit < least[n]}

    def refusal(self) -> str:
        """What to say when none of the tried plans keeps to the limits."""
        least, short = self.least(), self.short()
        asked = ", ".join(f"max_{n}={v}" for n, v in (short or self.limits.given()).items())
        smallest = ", ".join(f"{least[n]} {n}" for n in short or least)
        cycles = max(trial.total.cycles for trial in self.trials.values())
        if short:
            return (
                f"{asked} cannot be met with {cycles} cycles a sample: the smallest that can is "
                f"{smallest}; raise it, or allow more cycles"
            )
        return (
            f"{asked} cannot be met together with {cycles} cycles a sample: alone, the smallest "
            f"that can are {smallest}; raise one, or allow more cycles"
        )


def _uniforms(
    uniform: Sequence[LayerPlan], base: QuantSpec, build: Callable[[QuantSpec], Any]
) -> Iterator[tuple[str, Layers]]:
    """(name, layers) of the uniform schemes."""
    rotated = replace(base, scheme=Scheme.DHQ, rotation=Side.INPUT, sine_bits=None, layers=None)
    uniforms = {
        "uniform, not rotated": replace(base, scheme=Scheme.STOCK, layers=None),
        "uniform, rotated": rotated,
        "uniform, rotated after": replace(rotated, rotation=Side.AFTER),
    }
    for name, spec in uniforms.items():
        try:
            layers = tuple(build(spec).plans)
        except ValueError:  # no layer that could be rotated
            continue
        yield name, layers
        if name == "uniform, rotated":
            kept = [*uniform[:-1], layers[-1]]
            yield "uniform, last rotated", connected(kept)


def _neighbours(layers: Layers) -> Iterator[tuple[str, Layers]]:
    """Plans one step away: a bit moved from one layer to another, a rotation changed."""
    total = sum(layer.weights for layer in layers)
    large = [i for i, layer in enumerate(layers) if layer.weights > LARGE_SHARE * total]
    steps: list[tuple[str, dict[int, dict[str, Any]]]] = []

    def move(bits: str, what: str, among: Sequence[int]) -> None:
        for giver, taker in permutations(among, 2):
            fewer, more = getattr(layers[giver], bits) - 1, getattr(layers[taker], bits) + 1
            if fewer >= MIN_BITS and more <= MAX_BITS:
                name = f"{what} bit from {layers[giver].name} to {layers[taker].name}"
                steps.append((name, {giver: {bits: fewer}, taker: {bits: more}}))

    move("weight_bits", "weight", large)
    for index in range(1, len(layers)):
        steps += [(name, {index: change}) for name, change in _turned(layers[index], index)]
    move("act_bits", "activation", range(1, len(layers)))
    for name, changes in steps:
        yield (
            name,
            connected([replace(layer, **changes.get(i, {})) for i, layer in enumerate(layers)]),
        )


def _turned(layer: LayerPlan, index: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if layer.rotation != Side.NONE:
        change = {"rotation": Side.NONE, "order": 1, "signs_seed": None}
        yield f"{layer.name} not rotated", change
    if layer.rotation.of_inputs:
        order, seed = layer.order, layer.signs_seed
    else:
        order, seed = largest_order(layer.in_features), SIGNS_SEED + index
    if order == 1:
        return
    for side, what in ((Side.INPUT, "rotated"), (Side.AFTER, "rotated after")):
        if layer.rotation != side:
            change = {"rotation": side, "order": order, "signs_seed": seed}
            yield f"{layer.name} {what}", change


def _multipliable(layer: LayerPlan) -> bool:
    return layer.rotation != Side.AFTER or layer.multiplied_bits <= MAX_MULTIPLIED_BITS
