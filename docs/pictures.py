# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Draws the pictures of how.md: what the transform does, and where integers flow.

    python docs/pictures.py --out docs/pictures

Numbers in them are computed: sines of random phases and random weights, turned by
:func:`dhq_brevitas.hadamard_transform`.
"""

import argparse
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dhq_brevitas import hadamard_transform

ORDER = 64
BLUE, ORANGE, GREY = "#3949ab", "#ef6c00", "#666666"
# Text stays text, and the same drawing gives the same file.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "dhq", "font.family": "sans-serif"}


def kurtosis(x: Tensor) -> float:
    """E(x - m)⁴ / (E(x - m)²)²."""
    centered = x - x.mean()
    return float(centered.pow(4).mean() / centered.square().mean().square())


def distributions() -> dict[str, Tensor]:
    """Float [4096, ORDER]: outputs of a sine, weights as they start, weights with outliers."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(3, 4096, ORDER, generator=generator)
    heavy = (uniform[2] - 0.5).sign() * -torch.log(torch.rand(4096, ORDER, generator=generator))
    return {
        "outputs of a sine": torch.sin(2 * torch.pi * uniform[0]),
        "uniform weights": 2 * uniform[1] - 1,
        "weights with outliers": heavy,
    }


def draw_bells(axes: list[list[Axes]]) -> None:
    """Each distribution above, what the transform makes of it below."""
    for column, (name, raw) in enumerate(distributions().items()):
        turned = hadamard_transform(raw)  # of all ORDER numbers of a row
        for row, (x, title) in enumerate([(raw, name), (turned, "rotated")]):
            counts, edges = torch.histogram((x / x.std()).flatten(), 40, range=(-5, 5))
            ax = axes[row][column]
            ax.stairs(counts.numpy(), edges.numpy(), fill=True, color=(BLUE, ORANGE)[row])
            ax.set_title(f"{title}: kurtosis {kurtosis(x):.1f}", fontsize=10)
            ax.set_yticks([])
            ax.set_xlim(-5, 5)


def draw_butterflies(ax: Axes) -> None:
    """The transform of 8 numbers: three stages of sums (solid) and differences (dashed)."""
    n, stages = 8, 3
    for stage in range(stages):
        apart = 1 << stage
        for i in range(n):
            partner = i ^ apart
            for source, dashed in ((i, i > partner), (partner, False)):
                y = [n - source, n - i]
                style = {"linestyle": "--", "color": ORANGE} if dashed else {"color": BLUE}
                ax.plot([stage, stage + 0.88], y, linewidth=1.1, **style)
        ax.text(stage + 0.44, n + 0.55, f"{apart} apart", ha="center", color=GREY)
    for i in range(n):
        ax.text(-0.05, n - i, f"$x_{i}$", ha="right", va="center")
        ax.text(stages - 0.05, n - i, f"$y_{i}$", ha="left", va="center")
        for stage in range(1, stages + 1):
            ax.plot(stage - 0.08, n - i, "o", color=BLUE, markersize=4)
    ax.set_xlim(-0.3, stages + 0.2)
    ax.axis("off")


STEPS = [
    ("coordinates", "host", "codes of the grid"),
    ("matrix product", "MVAU", "sums"),
    ("activation", "table", "codes, 8 bits"),
    ("rotation", "additions only", "codes, 8 bits"),
    ("matrix product", "MVAU", "sums"),
    ("scale, bias", "host", "samples"),
]


def draw_integers(ax: Axes) -> None:
    """A layer's way from codes to codes; orange where the host computes."""
    for i, (what, where, result) in enumerate(STEPS):
        color = ORANGE if where == "host" else BLUE
        box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": color}
        ax.text(2 * i, 0, f"{what}\n({where})", ha="center", va="center", fontsize=9, bbox=box)
        ax.annotate("", (2 * i + 1.3, 0), (2 * i + 0.75, 0), arrowprops={"arrowstyle": "->"})
        ax.text(2 * i + 1, -0.55, result, ha="center", fontsize=8, color=GREY)
    ax.set_xlim(-1, 2 * len(STEPS) - 0.3)
    ax.set_ylim(-0.8, 0.6)
    ax.axis("off")


def draw(folder: Path) -> None:
    """All of them, as .svg files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {
        "bells": ((9, 4), (2, 3), draw_bells),
        "butterflies": ((6, 4), (1, 1), lambda axes: draw_butterflies(axes[0][0])),
        "integers": ((11, 1.8), (1, 1), lambda axes: draw_integers(axes[0][0])),
    }
    with matplotlib.rc_context(STYLE):
        for name, (size, grid, draw_in) in drawings.items():
            figure = Figure(size, layout="tight")
            draw_in(figure.subplots(*grid, squeeze=False))
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
