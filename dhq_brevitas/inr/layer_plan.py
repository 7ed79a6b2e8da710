# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of each linear layer: rotation, widths, scales, and the table behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dhq_brevitas.nn.activations import MAX_PHASE_BITS, MIN_PHASE_BITS
from dhq_brevitas.nn.hadamard import MAX_ORDER, largest_order
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.util.errors import ArgumentError, check_integer

__all__ = [
    "MAX_BITS",
    "MAX_CODE_BITS",
    "MAX_COORDINATE_BITS",
    "MIN_BITS",
    "LayerPlan",
    "LayerShape",
    "check_bits",
    "check_plans",
    "member",
    "weight_bits",
]

MIN_BITS, MAX_BITS = 2, 12
#: Of what a network quantizes itself, and of the integers that it is given: matrix_vector.sv takes
#: inputs of 24 bits, and float32, in which networks and graphs are given them, holds these exactly.
MAX_CODE_BITS, MAX_COORDINATE_BITS = 16, 24


@dataclass(frozen=True)
class LayerShape:
    """What a plan has to fit: a linear layer of a network, in the order in which they are called.

    Attributes:
        name, in_features, out_features: of the layer.
        has_table: whether a table of an activation is behind it.
        given_bits: width of what it is given, where no table decides that.
        feeder: index of the layer whose table it is fed with; None: another source.
        of_inputs: it is fed with the network's inputs.
    """

    name: str
    in_features: int
    out_features: int
    has_table: bool
    given_bits: int | None = None
    feeder: int | None = None
    of_inputs: bool = False

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return self.in_features * self.out_features


@dataclass(frozen=True)
class LayerPlan:
    """What becomes of one linear layer and of the activation after it.

    Attributes:
        name, in_features, out_features: of the linear layer.
        rotation, order: side, and block size, a power of two (1: no rotation).
        weight_bits: width of the weights.
        act_bits: width of the quantized input: for an input rotation that of the quantizer after
            it; otherwise of what the layer is given: the ``sine_bits`` of the layer before, or a
            width that is not the plan's to choose, such as that of the coordinates.
        granularity: of the weight scales; an output rotation mixes channels and needs ``tensor``.
        sine_bits: output of the table (of a sine or another function) behind the layer; None where
            there is none, as behind the last layer.
        scale: kind of the weight scales and of that of a rotated input.
        phase_bits: address bits of that table; None where there is none.
        signs_seed: of the rotation's random ±1 signs; None for the plain transform.

    Raises ValueError, which begins with the layer's name, for what does not go together.
    """

    name: str
    in_features: int
    out_features: int
    rotation: Side
    order: int
    weight_bits: int
    act_bits: int
    granularity: Granularity
    sine_bits: int | None
    scale: ScaleKind
    phase_bits: int | None
    signs_seed: int | None = None

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _check(self) -> None:
        convert = {"rotation": Side, "granularity": Granularity, "scale": ScaleKind}
        for name, kind in convert.items():
            object.__setattr__(self, name, member(kind, name, getattr(self, name)))
        check_bits("weight_bits", self.weight_bits, MIN_BITS, MAX_BITS)
        check_bits("sine_bits", self.sine_bits, MIN_BITS, MAX_BITS)
        most = MAX_CODE_BITS if self.rotation == Side.INPUT else MAX_COORDINATE_BITS
        check_bits("act_bits", self.act_bits, MIN_BITS, most)
        check_bits("phase_bits", self.phase_bits, MIN_PHASE_BITS, MAX_PHASE_BITS)
        if (self.sine_bits is None) != (self.phase_bits is None):
            raise ValueError("sine_bits and phase_bits must both be numbers, or both null")
        if self.rotation == Side.OUTPUT and self.granularity != Granularity.TENSOR:
            raise ValueError("an output rotation mixes the channels: use granularity='tensor'")
        self._check_order()

    def _check_order(self) -> None:
        if self.rotation == Side.NONE:
            if self.order != 1:
                raise ValueError(f"order={self.order} without a rotation must be 1")
            return
        size = self.in_features if self.rotation.of_inputs else self.out_features
        largest = largest_order(size)
        if largest == 1:
            raise ValueError(
                f"rotation={str(self.rotation)!r}: its size {size} is odd; use rotation='none'"
            )
        powers = [2**k for k in range(1, MAX_ORDER.bit_length())]
        if self.order not in powers or size % self.order:
            raise ValueError(
                f"order={self.order} must be a power of two that divides {size}: use 2 to {largest}"
            )

    @property
    def multiplied_bits(self) -> int:
        """See :meth:`Side.multiplied_bits`."""
        return self.rotation.multiplied_bits(self.act_bits, self.order)

    @property
    def weights(self) -> int:
        """Number of weights, biases not counted."""
        return self.in_features * self.out_features

    @property
    def turn(self) -> Rotation:
        """The rotation, with its signs."""
        size = self.in_features if self.rotation.of_inputs else self.out_features
        return Rotation.seeded(self.rotation, self.order, size, self.signs_seed)


def check_plans(plans: Sequence[LayerPlan], shapes: Sequence[LayerShape]) -> None:
    """ValueError, naming the layer, unless ``plans`` fit linear layers of ``shapes``."""
    if len(plans) != len(shapes):
        raise ValueError(
            f"the plan has {len(plans)} layers, the network has {len(shapes)} linear layers"
        )
    for index, (plan, shape) in enumerate(zip(plans, shapes, strict=True)):
        if plan.name != shape.name:
            raise ValueError(f"layer {index} of the plan is {plan.name!r}, not {shape.name!r}")
        if (plan.in_features, plan.out_features) != (shape.in_features, shape.out_features):
            raise ValueError(
                f"{plan.name}: the plan is for {plan.in_features} inputs and {plan.out_features} "
                f"outputs, the network's layer has {shape.in_features} and {shape.out_features}"
            )
        given = shape.given_bits
        if shape.feeder is not None:
            given = plans[shape.feeder].sine_bits
        # Without either, the layer quantizes its input itself, as the plan says.
        if plan.rotation != Side.INPUT and given is not None and plan.act_bits != given:
            raise ValueError(
                f"{plan.name}: act_bits={plan.act_bits} must be {given}, the width of what the "
                f"layer is given, since rotation={str(plan.rotation)!r} does not quantize it again"
            )
        if (plan.sine_bits is not None) != shape.has_table:
            raise ValueError(
                f"{plan.name}: sine_bits={plan.sine_bits}, but "
                + ("an activation follows it" if shape.has_table else "no activation follows it")
            )


def member(kind: type[StrEnum], name: str, value: str) -> Any:
    """``value`` as a member of ``kind``; ArgumentError that lists the members."""
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(str(member)) for member in kind)
        raise ArgumentError(name, value, f"is unknown: use {choices}") from None


def check_bits(name: str, bits: int | None, low: int, high: int) -> None:
    """ArgumentError unless ``bits`` is None or from ``low`` to ``high``."""
    if bits is None:
        return
    check_integer(name, bits, 0)
    if not low <= bits <= high:
        raise ArgumentError(name, bits, f"is out of range: use {low} to {high} bits")


def weight_bits(layers: Sequence[LayerPlan]) -> int:
    """Bits of all weights."""
    return sum(layer.weights * layer.weight_bits for layer in layers)
