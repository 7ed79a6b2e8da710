# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The integer program of the planner: one alternative a layer, least summed error, within a budget.

Errors of single tensors are measured (:mod:`dhq_brevitas.planning.sensitivity`); a plan's is taken to be
their sum, as for small independent errors. With x_ia = 1 where layer i takes alternative a:

    minimise Σ error_ia x_ia   subject to   Σ_a x_ia = 1,
    Σ weights_i · weight_bits_a · x_ia ≤ weight budget,
    Σ inputs_i · act_bits_a · x_ia ≤ average activation bits · Σ inputs_i

the last over the layers behind the first. With limits on hardware there is also y_ipo = 1 where the
table behind layer i has p address and o output bits, and for each limited resource

    Σ linear_ia · x_ia + Σ table_ipo · y_ipo ≤ limit,      Σ_p y_ipo = Σ_{a: takes o} x_(i+1)a

(:mod:`dhq_brevitas.planning.resource_model`). It is solved by HiGHS through ``scipy.optimize.milp``. The
formulation is that of Hubara et al., 2021, arXiv:2006.10518, and of HAWQ-V3, Yao et al., 2021,
arXiv:2011.10680.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS
from dhq_brevitas.inr.quant_spec import EXTRA_SINE_BITS
from dhq_brevitas.nn.scales import Granularity
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.activations import MIN_PHASE_BITS, QuantLookupActivation
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.planning.limits import Limits
from dhq_brevitas.planning.sensitivity import Probe, Turn

if TYPE_CHECKING:
    from dhq_brevitas.planning.resource_model import Prices

__all__ = [
    "Alternative",
    "Budget",
    "allocate",
    "average_act_bits",
    "connected",
    "given_bits",
    "measure_alternatives",
    "measure_tables",
    "predicted_error",
    "weight_bits",
]

BIT_RANGE = 3  # widths tried on either side of the average, where layers are large
PHASE_BIT_RANGE = 4  # table address bits tried below those given
ACT_BIT_RANGE = (2, 4)  # below and above the average
LARGE_SHARE = 0.05  # of all weights; a smaller layer is also offered every width above
BLOCK = 16
# FINN's MVAU gives its input to the multiplier of a DSP48, 18 bits with a sign. One is kept for
# activations without sign.
MAX_MULTIPLIED_BITS = 17
SIGNS_SEED = 1
NO_LIMITS = Limits()


def weight_bits(layers: Sequence[LayerPlan]) -> int:
    """Bits of all weights."""
    return sum(layer.weights * layer.weight_bits for layer in layers)


def average_act_bits(layers: Sequence[LayerPlan]) -> float:
    """Mean width of the quantized inputs of all layers but the first, which has coordinates.

    What a rotation after the quantizer adds to the width is not counted.
    """
    inputs = sum(layer.in_features for layer in layers[1:])
    return sum(layer.in_features * layer.act_bits for layer in layers[1:]) / max(inputs, 1)


@dataclass(frozen=True)
class Budget:
    """What a plan may use.

    Attributes:
        weight_bits: of all weights together.
        act_bits: average width of the quantized inputs (:func:`average_act_bits`).
    """

    weight_bits: int
    act_bits: float = 8.0

    def holds(self, layers: Sequence[LayerPlan]) -> bool:
        """Whether ``layers`` keep to it."""
        return weight_bits(layers) <= self.weight_bits and average_act_bits(layers) <= self.act_bits

    def check(self, layers: Sequence[LayerPlan]) -> None:
        """ValueError, naming the smallest possible budget, if no plan of these layers can."""
        weights = sum(layer.weights for layer in layers)
        if self.weight_bits < weights * MIN_BITS:
            raise ValueError(
                f"budget={self.weight_bits} weight bits cannot be met: the smallest that can is "
                f"{weights * MIN_BITS}, {MIN_BITS} bits for each of {weights} weights"
            )
        if not MIN_BITS <= self.act_bits <= MAX_BITS:
            raise ValueError(
                f"act_bits={self.act_bits} cannot be met: use {MIN_BITS} to {MAX_BITS} on average"
            )


@dataclass(frozen=True)
class Alternative:
    """One way of quantizing a layer's weight and input; errors are mean squares at the output."""

    turn: Turn
    weight_bits: int
    act_bits: int
    granularity: Granularity
    weight_error: float
    act_error: float

    @property
    def error(self) -> float:
        """What the integer program adds up."""
        return self.weight_error + self.act_error

    @property
    def multiplied_bits(self) -> int:
        """Width of the integers that the weights are multiplied with."""
        return self.turn.side.multiplied_bits(self.act_bits, self.turn.order)

    def is_of(self, layer: LayerPlan) -> bool:
        """Whether ``layer`` takes this alternative."""
        turn = Turn(layer.rotation, layer.order, layer.signs_seed)
        mine = (self.turn, self.weight_bits, self.act_bits, self.granularity)
        return mine == (turn, layer.weight_bits, layer.act_bits, layer.granularity)


def measure_alternatives(
    probe: Probe,
    uniform: Sequence[LayerPlan],
    budget: Budget,
    progress: bool,
    measured: bool = True,
) -> list[list[Alternative]]:
    """For each layer of ``uniform``, an unrotated plan, its alternatives with measured errors.

    ``measured=False``: with errors of 0, at once.
    """
    total = sum(layer.weights for layer in uniform)
    average = budget.weight_bits / total
    bar = tqdm(uniform, desc="sensitivities", unit="layer", disable=not progress or not measured)
    result = []
    for index, layer in enumerate(bar):
        widths = _weight_widths(average, layer.weights > LARGE_SHARE * total)
        alternatives = []
        for turn in _turns(probe, index, layer, round(average)):
            granularity = Granularity.TENSOR if turn.side == Side.OUTPUT else layer.granularity
            acts = {layer.act_bits: 0.0}  # coordinates are exact
            if index > 0:
                acts = {
                    bits: probe.act_error(index, turn, bits, layer.scale) if measured else 0.0
                    for bits in _act_widths(budget.act_bits)
                }
            for bits in widths:
                error = 0.0
                if measured:
                    error = probe.weight_error(index, turn, bits, layer.scale, granularity)
                alternatives += [
                    Alternative(turn, bits, act, granularity, error, act_error)
                    for act, act_error in acts.items()
                ]
        result.append([*alternatives, *_rotated_after(alternatives)])
    return result


def _rotated_after(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """The input rotations once more, after the quantizer.

    Nothing else is rounded then: the weight is that of the rotation before it, the input that of no
    rotation, and so are the errors.
    """
    acts = {a.act_bits: a.act_error for a in alternatives if a.turn.side == Side.NONE}
    after = [
        replace(a, turn=replace(a.turn, side=Side.AFTER), act_error=acts[a.act_bits])
        for a in alternatives
        if a.turn.side == Side.INPUT
    ]
    return [a for a in after if a.multiplied_bits <= MAX_MULTIPLIED_BITS]


def measure_tables(
    probe: Probe, uniform: Sequence[LayerPlan], activations: Sequence[QuantLookupActivation]
) -> list[dict[int, float]]:
    """For each activation the errors of its table alone, by address bits up to ``uniform``'s."""
    result = []
    for index, (layer, activation) in enumerate(zip(uniform, activations, strict=False)):
        most = layer.phase_bits or 0
        widths = range(max(MIN_PHASE_BITS, most - PHASE_BIT_RANGE), most + 1)
        periodic = activation.period is not None
        result.append({bits: probe.table_error(index, bits, periodic) for bits in widths})
    return result


def _weight_widths(average: float, large: bool) -> range:
    low = max(MIN_BITS, math.floor(average) - BIT_RANGE)
    high = min(MAX_BITS, math.ceil(average) + BIT_RANGE)
    return range(low, high + 1) if large else range(min(math.floor(average), high), MAX_BITS + 1)


def _act_widths(average: float) -> range:
    below, above = ACT_BIT_RANGE
    low = max(MIN_BITS, math.floor(average) - below)
    return range(low, min(MAX_BITS, math.ceil(average) + above) + 1)


def _turns(probe: Probe, index: int, layer: LayerPlan, bits: int) -> list[Turn]:
    """No rotation, the input rotation of least rounding error, and an output rotation.

    (:func:`_rotated_after` adds the input rotation after the quantizer.)
    """
    turns = [Turn()]
    largest = largest_order(layer.in_features)
    if index > 0 and largest > 1:
        shapes = [Turn(Side.INPUT, largest), Turn(Side.INPUT, largest, SIGNS_SEED + index)]
        if largest > BLOCK:
            shapes.append(Turn(Side.INPUT, BLOCK))
        turns.append(min(shapes, key=lambda turn: _nearest_cost(probe, index, turn, layer, bits)))
    largest = largest_order(layer.out_features)
    if largest > 1:
        turns.append(Turn(Side.OUTPUT, largest))
    return turns


def _nearest_cost(probe: Probe, index: int, turn: Turn, layer: LayerPlan, bits: int) -> float:
    value = probe.quantized_weight(index, turn, bits, layer.scale, layer.granularity, learned=False)
    return probe.fit(index, turn).cost(value)


def allocate(
    alternatives: Sequence[Sequence[Alternative]],
    uniform: Sequence[LayerPlan],
    budget: Budget,
    allowed: Callable[[Alternative], bool] = lambda alternative: True,
    prices: "Prices | None" = None,
    limits: Limits = NO_LIMITS,
    least: str | None = None,
    table_errors: Sequence[Mapping[int, float]] = (),
) -> tuple[LayerPlan, ...] | None:
    """The layers of least summed error, or None if what is allowed does not fit the budget.

    ``prices``: what alternatives take in hardware, for which ``limits`` hold. ``least`` names a
    resource that shall be least, and among such plans the error. ``table_errors``: for each
    activation the errors of tables by their address bits; by default they stay as they are.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    entries = [(i, a) for i, options in enumerate(alternatives) for a in options if allowed(a)]
    if {i for i, _ in entries} != set(range(len(uniform))):
        return None
    layers = [_chosen(a, uniform[i]) for i, a in entries]
    table_errors = table_errors or [{x.phase_bits or 0: 0.0} for x in uniform[:-1]]
    tables = [] if prices is None else _tables(entries, table_errors)
    errors = np.array(
        [a.error for _, a in entries] + [table_errors[at][phase] for at, phase, _ in tables]
    )
    weights = [float(uniform[i].weights * a.weight_bits) for i, a in entries]
    acts = [float(uniform[i].in_features * a.act_bits * (i > 0)) for i, a in entries]
    inputs = sum(layer.in_features for layer in uniform[1:])
    one_each = [
        [float(i == layer) for i, _ in entries] + [0.0] * len(tables)
        for layer in range(len(uniform))
    ]
    # As many tables of a width as layers behind them that take it, one or none.
    linked = [
        [-float(i == at + 1 and _taken(a) == bits) for i, a in entries]
        + [float(table[:1] + table[2:] == (at, bits)) for table in tables]
        for at, bits in dict.fromkeys(table[:1] + table[2:] for table in tables)
    ]
    constraints = [
        LinearConstraint(np.array(one_each), 1, 1),
        LinearConstraint(np.array([weights + [0.0] * len(tables)]), ub=budget.weight_bits),
        LinearConstraint(np.array([acts + [0.0] * len(tables)]), ub=budget.act_bits * inputs),
    ]
    # Around one, where the solver's tolerances are made for.
    scaled = errors / max(float(errors.max()), np.finfo(float).tiny)
    objective = scaled * 1e6
    if prices is not None:
        constraints.append(LinearConstraint(np.array(linked), 0, 0))
        priced = [prices.linear(i, layer) for (i, _), layer in zip(entries, layers, strict=True)]
        priced += [prices.table(*table) for table in tables]
        for name, limit in limits.given().items():
            row = [float(getattr(resources, name)) for resources in priced]
            constraints.append(LinearConstraint(np.array([row]), ub=limit))
        if least is not None:
            # All errors together count less than one piece.
            row = [float(getattr(resources, least)) for resources in priced]
            objective = np.array(row) + scaled / (4 * len(uniform))
    solution = milp(
        objective,
        integrality=np.ones(len(objective)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={} if least is None else {"mip_rel_gap": 0.0},
    )
    if solution.x is None:
        return None
    taken = solution.x > 0.5
    picked = [layer for layer, take in zip(layers, taken[: len(layers)], strict=True) if take]
    for (index, phase_bits, _), take in zip(tables, taken[len(layers) :], strict=True):
        if take:
            picked[index] = replace(picked[index], phase_bits=phase_bits)
    return connected(picked)


def _chosen(alternative: Alternative, layer: LayerPlan) -> LayerPlan:
    return replace(
        layer,
        rotation=alternative.turn.side,
        order=alternative.turn.order,
        signs_seed=alternative.turn.signs_seed,
        weight_bits=alternative.weight_bits,
        act_bits=alternative.act_bits,
        granularity=alternative.granularity,
    )


def _tables(
    entries: Sequence[tuple[int, Alternative]], errors: Sequence[Mapping[int, float]]
) -> list[tuple[int, int, int]]:
    """(layer, address bits, output bits) of every table that a layer behind it could ask for."""
    widths = dict.fromkeys((i - 1, _taken(a)) for i, a in entries if i > 0)
    return [(at, phase_bits, bits) for at, bits in widths for phase_bits in errors[at]]


def _taken(alternative: Alternative) -> int:
    return given_bits(alternative.turn.side, alternative.act_bits)


def given_bits(rotation: Side, act_bits: int) -> int:
    """Width of what a layer is given, for ``act_bits`` of its quantized input."""
    return min(act_bits + (EXTRA_SINE_BITS if rotation == Side.INPUT else 0), MAX_BITS)


def connected(layers: Sequence[LayerPlan]) -> tuple[LayerPlan, ...]:
    """``layers`` with each activation as wide as the layer behind it needs."""
    following = [*layers[1:], None]
    result = []
    for layer, after in zip(layers, following, strict=True):
        if after is not None:
            layer = replace(layer, sine_bits=given_bits(after.rotation, after.act_bits))
        result.append(layer)
    return tuple(result)


def predicted_error(
    alternatives: Sequence[Sequence[Alternative]],
    layers: Sequence[LayerPlan],
    table_errors: Sequence[Mapping[int, float]] = (),
) -> float | None:
    """Sum of the measured errors of the tensors of a plan, None if one of them was not measured."""
    total = 0.0
    for errors, layer in zip(table_errors, layers, strict=False):
        total += errors.get(layer.phase_bits or 0, 0.0)
    for options, layer in zip(alternatives, layers, strict=True):
        found = [a.error for a in options if a.is_of(layer)]
        if not found:
            return None
        total += found[0]
    return total
