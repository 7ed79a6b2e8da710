# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Descriptions of an INR and of its quantization, from which :mod:`dhq_brevitas.inr` builds."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from torch import Tensor

from dhq_brevitas.activations import MAX_PHASE_BITS, MIN_PHASE_BITS
from dhq_brevitas.families import Activation, get_family
from dhq_brevitas.hadamard import MAX_ORDER, largest_order

__all__ = [
    "MAX_BITS",
    "MAX_COORDINATE_BITS",
    "MAX_LAYERS",
    "MIN_BITS",
    "Granularity",
    "InrSpec",
    "LayerPlan",
    "QuantSpec",
    "ScaleKind",
    "Scheme",
    "Side",
    "check_bits",
    "check_plans",
    "plan_layers",
]

MIN_BITS, MAX_BITS = 2, 12
MAX_COORDINATE_BITS = 16
MAX_LAYERS = 5
# A rotated activation is quantized a second time; two more bits before the rotation make the first
# quantization negligible, and cost hardware only a wider table.
EXTRA_SINE_BITS = 2


class Scheme(StrEnum):
    """``dhq``: Hadamard-rotated quantizers where a rotation applies; ``stock``: none."""

    DHQ = "dhq"
    STOCK = "stock"


class ScaleKind(StrEnum):
    """Quantizer scales: ``po2`` 2^e, ``dyadic`` m·2^e with a short m, ``float`` unrestricted."""

    PO2 = "po2"
    DYADIC = "dyadic"
    FLOAT = "float"


class Granularity(StrEnum):
    """Weight scales: one a tensor or one an output channel."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class Side(StrEnum):
    """Where a layer is rotated; see :mod:`dhq_brevitas.proxies`.

    ``input``: the input, before it is quantized; ``after``: the quantized input, exactly, which the
    weights then meet as wider integers; ``output``: behind the product; ``none``.
    """

    INPUT = "input"
    AFTER = "after"
    OUTPUT = "output"
    NONE = "none"

    @property
    def of_inputs(self) -> bool:
        """Whether the input channels are rotated, and so the rows of the weight."""
        return self in (Side.INPUT, Side.AFTER)

    def multiplied_bits(self, act_bits: int, order: int) -> int:
        """Width of the integers that the weights are multiplied with.

        ``act_bits``; log2(order) more if signed codes are rotated after their quantizer (for codes
        without sign one more still).
        """
        return act_bits + (order.bit_length() - 1 if self == Side.AFTER else 0)


@dataclass(frozen=True)
class InrSpec:
    """Shape of an INR.

    Attributes:
        hidden: width of every hidden layer.
        layers: number of hidden layers, 1 to 5; a linear layer follows, and an encoding may precede
            them.
        in_features: coordinates, out_features: samples (3 for RGB, 1 for grey).
        family: name of an INR family, see :func:`dhq_brevitas.families.get_family`.
        parameters: the family's numbers, such as ω; those not given have their defaults.
    """

    hidden: int = 128
    layers: int = 3
    in_features: int = 2
    out_features: int = 3
    family: str = "siren"
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("hidden", "in_features", "out_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 1 <= self.layers <= MAX_LAYERS:
            raise ValueError(f"layers={self.layers} is out of range: use 1 to {MAX_LAYERS}")
        checked = get_family(self.family).checked(self.parameters)
        object.__setattr__(self, "parameters", checked)
        self.encoding  # noqa: B018  raises ValueError for numbers the family cannot use

    @property
    def encoding(self) -> tuple[Tensor, Tensor] | None:
        """Weight and bias of a first linear layer that is an encoding, which is not trained."""
        family = get_family(self.family)
        return family.encoding and family.encoding(self.in_features, self.parameters)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(in_features, out_features) of every linear layer."""
        widths = [self.in_features, *[self.hidden] * self.layers, self.out_features]
        if self.encoding is not None:
            widths.insert(1, len(self.encoding[1]))
        return list(itertools.pairwise(widths))

    @property
    def activations(self) -> list[Activation]:
        """The activation behind every linear layer but the last."""
        family = get_family(self.family)
        return [family.activation(self.parameters, i) for i in range(len(self.sizes) - 1)]


@dataclass(frozen=True)
class QuantSpec:
    """How a network is quantized.

    Attributes:
        scheme, scale, granularity: see the enumerations.
        weight_bits: of all layers but the first and the last, 2 to 12.
        act_bits: of the activations that are multiplied, 2 to 12.
        first_weight_bits: own width of the first layer. It has few weights, which ω_0 amplifies: at
            8 bits it alone costs a picture 1 to 8 dB, at 12 next to nothing.
        last_weight_bits: own width of the last layer; None: as ``weight_bits``.
        phase_bits: the activation's table has 2^phase_bits entries, 4 to 16.
        sine_bits: activation's output ahead of an input rotation, which is followed by the
            ``act_bits`` quantizer; None: ``act_bits`` + 2, at most 12.
        rotation: side on which the layers are rotated (scheme ``dhq``). One value holds for every
            layer but the first, which has two inputs, and skips layers whose axis is odd; a tuple
            names the side of each layer.
        signs_seed: None for the plain transform, or the seed of random ±1 signs.
        layers: one plan a linear layer, which then replaces all of the above; None: they are made
            from the above by :func:`plan_layers`.
    """

    scheme: Scheme = Scheme.DHQ
    scale: ScaleKind = ScaleKind.PO2
    granularity: Granularity = Granularity.CHANNEL
    weight_bits: int = 8
    act_bits: int = 8
    first_weight_bits: int = 12
    last_weight_bits: int | None = None
    phase_bits: int = 12
    sine_bits: int | None = None
    rotation: Side | tuple[Side, ...] = Side.INPUT
    signs_seed: int | None = None
    layers: "tuple[LayerPlan, ...] | None" = None

    def __post_init__(self) -> None:
        convert = {"scheme": Scheme, "scale": ScaleKind, "granularity": Granularity}
        for name, kind in convert.items():
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        if isinstance(self.rotation, str):
            rotation: Any = _member(Side, "rotation", self.rotation)
        else:
            rotation = tuple(_member(Side, "rotation", side) for side in self.rotation)
        object.__setattr__(self, "rotation", rotation)
        for name in (
            "weight_bits",
            "act_bits",
            "first_weight_bits",
            "last_weight_bits",
            "sine_bits",
        ):
            check_bits(name, getattr(self, name), MIN_BITS, MAX_BITS)
        check_bits("phase_bits", self.phase_bits, MIN_PHASE_BITS, MAX_PHASE_BITS)
        if self.signs_seed is not None and self.signs_seed < 0:
            raise ValueError(f"signs_seed={self.signs_seed} must be at least 0")


def _member(kind: type[StrEnum], name: str, value: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(str(member)) for member in kind)
        raise ValueError(f"{name}={value!r} is unknown: use {choices}") from None


def check_bits(name: str, bits: int | None, low: int, high: int) -> None:
    """ValueError unless ``bits`` is None or from ``low`` to ``high``."""
    if bits is not None and not low <= bits <= high:
        raise ValueError(f"{name}={bits} is out of range: use {low} to {high} bits")


@dataclass(frozen=True)
class LayerPlan:
    """What becomes of one linear layer and of the activation after it.

    Attributes:
        name, in_features, out_features: of the linear layer.
        rotation, order: side, and block size, a power of two (1: no rotation).
        weight_bits: width of the weights.
        act_bits: width of the quantized input: for an input rotation that of the quantizer after
            it; otherwise what the layer is given, which is the ``sine_bits`` of the layer before or
            the width of the coordinates.
        granularity: of the weight scales; an output rotation mixes channels and needs ``tensor``.
        sine_bits: output of the activation (a sine or another) after the layer; None for the last
            layer, which has none.
        scale: kind of the weight scales and of that of a rotated input.
        phase_bits: address bits of the activation's table; None for the last layer.
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
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        check_bits("weight_bits", self.weight_bits, MIN_BITS, MAX_BITS)
        check_bits("sine_bits", self.sine_bits, MIN_BITS, MAX_BITS)
        check_bits("act_bits", self.act_bits, MIN_BITS, MAX_COORDINATE_BITS)
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


def plan_layers(spec: InrSpec, quant: QuantSpec, coordinate_bits: int) -> list[LayerPlan]:
    """One plan a linear layer. ``coordinate_bits``: signed width of the pixel codes.

    Raises ValueError if ``quant.rotation`` names a side for a layer that has no rotation there (odd
    size), does not have one entry a layer, or if no layer at all can be rotated; and if
    ``quant.layers`` do not fit the network.
    """
    if quant.layers is not None:
        check_plans(quant.layers, spec.sizes, coordinate_bits)
        return list(quant.layers)
    sides = _sides(spec, quant)
    last = len(sides) - 1
    plans = []
    for index, ((n_in, n_out), side) in enumerate(zip(spec.sizes, sides, strict=True)):
        weight_bits = quant.weight_bits
        if index == 0:
            weight_bits = quant.first_weight_bits
        elif index == last:
            weight_bits = quant.last_weight_bits or quant.weight_bits
        sine_bits = None
        if index < last:
            sine_bits = quant.act_bits
            if sides[index + 1] == Side.INPUT:
                sine_bits = quant.sine_bits or min(quant.act_bits + EXTRA_SINE_BITS, MAX_BITS)
        plans.append(
            LayerPlan(
                name=f"linear{index}",
                in_features=n_in,
                out_features=n_out,
                rotation=side,
                order=_order(n_in, n_out, side),
                weight_bits=weight_bits,
                act_bits=coordinate_bits if index == 0 and side != Side.INPUT else quant.act_bits,
                # An output-side rotation mixes the channels, so their scales must be one.
                granularity=Granularity.TENSOR if side == Side.OUTPUT else quant.granularity,
                sine_bits=sine_bits,
                scale=quant.scale,
                phase_bits=quant.phase_bits if index < last else None,
                signs_seed=_layer_seed(quant, index, side),
            )
        )
    return plans


def _layer_seed(quant: QuantSpec, index: int, side: Side) -> int | None:
    if quant.signs_seed is None or side == Side.NONE:
        return None
    return quant.signs_seed + index


def check_plans(
    plans: Sequence[LayerPlan], sizes: Sequence[tuple[int, int]], coordinate_bits: int
) -> None:
    """ValueError, naming the layer, unless ``plans`` fit linear layers of ``sizes`` in a row."""
    if len(plans) != len(sizes):
        raise ValueError(
            f"the plan has {len(plans)} layers, the network has {len(sizes)} linear layers"
        )
    given = coordinate_bits
    for index, (plan, (n_in, n_out)) in enumerate(zip(plans, sizes, strict=True)):
        if plan.name != f"linear{index}":
            raise ValueError(f"layer {index} of the plan is {plan.name!r}, not 'linear{index}'")
        if (plan.in_features, plan.out_features) != (n_in, n_out):
            raise ValueError(
                f"{plan.name}: the plan is for {plan.in_features} inputs and {plan.out_features} "
                f"outputs, the network's layer has {n_in} and {n_out}"
            )
        if plan.rotation != Side.INPUT and plan.act_bits != given:
            raise ValueError(
                f"{plan.name}: act_bits={plan.act_bits} must be {given}, the width of what the "
                f"layer is given, since rotation={str(plan.rotation)!r} does not quantize it again"
            )
        if (plan.sine_bits is None) != (index == len(sizes) - 1):
            raise ValueError(
                f"{plan.name}: sine_bits={plan.sine_bits}, but every layer except the last is "
                "followed by an activation"
            )
        given = plan.sine_bits or 0


def _sides(spec: InrSpec, quant: QuantSpec) -> list[Side]:
    sizes = spec.sizes
    if quant.scheme == Scheme.STOCK:
        return [Side.NONE] * len(sizes)
    if isinstance(quant.rotation, Side):
        side = quant.rotation
        sides = [Side.NONE] + [
            side if _order(n_in, n_out, side) > 1 else Side.NONE for n_in, n_out in sizes[1:]
        ]
        if side != Side.NONE and not any(s != Side.NONE for s in sides):
            raise ValueError(
                f"rotation={str(side)!r} applies to no layer of sizes {sizes}: "
                f"hidden={spec.hidden} must be even (a Hadamard block is a power of two), or use "
                "scheme='stock'"
            )
        return sides
    if len(quant.rotation) != len(sizes):
        raise ValueError(
            f"rotation has {len(quant.rotation)} entries, the network {len(sizes)} linear layers"
        )
    for index, ((n_in, n_out), side) in enumerate(zip(sizes, quant.rotation, strict=True)):
        if side != Side.NONE and _order(n_in, n_out, side) == 1:
            size = n_in if side.of_inputs else n_out
            raise ValueError(
                f"linear{index}: rotation={str(side)!r}: its size {size} is odd; use 'none' there"
            )
    return list(quant.rotation)


def _order(n_in: int, n_out: int, side: Side) -> int:
    return 1 if side == Side.NONE else largest_order(n_in if side.of_inputs else n_out)
