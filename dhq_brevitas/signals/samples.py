# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How a reconstruction is stored: values in [-1, 1] as integers of 8 or 16 bits."""

from dataclasses import dataclass

import numpy as np

__all__ = ["PIXELS", "SOUND", "SampleFormat"]


@dataclass(frozen=True)
class SampleFormat:
    """sample = round((value + offset) · gain), half to even, of a value clipped to [-1, 1].

    Attributes:
        bits: of a sample; signed: whether it is two's complement.
        gain, offset: see above; computed in float64.
    """

    bits: int
    signed: bool
    gain: float
    offset: float

    @property
    def low(self) -> int:
        """Sample of -1."""
        return round((self.offset - 1) * self.gain)

    @property
    def high(self) -> int:
        """Sample of 1."""
        return round((self.offset + 1) * self.gain)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Samples of float ``values``, int64, of the same shape."""
        clipped = np.clip(values, -1.0, 1.0).astype(np.float64)
        return np.rint((clipped + self.offset) * self.gain).astype(np.int64)

    def decode(self, samples: np.ndarray) -> np.ndarray:
        """float32 values whose samples these are."""
        return (samples / self.gain - self.offset).astype(np.float32)


#: A channel of a picture: black 0, white 255.
PIXELS = SampleFormat(8, False, 127.5, 1.0)
#: A sample of a sound, or of any other field: -32767 to 32767.
SOUND = SampleFormat(16, True, 32767.0, 0.0)
