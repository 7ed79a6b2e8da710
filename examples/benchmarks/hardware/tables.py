# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What hardware_comparison.py writes: Markdown tables and bars."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dhq_brevitas.finn_flow.synthesis import Resources
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.util.files import atomic_path
from hardware.designs import Design, float_parts
from hardware.energy import ENERGIES, dynamic_energy

CLAIMS = {"latency": -32.7, "energy": -40.1, "resources": -98.3}
#: Designs to compare with both float32 ones.
CLAIMED = ("W8A8 DHQ", "W8A8 DHQ, after", "W4A4 DHQ")
#: Field of :class:`EnergyRatio`.
ENERGY = "value"
BARS = {
    **{"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"},
    **{"latency_cycles": "latency", ENERGY: "energy (float32 = 100)"},
}


def table(designs: list[Design]) -> list[str]:
    """Markdown of all designs."""
    columns = ["lut", "lutram", "ff", "carry", "dsp", "bram18"]
    lines = [
        "| design | LUT | of these memory | FF | CARRY4 | DSP | BRAM18 | cycles a sample | "
        "latency, cycles | energy, modeled | PSNR, dB | codes wrong: RTL | netlist |",
        "|---|" + "---:|" * 12,
    ]
    for design in designs:
        energy = "{value:.2f} ({low:.2f} to {high:.2f})" if design.energy else ""
        cells = [str(design.resources[key]) for key in columns]
        cells += [
            f"{design.cycles_per_sample:.1f}",
            str(design.latency_cycles),
            energy.format(**design.energy),
            f"{design.psnr:.2f}",
            f"{design.differing} of {design.compared}",
            f"{design.netlist_differing} of {design.netlist_compared}" if design.energy else "",
        ]
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def energy_table(designs: list[Design]) -> list[str]:
    """Markdown: where each design's energy goes, and what its ratio to float32 hangs on."""
    titles = {
        **{"clock": "clock", "net": "wires", "lut": "LUTs", "ff": "FFs", "dsp": "DSPs"},
        **{"lutram": "memory in LUTs", "srl": "shift registers", "bram": "block RAM"},
    }
    lines = [
        "| design | " + " | ".join(titles[kind] for kind in ENERGIES) + " | changes a cycle and "
        "LUT, FF output | ratio hangs most on | with it halved, doubled | static half: by LUTs, "
        "whole device |",
        "|---|" + "---:|" * (len(ENERGIES) + 1) + "---|---:|---:|",
    ]
    for design in designs:
        parts = dynamic_energy(design.activity)
        total = sum(parts.values())
        cells = [f"{parts[kind] / total:.0%}" for kind in ENERGIES]
        cells.append(f"{design.activity.rate('lut'):.2f}, {design.activity.rate('ff'):.2f}")
        sensitivity = design.energy["sensitivity"]
        most = max(ENERGIES, key=lambda kind: abs(sensitivity[kind][1] - sensitivity[kind][0]))
        cells.append(titles[most])
        cells.append("{:.2f}, {:.2f}".format(*sensitivity[most]))
        leaks = (sensitivity[f"static ({what})"][1] for what in ("area", "device"))
        cells.append("{:.2f}, {:.2f}".format(*leaks))
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def change(designs: dict[str, Design], key: str, name: str, to: str) -> str:
    """Percent by which a figure of design ``name`` differs from that of ``to``; "" from 0."""
    before = designs[to].value(key)
    return f"{100 * (designs[name].value(key) / before - 1):+.1f}%" if before else ""


def claims(designs: dict[str, Design]) -> list[str]:
    """Markdown of DHQ's claims beside the measurements, against both float32 designs."""
    rows = [
        ("latency in cycles", CLAIMS["latency"], "latency_cycles"),
        ("cycles a sample", None, "cycles_per_sample"),
        ("energy, modeled", CLAIMS["energy"], ENERGY),
        *((BARS[key], CLAIMS["resources"], key) for key in ("lut", "ff", "dsp", "bram18")),
    ]
    if not designs["float32"].energy:
        rows = [row for row in rows if row[2] != ENERGY]
    lines = []
    for to in ("float32", "float32, DSP adders"):
        lines += [
            f"| against {to} | DHQ reports | {' | '.join(f'{name} here' for name in CLAIMED)} |",
            "|---|" + "---:|" * (1 + len(CLAIMED)),
        ]
        for title, claimed, key in rows:
            cells = [change(designs, key, name, to) for name in CLAIMED]
            said = "" if claimed is None else f"{claimed}%"
            said = f"up to {said}" if claimed == CLAIMS["resources"] else said
            lines.append(f"| {title} | {said} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines[:-1]


def parts_table(folder: Path) -> list[str]:
    """Markdown: what float32 and W8A8 DHQ consist of, each part synthesized by itself.

    ``folder``: of W8A8 DHQ, after ``dhq synth``.
    """
    lines = ["| part | LUT | FF | DSP | BRAM18 |", "|---|" + "---:|" * 4]

    def add(title: str, found: Resources) -> None:
        lines.append(f"| {title} | {found.lut} | {found.ff} | {found.dsp} | {found.bram18} |")

    for title, found in float_parts(folder):
        add(f"float32: {title}", found)
    by_type: dict[str, list[Resources]] = {}
    for node in load_run(folder).summary["synthesis_nodes"]:
        found = Resources(**{key: node[key] for key in ("lut", "ff", "dsp", "bram18")})
        by_type.setdefault(node["op_type"].removesuffix("_rtl"), []).append(found)
    for op_type, members in by_type.items():
        add(f"W8A8 DHQ: {len(members)} {op_type}", sum(members, Resources()))
    return lines


def draw(designs: list[Design], path: Path) -> None:
    """Bars of every figure for every design, on a logarithmic scale."""
    bars = {key: title for key, title in BARS.items() if key != ENERGY or designs[0].energy}
    figure = Figure(figsize=(11, 4.5), layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    width = 0.85 / len(designs)
    for index, design in enumerate(designs):
        places = np.arange(len(bars)) + (index - (len(designs) - 1) / 2) * width
        values = [design.value(key) * (100 if key == ENERGY else 1) for key in bars]
        axes.bar(places, np.maximum(values, 0.5), width, label=design.name)
    axes.set_yscale("log")
    axes.set_xticks(range(len(bars)), list(bars.values()))
    axes.set_ylabel("number (logarithmic)")
    axes.legend(fontsize=8, ncol=2)
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
