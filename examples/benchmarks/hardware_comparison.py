# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""DHQ's hardware claims beside what open tools measure: one network in ten datapaths.

    python examples/benchmarks/hardware_comparison.py [IMAGE] --out DIR [--size 48]

All compute the same SIREN for the same picture with the same number of multiply-accumulate units a
layer: float32, its adders in LUTs or on DSP slices, and 16 bit fixed point on datapaths of our own,
the quantized ones on FINN's and this package's layers. Each is simulated in RTL (Verilator) and
synthesized (Yosys); then the netlist is simulated, its outputs are compared and its switching
activity is counted for a model of energy (--no-energy leaves this out: large netlists take
Verilator minutes). Writes a file for every design, table.md, comparison.json and comparison.png.
What is there is not repeated, and --only makes single designs, so a long comparison can be made in
pieces.
"""

import argparse
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dhq_brevitas.finn_flow.synthesis import Yosys
from dhq_brevitas.run import cli
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.files import atomic_path, check_writable_folder, read_json, write_json
from hardware.designs import (
    BASELINES,
    MATRIX,
    Design,
    baseline_design,
    kept,
    matrix_design,
    quantized_design,
)
from hardware.energy import energy_ratio
from hardware.tables import CLAIMS, claims, draw, energy_table, parts_table, table

QUANTIZED: dict[str, list[str]] = {
    "W8A8": ["--scheme", "stock"],
    "W8A8 DHQ": [],
    "W8A8 DHQ, after": ["--rotation", "after"],
    "W6A6 DHQ": ["--weight-bits", "6", "--act-bits", "6"],
    "W4A8 DHQ": ["--weight-bits", "4"],
    "W4A4 DHQ": ["--weight-bits", "4", "--act-bits", "4"],
}
REFERENCE = "W8A8 DHQ"
NAMES = (
    *BASELINES,
    *("W8A8", REFERENCE, "W8A8 DHQ, after", MATRIX, "W6A6 DHQ", "W4A8 DHQ", "W4A4 DHQ"),
)


def run(*arguments: object) -> None:
    """``dhq`` in this process; ends this one if it fails."""
    status = cli.main([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def quantized_runs(
    options: argparse.Namespace, names: Iterable[str] = QUANTIZED
) -> dict[str, Path]:
    """Run folders of the quantized networks, all from one float fit, simulated in RTL."""
    folders = {name: options.out / plain(name) for name in names}
    first = folders[REFERENCE]
    network = [
        *("--size", options.size, "--hidden", options.hidden, "--layers", options.layers),
        *("--steps", options.steps),
    ]
    common = ["--qat-steps", options.qat_steps, "--cycles-per-sample", options.cycles_per_sample]
    run("fit", options.image, "--out", first, *network)
    for name, folder in folders.items():
        if not (folder / "fit.json").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            for file in ["fit.json", *read_json(first / "fit.json")["files"]]:
                shutil.copy(first / file, folder / file)
        print(f"-- {name}", flush=True)
        run(
            *("run", options.image, "--out", folder, "--level", "stitched"),
            *network,
            *common,
            *QUANTIZED[name],
        )
    return folders


def plain(name: str) -> str:
    """As a file's name."""
    return name.replace(" ", "_").replace(",", "").replace("±", "pm").lower()


def all_designs(options: argparse.Namespace, names: Sequence[str]) -> list[Design]:
    """The designs of ``names``, from files or made."""
    wanted = [name for name in QUANTIZED if name in (*names, REFERENCE)]
    folders = quantized_runs(options, wanted)
    reference = folders[REFERENCE]
    designs = []
    for name in tqdm(names, desc="designs", unit="design"):
        make: Callable[[bool], Design]
        if name in BASELINES:
            make = partial(baseline_design, name, reference)
        elif name == MATRIX:
            work = options.out / plain(name)
            make = partial(matrix_design, reference, work, options.cycles_per_sample)
        else:
            make = partial(quantized_design, name, folders[name])
        designs.append(kept(options.out / f"{plain(name)}.json", make, options.energy))
    return designs


def facts(options: argparse.Namespace) -> str:
    """How the figures were made."""
    text = (
        f"{options.image} at {options.size}, {options.layers} sine layers of {options.hidden}, "
        f"{options.cycles_per_sample} cycles a sample asked for; {Yosys().version}, synth_xilinx "
        "-family xcup, before placement; latency and cycles from RTL simulation with Verilator"
    )
    if options.energy:
        text += (
            "; energy: examples/benchmarks/hardware/energy.py, with every energy moved and a "
            "static share of 0 to 50% in parentheses"
        )
    return text


def comparison_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of scripts that compare designs of one network; they set the defaults of sizes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", nargs="?", default="astronaut", help="picture (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument("--size", type=int, help="pixels (%(default)s)")
    parser.add_argument("--hidden", type=int, help="width (%(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="sine layers (%(default)s)")
    parser.add_argument("--steps", type=int, help="of the fit (%(default)s)")
    parser.add_argument("--qat-steps", type=int, help="fine-tuning (%(default)s)")
    parser.add_argument("--cycles-per-sample", type=int, help="folding (%(default)s)")
    parser.add_argument(
        "--no-energy", dest="energy", action="store_false", help="do not simulate netlists"
    )
    return parser


def comparison_folder(options: argparse.Namespace) -> Path:
    """``--out``, made. ArgumentError if it holds designs of another network."""
    folder = check_writable_folder(options.out).resolve()
    names = ("image", "size", "hidden", "layers", "steps", "qat_steps", "cycles_per_sample")
    settings = {name: getattr(options, name) for name in names}
    path = folder / "options.json"
    if path.exists() and (found := read_json(path)) != settings:
        given = " ".join(f"--{name.replace('_', '-')} {x}" for name, x in found.items())
        raise ArgumentError(
            "out", str(folder), f"holds designs of {given}: give these, or a new folder"
        )
    write_json(path, settings)
    return folder


def main() -> None:
    parser = comparison_parser(__doc__)
    parser.set_defaults(size=48, hidden=64, steps=2000, qat_steps=300, cycles_per_sample=128)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="DESIGN", help=f"no tables: {'; '.join(NAMES)}"
    )
    options = parser.parse_args()
    options.out = comparison_folder(options)
    designs = all_designs(options, options.only or NAMES)
    if options.only:
        return
    for design in designs if options.energy else ():
        design.energy = asdict(energy_ratio(design.activity, designs[0].activity))
    tables = [table(designs), claims({design.name: design for design in designs})]
    if options.energy:
        tables.append(energy_table(designs))
    run("synth", "--out", options.out / plain(REFERENCE))
    tables.append(parts_table(options.out / plain(REFERENCE)))
    settings = facts(options)
    text = "\n".join([*(line for part in tables for line in [*part, ""]), settings, ""])
    with atomic_path(options.out / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(
        options.out / "comparison.json",
        {"designs": [asdict(d) for d in designs], "claims": CLAIMS, "settings": settings},
    )
    draw(designs, options.out / "comparison.png")
    print(text)


if __name__ == "__main__":
    main()
