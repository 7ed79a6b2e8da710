# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The Hadamard rotation of a linear layer: on which side, in which blocks, with which signs.

For a linear layer y = x Wᵀ and R = D·(I ⊗ H), H the ±1 Hadamard matrix of order 2^k and D optional
signs, x R · (W R)ᵀ = 2^k · x Wᵀ. The factor is shared out in powers of two, so that float32 stays
exact wherever its inputs are integers times a power of two:

* side ``input``: the layer multiplies x R · 2^-⌊k/2⌋ with W R · 2^-⌈k/2⌉;
* side ``after``: the same, but x is quantized before it is rotated and not after;
* side ``output``: Rᵀ W · 2^-⌈k/2⌉ is what is quantized, and R · 2^-⌊k/2⌋ times that is the weight.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from torch import Tensor

from dhq_brevitas.nn.hadamard import hadamard_transform, random_signs

__all__ = ["Rotation", "Side"]


class Side(StrEnum):
    """Where a layer is rotated; see the module docstring."""

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
class Rotation:
    """R, and how its factor 2^k is shared out.

    Attributes:
        side: the side of the layer that is rotated.
        order: block size 2^k; 1: no rotation.
        signs: D, float ±1 [size of the rotated axis]; None: all +1.
        signs_seed: what ``signs`` were drawn from, if they were; two rotations are equal if side,
            order and seed are.
    """

    side: Side = Side.NONE
    order: int = 1
    signs: Tensor | None = field(default=None, compare=False, repr=False)
    signs_seed: int | None = None

    @classmethod
    def seeded(cls, side: Side, order: int, size: int, seed: int | None) -> "Rotation":
        """The rotation of an axis of ``size`` with random signs, or with none for ``seed=None``."""
        return cls(side, order, None if seed is None else random_signs(size, seed), seed)

    def __str__(self) -> str:
        if self.side == Side.NONE:
            return "none"
        signs = "" if self.signs_seed is None else ", signs"
        return f"{self.side} {self.order}{signs}"

    @property
    def growth(self) -> int:
        """k: bits by which integers grow when they are rotated without a factor."""
        return self.order.bit_length() - 1

    @property
    def weight_scale(self) -> float:
        """Power of two applied to the rotated weight: 2^-⌈k/2⌉."""
        return 2.0 ** -(self.growth - self.growth // 2)

    @property
    def other_scale(self) -> float:
        """Power of two applied on the other side of the product: 2^-⌊k/2⌋."""
        return 2.0 ** -(self.growth // 2)

    @property
    def weight_axis(self) -> int:
        """Axis of the weight [m, n, …] that is rotated."""
        return 1 if self.side.of_inputs else 0

    def rotate_weight(self, weight: Tensor) -> Tensor:
        """The tensor that is quantized, of the weight's shape: W R or Rᵀ W, times weight_scale."""
        return self._rotate(weight, self.weight_scale, self.weight_axis)

    def unrotate_weight(self, rotated: Tensor) -> Tensor:
        """Inverse of :meth:`rotate_weight`."""
        return self._rotate_back(rotated, self.other_scale, self.weight_axis)

    def rotate_input(self, x: Tensor, axis: int = -1) -> Tensor:
        """x R · 2^-⌊k/2⌋ along ``axis``; ``x`` itself when the inputs are not rotated."""
        return self._rotate(x, self.other_scale, axis) if self.side.of_inputs else x

    def unrotate_input(self, rotated: Tensor, axis: int = -1) -> Tensor:
        """Inverse of :meth:`rotate_input`."""
        if not self.side.of_inputs:
            return rotated
        return self._rotate_back(rotated, self.weight_scale, axis)

    def rotate_output(self, y: Tensor) -> Tensor:
        """What a product with the rotated weight gives, for outputs y [N, m] of the layer."""
        return self._rotate(y, self.weight_scale, -1) if self.side == Side.OUTPUT else y

    def _rotate(self, x: Tensor, scale: float, axis: int, signs: bool = True) -> Tensor:
        """(x · D)(I ⊗ H) · scale along ``axis``; shape and dtype of ``x`` are kept."""
        if self.order == 1:
            return x
        d = self.signs.to(x) if signs and self.signs is not None else None
        moved = x.movedim(axis, -1)
        return hadamard_transform(moved, order=self.order, signs=d, scale=scale).movedim(-1, axis)

    def _rotate_back(self, x: Tensor, scale: float, axis: int) -> Tensor:
        """(I ⊗ H)(x) · D · scale along ``axis``: the transpose of :meth:`_rotate`."""
        x = self._rotate(x, scale, axis, signs=False)
        if self.order == 1 or self.signs is None:
            return x
        shape = [1] * x.ndim
        shape[axis] = -1
        return x * self.signs.to(x).view(shape)
