# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The ways in which each layer can be quantized, what each costs, and the budget for them all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tqdm.auto import tqdm

from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS, LayerPlan, LayerShape, weight_bits
from dhq_brevitas.inr.layers import Layer
from dhq_brevitas.inr.quant_spec import EXTRA_SINE_BITS
from dhq_brevitas.nn.activations import MIN_PHASE_BITS
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import Granularity
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.util.errors import ArgumentError

__all__ = [
    "MULTIPLIED_BITS",
    "Alternative",
    "Budget",
    "average_act_bits",
    "connected",
    "given_bits",
    "measure_alternatives",
    "measure_tables",
    "predicted_error",
]

BIT_RANGE = 3  # widths tried on either side of the average, where layers are large
PHASE_BIT_RANGE = 4  # table address bits tried below those given
ACT_BIT_RANGE = (2, 4)  # below and above the average
LARGE_SHARE = 0.05  # of all weights; a smaller layer is also offered every width above
BLOCK = 16
#: Bits that are multiplied with a weight, at most: the kernel ``matrix_vector``, and adders, take
#: inputs of 24, FINN's MVAU of 18, those of a DSP48. One is kept for activations without sign.
MULTIPLIED_BITS = {"matrix_vector": 23, "adders": 23, "finn": 17}
#: Bits of the sums that a rotation behind a layer takes, at most: hadamard_transform.sv.
TURNED_BITS = 24
SIGNS_SEED = 1


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
        multiplied_bits: width of what a rotation behind the quantizer leaves, at most; a value of
            ``MULTIPLIED_BITS``.
    """

    weight_bits: int
    act_bits: float = 8.0
    multiplied_bits: int = MULTIPLIED_BITS["matrix_vector"]

    def holds(self, layers: Sequence[LayerPlan]) -> bool:
        """Whether ``layers`` keep to it."""
        turned = [layer.multiplied_bits for layer in layers if layer.rotation == Side.AFTER]
        return (
            weight_bits(layers) <= self.weight_bits
            and average_act_bits(layers) <= self.act_bits
            and max(turned, default=0) <= self.multiplied_bits
        )

    def check(self, layers: Sequence[LayerPlan]) -> None:
        """ValueError, naming the smallest possible budget, if no plan of these layers can."""
        weights = sum(layer.weights for layer in layers)
        if self.weight_bits < weights * MIN_BITS:
            raise ArgumentError(
                "budget",
                self.weight_bits,
                f"weight bits cannot be met: the smallest that can is {weights * MIN_BITS}, "
                f"{MIN_BITS} bits for each of {weights} weights",
            )
        if not MIN_BITS <= self.act_bits <= MAX_BITS:
            problem = f"cannot be met: use {MIN_BITS} to {MAX_BITS} on average"
            raise ArgumentError("act_bits", self.act_bits, problem)


@dataclass(frozen=True)
class Alternative:
    """One way of quantizing a layer's weight and input; errors are mean squares at the output."""

    turn: Rotation
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
        mine = (self.turn, self.weight_bits, self.act_bits, self.granularity)
        return mine == (layer.turn, layer.weight_bits, layer.act_bits, layer.granularity)

    def of(self, layer: LayerPlan) -> LayerPlan:
        """``layer`` quantized this way."""
        return replace(
            layer,
            rotation=self.turn.side,
            order=self.turn.order,
            signs_seed=self.turn.signs_seed,
            weight_bits=self.weight_bits,
            act_bits=self.act_bits,
            granularity=self.granularity,
        )


def measure_alternatives(
    probe: Probe,
    uniform: Sequence[LayerPlan],
    shapes: Sequence[LayerShape],
    budget: Budget,
    progress: bool,
    measured: bool = True,
) -> list[list[Alternative]]:
    """For each layer of ``uniform``, an unrotated plan, its alternatives with measured errors.

    ``shapes``: what the plan has to fit. ``measured=False``: with errors of 0, at once.
    """
    total = sum(layer.weights for layer in uniform)
    average = budget.weight_bits / total
    bar = tqdm(uniform, desc="sensitivities", unit="layer", disable=not progress or not measured)
    result = []
    for index, layer in enumerate(bar):
        widths = _weight_widths(average, layer.weights > LARGE_SHARE * total)
        alternatives = []
        for turn in _turns(probe, index, layer, round(average), shapes[index].of_inputs):
            granularity = Granularity.TENSOR if turn.side == Side.OUTPUT else layer.granularity
            # What a layer is given without a table is as it is.
            acts = {layer.act_bits: 0.0}
            if shapes[index].given_bits is None or turn.side == Side.INPUT:
                acts = {
                    bits: probe.act_error(index, turn, bits, layer.scale) if measured else 0.0
                    for bits in _act_widths(budget.act_bits)
                }
            room = float(MAX_BITS)
            if turn.side == Side.OUTPUT and shapes[index].of_inputs:
                # Sums of few inputs, so that none stays much smaller than it may be.
                room = TURNED_BITS + 1 - layer.act_bits - math.log2(layer.in_features)
            for bits in (width for width in widths if width <= room):
                error = 0.0
                if measured:
                    error = probe.weight_error(index, turn, bits, layer.scale, granularity)
                alternatives += [
                    Alternative(turn, bits, act, granularity, error, act_error)
                    for act, act_error in acts.items()
                ]
        result.append([*alternatives, *_rotated_after(alternatives, budget.multiplied_bits)])
    return result


def _rotated_after(alternatives: Sequence[Alternative], widest: int) -> list[Alternative]:
    """The input rotations once more, after the quantizer, up to ``widest`` bits.

    Nothing else is rounded then: the weight is that of the rotation before it, the input that of no
    rotation, and so are the errors.
    """
    acts = {a.act_bits: a.act_error for a in alternatives if a.turn.side == Side.NONE}
    after = [
        replace(a, turn=replace(a.turn, side=Side.AFTER), act_error=acts[a.act_bits])
        for a in alternatives
        if a.turn.side == Side.INPUT and a.act_bits in acts
    ]
    return [a for a in after if a.multiplied_bits <= widest]


def measure_tables(
    probe: Probe, uniform: Sequence[LayerPlan], layers: Sequence[Layer]
) -> list[dict[int, float]]:
    """For each layer the errors of the table behind it alone, by address bits up to ``uniform``'s.

    Empty where there is no table.
    """
    result = []
    for plan, layer in zip(uniform, layers, strict=True):
        errors = {}
        if layer.activation is not None and plan.phase_bits is not None:
            most = plan.phase_bits
            for bits in range(max(MIN_PHASE_BITS, most - PHASE_BIT_RANGE), most + 1):
                errors[bits] = probe.table_error(layer.activation, bits)
        result.append(errors)
    return result


def _weight_widths(average: float, large: bool) -> range:
    low = max(MIN_BITS, math.floor(average) - BIT_RANGE)
    high = min(MAX_BITS, math.ceil(average) + BIT_RANGE)
    return range(low, high + 1) if large else range(min(math.floor(average), high), MAX_BITS + 1)


def _act_widths(average: float) -> range:
    below, above = ACT_BIT_RANGE
    low = max(MIN_BITS, math.floor(average) - below)
    return range(low, min(MAX_BITS, math.ceil(average) + above) + 1)


def _turns(
    probe: Probe, index: int, layer: LayerPlan, bits: int, of_inputs: bool
) -> list[Rotation]:
    """No rotation, the input rotation of least rounding error, and an output rotation.

    (:func:`_rotated_after` adds the input rotation after the quantizer.)
    """
    turns = [Rotation()]
    largest = largest_order(layer.in_features)
    if not of_inputs and largest > 1:
        shapes = [
            probe.rotation(index, Side.INPUT, largest),
            probe.rotation(index, Side.INPUT, largest, SIGNS_SEED + index),
        ]
        if largest > BLOCK:
            shapes.append(probe.rotation(index, Side.INPUT, BLOCK))
        turns.append(min(shapes, key=lambda turn: _nearest_cost(probe, index, turn, layer, bits)))
    largest = largest_order(layer.out_features)
    if largest > 1:
        turns.append(probe.rotation(index, Side.OUTPUT, largest))
    return turns


def _nearest_cost(probe: Probe, index: int, turn: Rotation, layer: LayerPlan, bits: int) -> float:
    value = probe.quantized_weight(index, turn, bits, layer.scale, layer.granularity, learned=False)
    return probe.fit(index, turn).cost(value)


def given_bits(rotation: Side, act_bits: int) -> int:
    """Width of what a layer is given, for ``act_bits`` of its quantized input."""
    return min(act_bits + (EXTRA_SINE_BITS if rotation == Side.INPUT else 0), MAX_BITS)


def connected(
    layers: Sequence[LayerPlan], feeders: Sequence[int | None] = ()
) -> tuple[LayerPlan, ...]:
    """``layers`` with each activation as wide as the layers that it feeds need.

    ``feeders``: for each layer the index of the one whose table it is fed with; by default the one
    before it.
    """
    feeders = feeders or range(-1, len(layers) - 1)
    result = list(layers)
    for index, layer in enumerate(layers):
        fed = [i for i, feeder in enumerate(feeders) if feeder == index]
        if not fed or layer.sine_bits is None:
            continue
        bits = max(given_bits(layers[i].rotation, layers[i].act_bits) for i in fed)
        result[index] = replace(result[index], sine_bits=bits)
        for i in fed:
            if layers[i].rotation != Side.INPUT:
                result[i] = replace(result[i], act_bits=bits)
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
