# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables and plot of the quality benchmark."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dhq_brevitas.util.files import atomic_path, read_json

Cell = dict[str, Any]
COLUMNS = {"ptq": "PTQ", "qat": "QAT"}
FLOAT_BITS = "W32A32"


def write_report(out: Path, results: dict[str, Cell]) -> str:
    """Writes results.md and results.png; returns the tables."""
    cells = _merged(list(results.values()))
    text = "\n\n".join([tables(cells), *scale_table(cells), *rotation_table(out / "plans")])
    with atomic_path(out / "results.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    if cells:
        plot(out / "results.png", cells)
    return text


def _merged(cells: list[Cell]) -> list[Cell]:
    """One cell for each picture, width and scheme: the one with most fine-tuning."""
    best: dict[tuple[str, str, str], Cell] = {}
    for cell in sorted(cells, key=lambda cell: cell["qat_steps"]):
        best[cell["picture"], cell["bits"], cell["scheme"]] = cell
    return list(best.values())


def tables(cells: list[Cell]) -> str:
    """One table a width: PSNR of each picture (PTQ / QAT), then the means below float, and SSIM.

    Fine-tuned networks are compared with the float ones of as many steps, where these are there.
    """
    parts = []
    trained = {c["picture"]: c["qat"]["psnr"] for c in cells if _is_float(c) and "qat" in c}
    for bits in sorted({cell["bits"] for cell in cells}, reverse=True):
        chosen = [cell for cell in cells if cell["bits"] == bits]
        pictures = list(dict.fromkeys(cell["picture"] for cell in chosen))
        floats = {cell["picture"]: cell["psnr_float"] for cell in chosen}
        head = ["scheme", "weight bits", *pictures, "mean loss PTQ", "QAT", "SSIM PTQ", "QAT"]
        rows = [head]
        if bits != FLOAT_BITS:
            shown = [
                f"{floats[p]:.2f}" + (f" / {trained[p]:.2f}" if p in trained else "")
                for p in pictures
            ]
            rows.append(["float", "32", *shown, *[""] * 4])
        for scheme in dict.fromkeys(cell["scheme"] for cell in chosen):
            found = [c for c in chosen if c["scheme"] == scheme]
            rows.append(_row(scheme, found, pictures, trained))
        parts.append(_titled(f"{bits}: PSNR in dB, PTQ / QAT", rows))
    return "\n\n".join(parts)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is the heading."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def _titled(title: str, rows: list[list[str]]) -> str:
    return f"{title}\n\n{markdown(rows)}"


def _is_float(cell: Cell) -> bool:
    return bool(cell["scheme"] == "float")


def _row(
    scheme: str, cells: list[Cell], pictures: list[str], trained: dict[str, float]
) -> list[str]:
    by_picture = {cell["picture"]: cell for cell in cells}
    row = [scheme, f"{_mean(cells, 'weight_bits'):.2f}"]
    for picture in pictures:
        cell = by_picture.get(picture, {})
        row.append(" / ".join(f"{cell[k]['psnr']:.2f}" for k in COLUMNS if k in cell))
    complete = len(by_picture) == len(pictures)
    for measure in ("psnr", "ssim"):
        for key in COLUMNS:
            there = [cell for cell in cells if key in cell]
            if not complete or len(there) < len(cells):
                row.append("")
            elif measure == "psnr":
                floats = {cell["picture"]: cell["psnr_float"] for cell in there}
                if key == "qat" and not _is_float(there[0]):
                    floats = trained
                loss = [floats.get(c["picture"], math.nan) - c[key]["psnr"] for c in there]
                mean = sum(loss) / len(loss)
                row.append("" if math.isnan(mean) else f"{mean:.2f}")
            else:
                row.append(f"{sum(c[key]['ssim'] for c in there) / len(there):.4f}")
    return row


def _mean(cells: list[Cell], key: str) -> float:
    return sum(cell[key] for cell in cells) / len(cells)


def scale_table(cells: list[Cell]) -> list[str]:
    """What power-of-two scales cost, layer by layer."""
    found = [cell for cell in cells if "ptq_float_scales" in cell]
    if not found:
        return []
    layers = list(found[0]["ptq_float_scales"])
    rows = [["plan", "no layer", *layers]]
    for cell in found:
        values = [cell["ptq"]["psnr"], *(cell["ptq_float_scales"][name] for name in layers)]
        rows.append([f"{cell['picture']}, {cell['bits']}", *(f"{value:.2f}" for value in values)])
    title = "PSNR in dB, PTQ, of planned networks with power-of-two scales, and with float ones in"
    return [_titled(title, rows)]


# Which sides a plan may rotate at, by column.
ALLOWED = {
    "no rotation": {"none"},
    "or before quantizers, or at outputs": {"none", "input", "output"},
    "or after quantizers": {"none", "input", "output", "after"},
}


def rotation_table(plans: Path) -> list[str]:
    """What rotations gain: the best SQNR measured while planning, by the sides rotated at."""
    rows = [["plan", *ALLOWED]]
    for path in sorted(plans.glob("*.json")):
        trials = (read_json(path) or {}).get("trials", [])
        best = [
            max((t["sqnr"] for t in trials if set(t["rotation"]) <= allowed), default=None)
            for allowed in ALLOWED.values()
        ]
        rows.append([path.stem, *("" if value is None else f"{value:.2f}" for value in best)])
    title = "Output power over output error in dB before fine-tuning, of the best plan tried with"
    return [_titled(title, rows)] if len(rows) > 1 else []


def plot(path: Path, cells: list[Cell]) -> None:
    """Mean PSNR over weight bits, one line a scheme, PTQ and QAT side by side."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    level = _mean(cells, "psnr_float")
    pictures = len({cell["picture"] for cell in cells})
    # One color a scheme, whichever of the two panels it is in.
    names = list(dict.fromkeys(c["scheme"] for c in cells if c["scheme"] != "float"))
    colors = {name: colormaps["tab20"](index % 20) for index, name in enumerate(names)}
    for axes, (key, title) in zip(figure.subplots(1, 2, sharey=True), COLUMNS.items(), strict=True):
        lines: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
        for cell in cells:
            if key in cell and cell["scheme"] != "float":
                lines[cell["scheme"]][cell["bits"]].append(cell)
        for scheme, points in lines.items():
            whole = [found for found in points.values() if len(found) == pictures]
            whole.sort(key=lambda found: _mean(found, "weight_bits"))
            x = [_mean(found, "weight_bits") for found in whole]
            y = [sum(cell[key]["psnr"] for cell in found) / len(found) for found in whole]
            axes.plot(x, y, marker="o", label=scheme, color=colors[scheme])
        axes.axhline(level, color="black", linestyle=":", label="float")
        trained = [cell[key]["psnr"] for cell in cells if key in cell and _is_float(cell)]
        if key == "qat" and len(trained) == pictures:
            label = "float, as many more steps"
            axes.axhline(sum(trained) / pictures, color="gray", linestyle="--", label=label)
        axes.set(title=title, xlabel="weight bits, average")
    figure.axes[0].set_ylabel("PSNR in dB, mean over pictures")
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        lines_drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, lines_drawn, strict=True))
    figure.legend(handles.values(), handles, loc="outside right center", fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
