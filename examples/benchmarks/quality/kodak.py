# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What stands beside ours on Kodak: others' curves, a family like Strümpler's, table and plot."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dhq_brevitas.inr.families import Activation, Family, siren_initialize
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.util.figures import new_figure, save
from dhq_brevitas.util.files import write_text
from quality.report import markdown

BASE, FREQUENCIES_AN_AXIS, NEARLY_LINEAR = 1.4, 16, 0.25


def encoding(in_features: int, parameters: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Phases in units of π of sin and cos(1.4^k π x), k = 0 … 15, and of sin(π x / 4).

    The last stands for x itself, which a layer in front of a sine cannot hand on.
    """
    powers = BASE ** torch.arange(FREQUENCIES_AN_AXIS)
    weight = torch.cat([powers, powers, torch.tensor([NEARLY_LINEAR])])
    quarter_turns = [0.0] * len(powers) + [0.5] * len(powers) + [0.0]
    return (
        torch.kron(torch.eye(in_features), weight.unsqueeze(1)),
        torch.tensor(quarter_turns).repeat(in_features),
    )


def activation(parameters: Mapping[str, Any], index: int) -> Activation:
    """sin(π z) after the encoding, else sin(ω z)."""
    gain = math.pi if index == 0 else parameters["omega"]
    return Activation(torch.sin, gain=gain, period=2 * math.pi)


FREQUENCIES = Family(
    name="frequencies",
    paper="Strümpler et al. 2022, arXiv:2112.04267",
    activation=activation,
    initialize=siren_initialize,
    learning_rate=2e-3,
    parameters={"omega": 30.0},
    encoding=encoding,
)

JPEG_QUALITIES = (3, 5, 8, 12, 18, 25, 35, 50)
#: Bits a pixel and PSNR in dB, means of Kodak's 24 pictures; from the result files of these.
OTHERS = {
    "COIN, float16, 50 000 full steps (EmilienDupont/coin)": [
        (0.0368, 22.408), (0.0736, 23.205), (0.1604, 24.641), (0.3074, 26.412), (0.6109, 28.408),
    ],
    "COIN++, learned initialization (EmilienDupont/coinpp)": [
        (0.133, 24.9), (0.266, 26.1), (0.537, 27.8),
    ],
    "Strümpler et al., W8, arithmetic coding (in aegroto/nif)": [
        (0.100, 25.7), (0.187, 27.1), (0.299, 28.4), (0.591, 30.6),
    ],
    "NIF without modulator (aegroto/nif)": [(0.255, 28.1), (0.890, 32.6)],
    "NIF25 (aegroto/nif25)": [(0.127, 27.1), (0.445, 31.2), (0.707, 33.0)],
    "RECOMBINER (google-deepmind/c3_neural_compression)": [
        (0.074, 26.2), (0.178, 28.6), (0.488, 32.0),
    ],
    "JPEG (EmilienDupont/coin)": [(0.327, 26.6), (0.508, 29.0), (0.729, 30.9)],
}  # fmt: skip


def write_table(out: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """OUT/table.md: means over the pictures of a network, and each picture's PSNR."""
    pictures = sorted({row["picture"] for row in rows})
    head = ["network", "", "bits a pixel", "mean", *pictures]
    lines = [head]
    for (network, way), some in grouped(rows).items():
        found = {row["picture"]: f"{row['psnr']:.2f}" for row in some}
        bits, quality = means(out, some)
        cells = [found.get(picture, "") for picture in pictures]
        lines.append([network, way, f"{bits:.4f}", f"{quality:.2f}", *cells])
    text = markdown(lines)
    write_text(out / "table.md", text + "\n")
    return text


def grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """By network and way."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["way"]), []).append(row)
    return groups


def means(out: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Bits a pixel, of files as they are, and PSNR in dB."""
    bits = [
        row["bits"] if "bits" in row else 8 * (out / row["file"]).stat().st_size for row in rows
    ]
    rate = sum(size / row["pixels"] for size, row in zip(bits, rows, strict=True))
    return rate / len(rows), sum(row["psnr"] for row in rows) / len(rows)


def jpeg(pictures: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """Means of bits a pixel and PSNR in dB of pictures [height, width, 3] in [-1, 1]."""
    points = []
    for setting in JPEG_QUALITIES:
        found = []
        for pixels in pictures:
            buffer = BytesIO()
            exact = Image.fromarray(np.rint((pixels + 1) * 127.5).astype(np.uint8))
            exact.save(buffer, "JPEG", quality=setting, optimize=True)
            size, decoded = buffer.tell(), np.asarray(Image.open(buffer)) / 127.5 - 1
            found.append((8 * size / pixels[..., 0].size, psnr(pixels, decoded)))
        rate, quality = np.mean(found, axis=0)
        points.append((float(rate), float(quality)))
    return points


def write_curve(
    out: Path, rows: Sequence[Mapping[str, Any]], pictures: Sequence[np.ndarray], title: str
) -> None:
    """OUT/curve.png: our networks, and JPEG, of the same pictures, beside others' means of 24."""
    figure = new_figure((10, 7))
    axes = figure.add_subplot()
    for label, points in OTHERS.items():
        axes.plot(*zip(*points, strict=True), ".--", linewidth=1, label=label)
    axes.plot(*zip(*jpeg(pictures), strict=True), "k:", label="JPEG of our pictures (Pillow)")
    groups = {key: some for key, some in grouped(rows).items() if len(some) == len(pictures)}
    for way, marker in zip(
        dict.fromkeys(way for _, way in groups), cycle("os^vDP*X"), strict=False
    ):
        points = sorted(means(out, some) for (_, name), some in groups.items() if name == way)
        axes.plot(*zip(*points, strict=True), marker, markersize=8, label=f"ours: {way}")
    axes.set(xscale="log", xlabel="bits a pixel", ylabel="PSNR in dB", title=title)
    axes.set(xlim=(0.01, 1.2), ylim=(15, 33))
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize="x-small")
    save(figure, out / "curve.png", 100)
