# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""DHQ's hardware claims with a clock: the designs of hardware_comparison.py, routed on one ECP5.

    python examples/benchmarks/claims_in_time.py [IMAGE] --out DIR

At equal folding: latency and rate at the clock that nextpnr finds after routing. At equal area: the
quantized designs folded to fewer and fewer cycles, and the fastest one that takes no more of
anything than float32, or than W8A8. Energy is the model of hardware.energy, of UltraScale+ cells,
with these clocks: no power was measured. Writes table.md, and a file for every design; what is
there is not repeated.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.placement import tool_versions
from dhq_brevitas.util.files import atomic_path
from hardware.designs import (
    DEVICE,
    Design,
    baseline_design,
    built_design,
    kept,
    quantized_design,
)
from hardware.energy import energy_ratio
from hardware.tables import CLAIMS
from hardware_comparison import comparison_folder, comparison_parser, plain, quantized_runs

REFERENCE, STOCK, CLAIMED = "float32", "W8A8", "W8A8 DHQ"
BASELINES = (REFERENCE, "16 bit fixed")
QUANTIZED = (STOCK, CLAIMED, "W4A8 DHQ")
CELLS = {"comb": "COMB", "ff": "FF", "ramw": "RAMW", "mult18": "MULT18", "bram": "DP16K"}


def equal_folding(options: argparse.Namespace) -> list[Design]:
    """float32 first."""
    folders = quantized_runs(options, QUANTIZED)
    reference = folders[CLAIMED]
    makers = {
        name: partial(baseline_design, name, reference, mhz=options.mhz) for name in BASELINES
    } | {
        name: partial(quantized_design, name, folders[name], mhz=options.mhz) for name in QUANTIZED
    }
    designs = [
        kept(options.out / f"{plain(name)}.json", make, options.energy)
        for name, make in makers.items()
    ]
    first = designs[0]
    for design in designs if options.energy else ():
        clocks = clock(design), clock(first)
        design.energy = asdict(energy_ratio(design.activity, first.activity, clocks))
    return designs


def faster(options: argparse.Namespace) -> list[Design]:
    """The quantized networks at fewer cycles a sample."""
    designs = []
    for name in QUANTIZED:
        for cycles in options.faster:
            title = f"{name}, {cycles} cycles"
            path = options.out / f"{plain(title)}.json"
            folder = options.out / plain(name)
            make = partial(refolded, title, folder, cycles, options)
            designs.append(kept(path, make, False))
    return designs


def refolded(
    title: str, folder: Path, cycles: int, options: argparse.Namespace, energy: bool
) -> Design:
    """The network of ``folder`` at another number of cycles a sample."""
    graph = ModelWrapper(str(folder / "model.onnx"))
    work = options.out / plain(title)
    return built_design(title, graph, folder, work, cycles, energy, options.mhz)


def clock(design: Design) -> float:
    """MHz after routing."""
    return float(design.placed["clock_mhz"])


def rate(design: Design) -> float:
    """Million samples a second."""
    return clock(design) / design.cycles_per_sample


def used(design: Design, cell: str) -> int:
    """Cells of the device."""
    return int(design.placed["utilization"][cell][0])


def table(designs: Sequence[Design]) -> list[str]:
    """Markdown of all."""
    lines = [
        "| design | clock, MHz | cycles a sample | samples a second | latency, cycles | latency, ns"
        f" | {' | '.join(CELLS.values())} | energy, modeled | PSNR, dB | codes wrong in RTL |",
        "|---|" + "---:|" * (8 + len(CELLS)),
    ]
    for design in designs:
        energy = "{value:.2f} ({low:.2f} to {high:.2f})" if design.energy else ""
        cells = [
            f"{clock(design):.1f}",
            f"{design.cycles_per_sample:.1f}",
            f"{rate(design):.2f} million",
            str(design.latency_cycles),
            f"{1e3 * design.latency_cycles / clock(design):.0f}",
            *(str(used(design, cell)) for cell in CELLS),
            energy.format(**design.energy),
            f"{design.psnr:.2f}",
            f"{design.differing} of {design.compared}",
        ]
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def claims(designs: Sequence[Design]) -> list[str]:
    """Markdown of DHQ's claims beside the measurements, all against float32."""
    first, others = designs[0], designs[1:]
    lines = [
        f"| against float32 | DHQ reports | {' | '.join(design.name for design in others)} |",
        "|---|" + "---:|" * (1 + len(others)),
    ]
    up_to = f"up to {CLAIMS['resources']}%"
    rows: list[tuple[str, str, Callable[[Design], float]]] = [
        ("latency in ns", f"{CLAIMS['latency']}%", lambda d: d.latency_cycles / clock(d)),
        ("samples a second", "", rate),
    ]
    if first.energy:
        rows.append(("energy, modeled", f"{CLAIMS['energy']}%", lambda d: d.value("value")))
    rows += [
        (title, up_to, lambda d, cell=cell: used(d, cell))
        for cell, title in CELLS.items()
        if used(first, cell)
    ]
    for title, said, figure in rows:
        changes = (f"{100 * (figure(d) / figure(first) - 1):+.1f}%" for d in others)
        lines.append(f"| {title} | {said} | " + " | ".join(changes) + " |")
    return lines


def equal_area(designs: Sequence[Design]) -> list[str]:
    """Markdown: the fastest of each network that fits into what another design takes."""
    lines = [
        "| in the area of | fastest that fits | samples a second, times | latency |",
        "|---|---|---:|---:|",
    ]
    by_name = {design.name: design for design in designs}
    for budget in (by_name[REFERENCE], by_name[STOCK]):
        for name in QUANTIZED:
            fitting = [
                d
                for d in designs
                if d.name.split(",")[0] == name
                and all(used(d, cell) <= used(budget, cell) for cell in CELLS if cell != "ramw")
            ]
            if not fitting:
                lines.append(f"| {budget.name} | no {name} |  |  |")
                continue
            best = max(fitting, key=rate)
            times = [d.latency_cycles / clock(d) for d in (best, budget)]
            lines.append(
                f"| {budget.name} | {best.name} | {rate(best) / rate(budget):.2f} | "
                f"{100 * (times[0] / times[1] - 1):+.1f}% |"
            )
    return lines


def main() -> None:
    parser = comparison_parser(__doc__)
    parser.set_defaults(size=32, hidden=16, steps=1500, qat_steps=200, cycles_per_sample=64)
    parser.add_argument("--mhz", type=float, default=100, help="to route for (%(default)s)")
    parser.add_argument(
        "--faster", type=int, nargs="*", default=[32, 16, 8], help="cycles a sample (32 16 8)"
    )
    options = parser.parse_args()
    options.out = comparison_folder(options)
    designs = equal_folding(options)
    parts = [table(designs), claims(designs)]
    designs += faster(options)
    parts += [table(designs[len(designs) - len(QUANTIZED) * len(options.faster) :])]
    parts += [equal_area(designs)]
    settings = (
        f"({options.image} at {options.size}, {options.layers} sine layers of {options.hidden}; "
        f"{tool_versions()}, {DEVICE}, out of context, routed for {options.mhz:g} MHz)"
    )
    text = "\n".join([*(line for part in parts for line in [*part, ""]), settings, ""])
    with atomic_path(options.out / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
