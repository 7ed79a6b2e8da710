# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the pass knows of each tensor it visits."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import TensorProto

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS
from dhq_brevitas.nn.hadamard import hadamard_transform_int

ZERO = np.zeros(())
# Bits that a scale must keep beside a wide accumulator; a code behind thresholds has as many.
MIN_SCALE_BITS = 12


@dataclass(frozen=True)
class Constant:
    """A constant: ``values`` for a plain one, ``values = codes · scale`` for a quantized one."""

    values: np.ndarray
    codes: np.ndarray | None = None
    scale: np.ndarray | None = None
    datatype: str = "FLOAT32"
    # (order, normalize) of a HadamardTransform applied to the last axis of the codes.
    transform: tuple[int, int] | None = None
    transform_axis: int = -1
    # Factors after that transform, broadcastable to the codes.
    transform_scale: np.ndarray = field(default_factory=lambda: np.ones(1))


@dataclass(frozen=True)
class Scaled:
    """value = scale·q + offset, q the integer tensor ``name`` with ``low`` ≤ q ≤ ``high``.

    ``scale`` and ``offset`` are float64 scalars or vectors along the last axis. ``rotation``: what
    q is the transform of, if it is one.
    """

    name: str
    scale: np.ndarray
    offset: np.ndarray
    low: int
    high: int
    rotation: "Rotated | None" = None

    @property
    def magnitude(self) -> int:
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Rotated:
    """q = (p · D)(I ⊗ H) for integers p with ``low`` ≤ p ≤ ``high``; ``signs`` None: D = 1."""

    low: int
    high: int
    order: int
    signs: np.ndarray | None

    def product_range(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact range of q · codes, ``codes`` [n, m], int64 [m]: that of p · (D (I ⊗ H) codes).

        Far smaller than what the ranges of single q suggest: they are never large all together.
        """
        turned = rotated_weights(codes, self.order, self.signs)
        positive, negative = np.maximum(turned, 0), np.minimum(turned, 0)
        low = self.low * positive + self.high * negative
        high = self.high * positive + self.low * negative
        return low.sum(axis=0), high.sum(axis=0)

    def largest_sum(self, codes: np.ndarray) -> float:
        """Bound of every partial sum of q · codes: |q|₂ ≤ √(order · n) · max|p|, Cauchy-Schwarz."""
        peak = max(abs(self.low), abs(self.high))
        longest = float(np.sqrt(self.order * len(codes))) * peak
        return longest * float(np.linalg.norm(codes.astype(np.float64), axis=0).max())


def rotated_weights(codes: np.ndarray, order: int, signs: np.ndarray | None) -> np.ndarray:
    """D (I ⊗ H) codes for integers [n, m], int64: (p·D)(I ⊗ H) · codes = p · (D (I ⊗ H) codes)."""
    turned = hadamard_transform_int(codes.T.astype(np.int64), order=order).T
    return turned if signs is None else turned * signs.astype(np.int64).reshape(-1, 1)


@dataclass(frozen=True)
class Real:
    """A tensor that is not a scaled integer, copied under its own name."""

    name: str


Value = Constant | Scaled | Real


def integer(name: str, low: int, high: int) -> Scaled:
    """The integer tensor ``name`` itself: scale 1, offset 0."""
    return Scaled(name, np.ones(()), ZERO, low, high)


def integer_type(value: int) -> str:
    """Name of the smallest signed datatype that holds ``value``."""
    return f"INT{max(2, (value if value >= 0 else ~value).bit_length() + 1)}"


def transposed(constant: Constant) -> Constant:
    """The transpose of a two-dimensional constant, with its codes and scale."""

    def flip(array: np.ndarray | None) -> np.ndarray | None:
        return array if array is None or array.ndim < 2 else array.T

    return replace(
        constant,
        values=constant.values.T,
        codes=flip(constant.codes),
        scale=flip(constant.scale),
        transform_axis=1 - constant.transform_axis,
        transform_scale=constant.transform_scale.T,
    )


def last_axis(array: np.ndarray, where: str) -> np.ndarray:
    """``array`` as a scalar or a vector along the last axis; ValueError if it is neither."""
    if array.size == 1:
        return array.reshape(())
    if array.shape[-1] != array.size:
        raise ValueError(
            f"{where}: a constant of shape {array.shape} varies along another axis than the last, "
            "which the integer form does not support"
        )
    return array.reshape(-1)


def fraction_bits(array: np.ndarray) -> int:
    """Smallest s ≥ 0 with array·2^s integral, for finite float64 numbers."""
    mantissa, exponent = np.frexp(array[array != 0])
    if mantissa.size == 0:
        return 0
    # mantissa·2^53 is an integer; its trailing zeros shorten the fraction.
    integers = np.ldexp(np.abs(mantissa), 53).astype(np.int64)
    trailing = np.log2((integers & -integers).astype(np.float64)).astype(np.int64)
    return max(0, int((53 - trailing - exponent).max()))


def dyadic_parameters(
    factor: np.ndarray, shift: np.ndarray, multiplier_bits: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """(M, B, s): both as multiples of one 2^-s; rounded if M·2^s has more bits than allowed."""
    s = max(fraction_bits(factor), fraction_bits(shift))
    largest = float(np.max(np.abs(factor)))
    if s > 1000 or largest * 2.0**s >= 2**multiplier_bits:
        s = multiplier_bits - math.frexp(largest)[1]
        factor = np.rint(np.ldexp(factor, s)) * 2.0**-s
        shift = np.rint(np.ldexp(shift, s)) * 2.0**-s
    return factor, shift, s


def check_rounding(
    x: Scaled, factor: np.ndarray, rounded: np.ndarray, multiplier_bits: int
) -> None:
    """ValueError where q·rounded is half a code from q·factor and too few bits are left of it.

    All channels are multiples of one power of two: the bits of the largest factor are those of all.
    """
    lost = np.abs(rounded - factor)
    if np.any((lost * x.magnitude > 0.5) & (lost > np.abs(factor) * 2.0**-MIN_SCALE_BITS)):
        raise ValueError(
            f"{x.name}: the scales of its channels are too far apart for one multiplier of "
            f"{multiplier_bits} bits; raise multiplier_bits, or use scales nearer to each other"
        )


def aligned_parameters(
    x: Scaled, factor: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``factor`` and ``shift`` as float32, and so that float64 has q·factor + shift exactly.

    Of each channel both become multiples of one power of two, of which the result needs at most
    2^52. ValueError where that would leave fewer than MIN_SCALE_BITS bits of a factor.
    """
    factor, shift = (a.astype(np.float32).astype(np.float64) for a in (factor, shift))
    _, exponent = np.frexp(x.magnitude * np.abs(factor) + np.abs(shift))
    unit = np.ldexp(1.0, exponent - 52)
    rounded = np.rint(factor / unit) * unit
    if np.any(np.abs(rounded - factor) > np.abs(factor) * 2.0**-MIN_SCALE_BITS):
        raise ValueError(
            f"{x.name}: an accumulator of {x.magnitude.bit_length() + 1} bits leaves too few of "
            "float64's 53 for the scale it is multiplied by; use power-of-two scales, or fewer "
            "weight or activation bits"
        )
    return rounded, np.rint(shift / unit) * unit


def check_sum(where: str, magnitude: float) -> None:
    """ValueError for sums up to ``magnitude`` that float64 does not hold one by one."""
    exact_bits = FLOAT_INTEGER_BITS[TensorProto.DOUBLE]
    if magnitude >= 1 << exact_bits:
        raise ValueError(
            f"{where}: its sums may reach {math.ceil(math.log2(magnitude)) + 1} bits, more than "
            f"the {exact_bits} that float64 carries exactly; use fewer weight or activation bits"
        )
