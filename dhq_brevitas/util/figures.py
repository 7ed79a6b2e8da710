# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Figures by matplotlib, which is imported when one is made."""

import os
from typing import TYPE_CHECKING

from dhq_brevitas.util.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "save"]


def new_figure(figsize: tuple[float, float]) -> "Figure":
    """A figure of (width, height) inches whose parts are laid out without overlap.

    It has a canvas of its own: no backend is selected and no state is left behind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", path: str | os.PathLike[str], dpi: int) -> None:
    """Writes a figure, whole or not at all, in the format that the path's ending names."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
