# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The front of an exploration as a table, as files, and as a picture."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dhq_brevitas.run.exploring.options import SEARCHED
from dhq_brevitas.run.exploring.study import Exploration
from dhq_brevitas.run.html_report import data_address, environment
from dhq_brevitas.util.figures import new_figure, save
from dhq_brevitas.util.files import write_json, write_text
from dhq_brevitas.util.tables import shown, text_table, write_csv

__all__ = ["design_text", "result_text", "write_front"]

Rows = list[list[str]]
PICTURE, PAGE = "front.png", "front.html"
#: Inches and dots of a plot of the page: its text can be read 320 pixels wide, too.
PLOT, PLOT_DPI = (3.6, 3.4), 200
COLUMNS = {
    "trial": "trial",
    "psnr": "PSNR dB",
    "lut": "LUT",
    "dsp": "DSP",
    "bram18": "BRAM18",
    "samples_per_second": "samples/s",
    "bits_per_sample": "bits/sample",
    "family": "family",
    "hidden": "hidden",
    "layers": "layers",
    "weight_bits": "W bits",
    "act_bits": "A bits",
    "phase_bits": "table bits",
    "rotation": "rotation",
    "speed": "speed",
}
#: Columns of tables that have them only where designs are judged by them, or differ in them.
ESTIMATES = ("lut", "dsp", "bram18")
OPTIONAL = ("samples_per_second", "bits_per_sample", "speed")
FIGURES: tuple[str, ...] = ("psnr", "psnr_float", "lut", "dsp", "bram18", "uram", "cycles")
FIGURES += ("samples_per_second", "bits_per_sample", "seconds", "given_up")


def design_text(design: Mapping[str, Any]) -> str:
    """A design in a few words."""
    faster = f", {design['speed']} times the rate" if design["speed"] > 1 else ""
    return (
        f"{design['family']} {design['layers']} x {design['hidden']}, "
        f"W{design['weight_bits']}A{design['act_bits']}, tables {design['phase_bits']}, "
        f"rotation {design['rotation']}{faster}"
    )


def result_text(record: Mapping[str, Any]) -> str:
    """What came of a trial."""
    if record["given_up"]:
        return f"given up: {record['given_up']}"
    return (
        f"{record['psnr']:.2f} dB, {record['lut']} LUT, {record['dsp']} DSP, "
        f"{record['bram18']} BRAM18"
    )


def _text(folder: Path, counts: str, front: Sequence[Mapping[str, Any]], table: Rows) -> str:
    lines = [counts]
    if front:
        best = f"{folder}:{front[0]['trial']}"
        lines += ["", text_table(table), "(LUT, DSP and BRAM18 are estimates)"]
        lines += ["", f"pictures, and all designs, in {folder / PAGE}"]
        lines += [f"to build one: dhq run --from {best} --out DIR"]
    return "\n".join(lines)


def _counts(records: Sequence[Mapping[str, Any]], front: Sequence[Mapping[str, Any]]) -> str:
    given_up = sum(bool(record["given_up"]) for record in records)
    return f"{len(records)} designs, {given_up} of them given up; {len(front)} on the front"


def _rows(exploration: Exploration, records: Iterable[Mapping[str, Any]]) -> Rows:
    varied = {name for name, values in exploration.space.items() if len(values) > 1}
    wanted = varied | set(exploration.objectives)
    names = [name for name in COLUMNS if name in wanted or name not in OPTIONAL]
    rows = [[COLUMNS[name] for name in names]]
    return rows + [[_cell(record, name) for name in names] for record in records]


def _cell(record: Mapping[str, Any], name: str) -> str:
    return shown(record["design"].get(name, record.get(name, "")))


def write_front(exploration: Exploration) -> str:
    """front.json, front.csv, trials.csv, front.png and front.html in the folder.

    Returns the front as a table, the best PSNR first, and how many trials it is of.
    """
    folder, records = exploration.folder, exploration.records()
    numbers = set(exploration.front())
    front = [record for record in records if record["trial"] in numbers]
    front.sort(key=lambda record: -record["psnr"])
    counts = _counts(records, front)
    write_json(folder / "front.json", {"objectives": exploration.objectives, "front": front})
    _write_csv(folder / "front.csv", front)
    _write_csv(folder / "trials.csv", records)
    measured = [record for record in records if not record["given_up"]]
    if measured:
        _draw(exploration, measured, front)
    _write_page(exploration, counts, front, records)
    return _text(folder, counts, front, _rows(exploration, front))


def _write_page(
    exploration: Exploration,
    counts: str,
    front: list[dict[str, Any]],
    records: list[dict[str, Any]],
) -> None:
    """One page that needs nothing else."""
    reasons = [["trial", "design", "given up, as it"]]
    reasons += [
        [str(record["trial"]), design_text(record["design"]), record["given_up"]]
        for record in records
        if record["given_up"]
    ]
    measured = [record for record in records if not record["given_up"]]
    settings = exploration.settings
    page = (
        environment(Path(__file__).parent)
        .get_template("front.html.j2")
        .render(
            title=f"Designs for {settings['signal']} on {settings['fpga_part']}, "
            f"{settings['cycles_per_sample']} cycles of {settings['clk_ns']:g} ns a sample",
            counts=counts,
            plots=_plots(exploration, measured, front) if measured else [],
            tables=[
                ("The front (estimates)", _rows(exploration, front)),
                ("All designs", _rows(exploration, measured)),
            ]
            + ([("Given up", reasons)] if len(reasons) > 1 else []),
            settings={name: value for name, value in settings.items() if value is not None},
        )
    )
    write_text(exploration.folder / PAGE, page)


def _write_csv(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    rows = [{**record, **record["design"]} for record in records]
    write_csv(path, ["trial", *FIGURES, *SEARCHED], rows)


def _draw(
    exploration: Exploration,
    measured: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, Any]],
) -> None:
    """PSNR over each other objective, side by side."""
    others = _others(exploration)
    figure = new_figure((5 * len(others), 5))
    for place, name in enumerate(others, start=1):
        _plot(figure.add_subplot(1, len(others), place), name, measured, front)
    figure.axes[0].legend()
    save(figure, exploration.folder / PICTURE, dpi=100)


def _plots(
    exploration: Exploration,
    measured: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, Any]],
) -> list[tuple[str, str]]:
    """(objective, picture as an address) of the same plots, one by one."""
    plots = []
    for name in _others(exploration):
        figure, stream = new_figure(PLOT), io.BytesIO()
        _plot(figure.add_subplot(), name, measured, front)
        figure.savefig(stream, dpi=PLOT_DPI)
        plots.append((COLUMNS[name], data_address(stream.getvalue())))
    return plots


def _others(exploration: Exploration) -> list[str]:
    return [name for name in exploration.objectives if name != "psnr"]


def _plot(
    axes: Any,
    name: str,
    measured: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, Any]],
) -> None:
    """PSNR over an objective: all designs, and those of the front with their numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.scatter(*_points(measured, name), s=14, color="0.7", label="other designs")
    axes.scatter(*_points(front, name), s=26, color="tab:orange", label="front")
    for record in front:
        axes.annotate(
            str(record["trial"]),
            (record[name], record["psnr"]),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlabel(COLUMNS[name] + (" (estimate)" if name in ESTIMATES else ""))
    axes.set_ylabel("PSNR in dB")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=name in ESTIMATES))
    axes.grid(alpha=0.3)


def _points(records: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    return [record[name] for record in records], [record["psnr"] for record in records]
