# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The host's scale, bias and rounding as one integer multiply, add and shift, proven equal.

Let h(x) be the sample that the host gives for the code x: float32 steps, a clip, a rounding. All of
them are monotone, so h is, and it is known from its thresholds t_k = min {x : h(x) >= k} alone. The
integer form g(x) = floor((M·x + B) / 2^S), clipped, is monotone too, so that g = h on the whole
range of codes if and only if, for every sample k above the lowest,

    M·t_k + B >= k·2^S        and        M·(t_k - 1) + B < k·2^S.

Where float32 rounds the host's sums, there may be no such M and B: rounding moves a threshold by
few codes, but off every line. Then g may reach a sample k up to three codes early, at l_k,

    M·(t_k - 4) + B < k·2^S       instead of       M·(t_k - 1) + B < k·2^S,

and a memory has d_k = t_k - l_k of each sample: h = g - 1 for the d_g codes from l_g on, which are
those whose (M·x + B) mod 2^S is below d_g·M. That needs t_k <= l_{k+1}, which is looked at.

Each line bounds B for a given M. The room between the bounds is a concave function of M, so its
maximum is found by ternary search; the smallest S that leaves room in every channel is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dhq_brevitas.finn_flow.errors import FlowError

#: Bits of the products that are compared: samples, the shift, and two for slopes up to the double.
MAX_BITS = 62
#: Codes; two bits of a sample.
MAX_EARLY = 3


@dataclass(frozen=True)
class IntegerAffine:
    """sample[c] = clip(floor((code[c] · scales[c] + biases[c]) / 2^shift), low, high).

    With ``late``, int64 [high - low, channels], one less for the late[sample - low - 1, c] least
    codes of a sample above ``low``, unless it is clipped; scales are positive.
    """

    scales: tuple[int, ...]
    biases: tuple[int, ...]
    shift: int
    low: int
    high: int
    late: np.ndarray | None = None

    def apply(self, codes: np.ndarray) -> np.ndarray:
        """int64 samples of ``codes`` [..., channels]."""
        sums = codes.astype(np.int64) * np.array(self.scales) + np.array(self.biases)
        samples = np.clip(sums >> self.shift, self.low, self.high)
        if self.late is None:
            return samples
        inside = (samples > self.low) & (sums >> self.shift == samples)
        index = np.maximum(samples - self.low - 1, 0).reshape(-1, samples.shape[-1])
        late = np.take_along_axis(self.late, index, axis=0).reshape(samples.shape)
        return samples - (inside & (sums - (samples << self.shift) < late * np.array(self.scales)))


def integer_affine(
    encode: Callable[[np.ndarray], np.ndarray],
    channels: int,
    codes: tuple[int, int],
    samples: tuple[int, int],
) -> IntegerAffine:
    """The form above of ``encode``, equal for every code from ``codes[0]`` to ``codes[1]``.

    Args:
        encode: monotone, int64 codes [n, channels] -> int64 samples [n, channels].
        channels: of the codes.
        codes, samples: lowest and highest.

    FlowError if there is none: thresholds that are on no line, and those of a channel that falls or
    more than three codes away from one.
    """
    first, last = (encode(np.full((1, channels), end))[0] for end in codes)
    signs = np.where(last >= first, 1, -1)
    bounds = (min(codes), max(codes))
    low, high = samples
    found = thresholds(encode, signs, bounds, low, high)
    # Codes of a falling channel are mirrored, and so are the ends of their range.
    ends = [bounds if sign > 0 else (-bounds[1], -bounds[0]) for sign in signs]
    for early in (0, 1, MAX_EARLY) if np.all(signs > 0) else (0,):
        for shift in range(MAX_BITS - 2 - max(abs(low), abs(high)).bit_length()):
            lines = []
            for column, reach in zip(found.T, ends, strict=True):
                line = _line(column, reach, low, shift, early)
                if line is None:
                    break
                lines.append(line)
            if len(lines) < channels:
                continue
            scales = tuple(int(sign) * line[0] for sign, line in zip(signs, lines, strict=True))
            affine = IntegerAffine(scales, tuple(line[1] for line in lines), shift, low, high)
            late = _late(affine, found, bounds) if early else None
            if not early or late is not None:
                return replace(affine, late=late)
    raise FlowError(
        "the host's scale and bias have no integer form with its rounding for every code, since "
        "float32 rounds their sum: quantize with --scale po2, or leave them to the host (--shell "
        "none)"
    )


def thresholds(
    encode: Callable[[np.ndarray], np.ndarray],
    signs: np.ndarray,
    bounds: tuple[int, int],
    low: int,
    high: int,
) -> np.ndarray:
    """int64 [high - low, channels]: least x in bounds with encode(x) >= k; else the last, plus 1.

    For k = low + 1 … high. A channel whose sign is -1 falls; its x is the negative of a code.
    """
    wanted = np.arange(low + 1, high + 1)[:, None]
    start = np.where(signs > 0, bounds[0], -bounds[1])
    below = np.broadcast_to(start, (high - low, len(signs))).copy()
    above = below + (bounds[1] - bounds[0] + 1)
    while np.any(below < above):
        middle = (below + above) >> 1
        enough = encode(np.minimum(middle, start + (bounds[1] - bounds[0])) * signs) >= wanted
        open_ = below < above
        above = np.where(open_ & enough, middle, above)
        below = np.where(open_ & ~enough, middle + 1, below)
    return below


def _late(affine: IntegerAffine, found: np.ndarray, ends: tuple[int, int]) -> np.ndarray | None:
    """What ``late`` must be for thresholds ``found``; None if samples are further off than one."""
    if min(affine.scales) <= 0:
        return None
    samples = np.arange(affine.low + 1, affine.high + 2)[:, None]
    # The least codes that the line gives to each sample, and to the one above the highest.
    lines = -((np.array(affine.biases) - (samples << affine.shift)) // np.array(affine.scales))
    inside = (found > ends[0]) & (found <= ends[1])
    if np.any(inside & (found > lines[1:])):
        return None
    late = np.where(found > ends[0], found - lines[:-1], 0)
    return np.where(late <= MAX_EARLY, np.maximum(late, 0), 0)


def _line(
    found: np.ndarray, ends: tuple[int, int], low: int, shift: int, early: int
) -> tuple[int, int] | None:
    """(M, B) for the thresholds of samples above ``low``, up to ``early`` codes early, or None."""
    samples = np.arange(low + 1, low + 1 + len(found))
    reached, missed = found <= ends[1], found > ends[0]
    inside = found[reached & missed]
    # From the first threshold on, so that no product leaves 64 bits: M·x is about k·2^S there.
    origin = int(inside[0]) if len(inside) else 0
    least = (samples[reached] << shift, found[reached] - origin)
    most = ((samples[missed] << shift) - 1, found[missed] - 1 - early - origin)

    def bounds(scale: int) -> tuple[int, int]:
        lower = int((least[0] - scale * least[1]).max()) if reached.any() else -(1 << 62)
        upper = int((most[0] - scale * most[1]).min()) if missed.any() else 1 << 62
        return lower, upper

    def room(scale: int) -> int:
        lower, upper = bounds(scale)
        return upper - lower

    first, last = 0, 1
    if len(inside) > 1:
        # No line through the thresholds is steeper than twice their mean slope, less their steps.
        last = 2 * (((len(inside) + 1) << shift) // max(int(inside[-1] - inside[0]) - 1, 1) + 1)
    while last - first > 2:
        third = (last - first) // 3
        left, right = first + third, last - third
        if room(left) < room(right):
            first = left + 1
        else:
            last = right
    scale = max(range(first, last + 1), key=room)
    lower, upper = bounds(scale)
    if lower > upper:
        return None
    return scale, max(min(0, upper), lower) - scale * origin
