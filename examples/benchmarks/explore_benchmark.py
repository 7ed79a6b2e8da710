# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq explore`` against a person's grid, with the same number of trials by the same engine.

    python examples/benchmarks/explore_benchmark.py --out runs/explore
    python examples/benchmarks/explore_benchmark.py --out runs/quick --pictures camera --size 8 \\
        --steps 10 --qat-steps 0 --trials 2

The grid has the 24 combinations that the documentation suggests: three widths, four pairs of bits,
with the default rotation and without. What cannot be compared is counted: the hypervolume of a
front is the part of the space of PSNR, LUTs, DSPs and block RAMs in which some design of it is at
least as good, up to the worst value of each that any design of both has. It is given as a share of
the hypervolume of both fronts together.

Every trial is kept in OUT, so the command can be interrupted, repeated and extended.
"""

import argparse
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from optuna._hypervolume import compute_hypervolume

from dhq_brevitas.run.cli import build_parser
from dhq_brevitas.run.exploring.command import explore
from dhq_brevitas.run.exploring.front import design_text
from dhq_brevitas.run.exploring.options import DIRECTIONS, ExploreOptions
from dhq_brevitas.util.files import read_json
from dhq_brevitas.util.tables import text_table

#: With pictures a second.
PARTS = {"xc7z020clg400-1": 60, "xczu3eg-sbva484-1-e": 1000}
WIDTHS, BITS, ROTATIONS = (16, 32, 64), ((8, 8), (6, 6), (4, 8), (4, 4)), ("none", "input")
GRID: list[dict[str, Any]] = [
    {
        "family": "siren",
        "hidden": width,
        "layers": 2,
        "weight_bits": weight_bits,
        "act_bits": act_bits,
        "phase_bits": 12,
        "rotation": rotation,
        "speed": 1,
    }
    for width, (weight_bits, act_bits), rotation in product(WIDTHS, BITS, ROTATIONS)
]
JUDGED_BY = ExploreOptions().judged_by()


def measured(folder: Path, command: list[str], first: list[dict[str, Any]] | None) -> list[Any]:
    """Records of the trials in ``folder`` that were not given up."""
    given = vars(build_parser().parse_args(["explore", *command, "--out", str(folder)]))
    options = ExploreOptions(**{field.name: given[field.name] for field in fields(ExploreOptions)})
    explore(folder, options, given, lambda text: None, first)
    records = [read_json(path) for path in (folder / "trials").glob("*.json")]
    return [record for record in records if record and not record["given_up"]]


def losses(records: list[Any]) -> np.ndarray:
    """[trials, objectives], less is better."""
    signs = {name: -1 if DIRECTIONS[name] == "maximize" else 1 for name in JUDGED_BY}
    return np.array([[sign * record[name] for name, sign in signs.items()] for record in records])


def comparison(grid: list[Any], found: list[Any]) -> list[str]:
    """Both hypervolumes as shares, and who has how many designs of the front of both."""
    both = losses(grid + found)
    worst = both.max(0)
    total = compute_hypervolume(both, worst)
    shares = [compute_hypervolume(losses(records), worst) / total for records in (grid, found)]
    beaten = (both[:, None] >= both).all(2) & (both[:, None] > both).any(2)
    on_front = ~beaten.any(1)
    counts = on_front[: len(grid)].sum(), on_front[len(grid) :].sum()
    best = [max(record["psnr"] for record in records) for records in (grid, found)]
    return [
        *(f"{share:.3f}" for share in shares),
        *map(str, counts),
        *(f"{psnr:.2f}" for psnr in best),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of explorations")
    parser.add_argument("--pictures", nargs="+", default=["camera", "astronaut"])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--size", default="32", help="pixels on the longer side")
    parser.add_argument("--steps", default="200", help="of float networks")
    parser.add_argument("--qat-steps", default="0", help="of fine-tuning")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--trials", type=int, default=len(GRID), help="of each of both")
    given = parser.parse_args()
    heads = ["picture", "part", "grid", "explored", "of the front", "", "best dB", ""]
    rows = [heads, ["", "", "volume", "volume", "grid", "explored", "grid", "explored"]]
    for part, picture in product(given.parts, given.pictures):
        command = [picture, "--size", given.size, "--part", part]
        command += ["--target-fps", str(PARTS[part])]
        command += ["--steps", given.steps, "--qat-steps", given.qat_steps, "--seed", given.seed]
        command += ["--trials", str(given.trials), "--workers", "1"]
        folder = given.out / f"{part}-{Path(picture).stem}"
        grid = measured(folder / "grid", command, GRID)
        found = measured(folder / "explored", command, None)
        rows.append([picture, part, *comparison(grid, found)])
        front = read_json(folder / "explored" / "front.json")["front"]
        for record in front:
            taken = ", ".join(f"{record[name]} {name}" for name in JUDGED_BY[1:])
            print(f"{picture}, {part}: {record['psnr']:.2f} dB, {taken}: ", end="")
            print(design_text(record["design"]))
    print(text_table(rows))


if __name__ == "__main__":
    main()
