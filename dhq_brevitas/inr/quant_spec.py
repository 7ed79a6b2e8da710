# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How a network is quantized, in a few words, and the plan of every layer that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dhq_brevitas.inr.layer_plan import (
    MAX_BITS,
    MIN_BITS,
    LayerPlan,
    LayerShape,
    check_bits,
    check_plans,
    member,
)
from dhq_brevitas.nn.activations import MAX_PHASE_BITS, MIN_PHASE_BITS
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.util.errors import ArgumentError, check_integer

__all__ = ["EXTRA_SINE_BITS", "QuantSpec", "Scheme", "plan_layers"]

# A rotated activation is quantized a second time; two more bits before the rotation make the first
# quantization negligible, and cost hardware only a wider table.
EXTRA_SINE_BITS = 2


class Scheme(StrEnum):
    """``dhq``: Hadamard-rotated quantizers where a rotation applies; ``stock``: none."""

    DHQ = "dhq"
    STOCK = "stock"


@dataclass(frozen=True)
class QuantSpec:
    """How a network is quantized.

    Attributes:
        scheme, scale, granularity: see the enumerations.
        weight_bits: of all layers but the first and the last, 2 to 12.
        act_bits: of the activations that are multiplied, 2 to 12.
        first_weight_bits: own width of the first layer, and others fed with the network's inputs.
            They have few weights, which ω_0 amplifies: at 8 bits they alone cost a picture 1 to 8
            dB, at 12 next to nothing.
        last_weight_bits: own width of the last layer; None: as ``weight_bits``.
        phase_bits: the activation's table has 2^phase_bits entries, 4 to 16.
        sine_bits: activation's output ahead of an input rotation, which is followed by the
            ``act_bits`` quantizer; None: ``act_bits`` + 2, at most 12.
        rotation: side on which the layers are rotated (scheme ``dhq``). One value holds for every
            layer but those fed with the network's inputs, and skips layers whose axis is odd; a
            tuple names the side of each layer.
        signs_seed: None for the plain transform, or the seed of random ±1 signs.
        layers: one plan a linear layer, which then replaces all of the above; None: they are made
            from the above by :func:`plan_layers`.

    >>> QuantSpec(weight_bits=6, scale="dyadic", rotation="after").scale
    <ScaleKind.DYADIC: 'dyadic'>
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
    layers: tuple[LayerPlan, ...] | None = None

    def __post_init__(self) -> None:
        convert = {"scheme": Scheme, "scale": ScaleKind, "granularity": Granularity}
        for name, kind in convert.items():
            object.__setattr__(self, name, member(kind, name, getattr(self, name)))
        if isinstance(self.rotation, str):
            rotation: Any = member(Side, "rotation", self.rotation)
        else:
            rotation = tuple(member(Side, "rotation", side) for side in self.rotation)
        object.__setattr__(self, "rotation", rotation)
        for name in ("weight_bits", "act_bits", "first_weight_bits", "phase_bits"):
            check_integer(name, getattr(self, name), 0)
        for name in (
            "weight_bits",
            "act_bits",
            "first_weight_bits",
            "last_weight_bits",
            "sine_bits",
        ):
            check_bits(name, getattr(self, name), MIN_BITS, MAX_BITS)
        check_bits("phase_bits", self.phase_bits, MIN_PHASE_BITS, MAX_PHASE_BITS)
        if self.signs_seed is not None:
            check_integer("signs_seed", self.signs_seed, 0)


def plan_layers(shapes: Sequence[LayerShape], quant: QuantSpec) -> list[LayerPlan]:
    """One plan for each linear layer of a network, in the order in which they are called.

    Raises ValueError if ``quant.rotation`` names a side for a layer that has no rotation there (odd
    size), does not have one entry a layer, or if no layer at all can be rotated; and if
    ``quant.layers`` do not fit the network.
    """
    if quant.layers is not None:
        check_plans(quant.layers, shapes)
        return list(quant.layers)
    sides = _sides(shapes, quant)
    rotated = {s.feeder for s, side in zip(shapes, sides, strict=True) if side == Side.INPUT}
    tables = [_table_bits(quant, index in rotated) for index in range(len(shapes))]
    plans = []
    for index, (shape, side) in enumerate(zip(shapes, sides, strict=True)):
        given = shape.given_bits if side != Side.INPUT else None
        if side != Side.INPUT and shape.feeder is not None:
            given = tables[shape.feeder]
        plans.append(
            LayerPlan(
                name=shape.name,
                in_features=shape.in_features,
                out_features=shape.out_features,
                rotation=side,
                order=_order(shape, side),
                weight_bits=_weight_bits(quant, shape, index == len(shapes) - 1),
                act_bits=quant.act_bits if given is None else given,
                # An output-side rotation mixes the channels, so their scales must be one.
                granularity=Granularity.TENSOR if side == Side.OUTPUT else quant.granularity,
                sine_bits=tables[index] if shape.has_table else None,
                scale=quant.scale,
                phase_bits=quant.phase_bits if shape.has_table else None,
                signs_seed=_layer_seed(quant, index, side),
            )
        )
    return plans


def _table_bits(quant: QuantSpec, rotated: bool) -> int:
    """Width of a table's output; ``rotated``: a layer rotates it and quantizes it again."""
    if not rotated:
        return quant.act_bits
    return quant.sine_bits or min(quant.act_bits + EXTRA_SINE_BITS, MAX_BITS)


def _weight_bits(quant: QuantSpec, shape: LayerShape, last: bool) -> int:
    if shape.of_inputs:
        return quant.first_weight_bits
    return (last and quant.last_weight_bits) or quant.weight_bits


def _layer_seed(quant: QuantSpec, index: int, side: Side) -> int | None:
    if quant.signs_seed is None or side == Side.NONE:
        return None
    return quant.signs_seed + index


def _sides(shapes: Sequence[LayerShape], quant: QuantSpec) -> list[Side]:
    if quant.scheme == Scheme.STOCK:
        return [Side.NONE] * len(shapes)
    if isinstance(quant.rotation, Side):
        side = quant.rotation
        sides = [
            side if _order(shape, side) > 1 and not shape.of_inputs else Side.NONE
            for shape in shapes
        ]
        if side != Side.NONE and not any(s != Side.NONE for s in sides):
            sizes = [(shape.in_features, shape.out_features) for shape in shapes]
            raise ArgumentError(
                "rotation",
                str(side),
                f"applies to no layer of sizes {sizes}: the hidden width must be even (a Hadamard "
                "block is a power of two), or use scheme='stock'",
            )
        return sides
    if len(quant.rotation) != len(shapes):
        raise ValueError(
            f"rotation has {len(quant.rotation)} entries, the network {len(shapes)} linear layers"
        )
    for shape, side in zip(shapes, quant.rotation, strict=True):
        if side != Side.NONE and _order(shape, side) == 1:
            size = shape.in_features if side.of_inputs else shape.out_features
            raise ValueError(
                f"{shape.name}: rotation={str(side)!r}: its size {size} is odd; use 'none' there"
            )
    return list(quant.rotation)


def _order(shape: LayerShape, side: Side) -> int:
    if side == Side.NONE:
        return 1
    return largest_order(shape.in_features if side.of_inputs else shape.out_features)
