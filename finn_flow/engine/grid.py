# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The points of a reconstruction as counters, one for each axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dhq_brevitas.finn_flow.errors import FlowError


@dataclass(frozen=True)
class CodeGrid:
    """code of axis i = starts[i] + steps[i] · index i, the last axis fastest.

    Attributes:
        sizes: points along each axis.
        starts, steps: of the codes.
    """

    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def of(cls, codes: np.ndarray, shape: Sequence[int]) -> "CodeGrid":
        """The grid of ``codes`` [points, axes] in the order of ``shape``; FlowError if it is none.

        Axis i of the shape moves column i alone, in equal steps.
        """
        sizes = tuple(int(side) for side in shape)
        axes = codes.shape[1]
        if len(sizes) == axes and len(codes) == np.prod(sizes):
            spread = codes.reshape(*sizes, axes)
            starts = codes[0]
            second = [tuple(int(i == axis) for i in range(axes)) for axis in range(axes)]
            steps = [
                int(spread[second[axis]][axis] - starts[axis]) if sizes[axis] > 1 else 0
                for axis in range(axes)
            ]
            expected = starts + np.moveaxis(np.indices(sizes), 0, -1) * np.array(steps)
            if np.array_equal(spread, expected):
                return cls(sizes, tuple(map(int, starts)), tuple(steps))
        raise FlowError(
            f"the {len(codes)} points of {axes} axes are no grid of {' x '.join(map(str, sizes))} "
            "with equal steps, which an engine could count through; give the accelerator its "
            "inputs (--shell none)"
        )
