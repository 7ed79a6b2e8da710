# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Plans that are one step away from another."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS, LayerPlan, LayerShape
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.planning.alternatives import LARGE_SHARE, SIGNS_SEED, connected

__all__ = ["neighbors"]

Layers = tuple[LayerPlan, ...]


def neighbors(layers: Layers, shapes: Sequence[LayerShape]) -> Iterator[tuple[str, Layers]]:
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
    for index in range(len(layers)):
        if shapes[index].of_inputs:
            continue
        given = shapes[index].given_bits
        for name, change in _turned(layers[index], index):
            if given is not None and change["rotation"] != Side.INPUT:
                change = {**change, "act_bits": given}  # nothing quantizes it again
            steps.append((name, {index: change}))
    free = [i for i, s in enumerate(shapes) if not s.of_inputs and s.given_bits is None]
    move("act_bits", "activation", free)
    for name, changes in steps:
        yield (
            name,
            connected(
                [replace(layer, **changes.get(i, {})) for i, layer in enumerate(layers)],
                [shape.feeder for shape in shapes],
            ),
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
