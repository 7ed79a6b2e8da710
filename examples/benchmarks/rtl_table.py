# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Networks of several widths and foldings in RTL simulation: cycles, latency, speed, mismatches.

    python examples/benchmarks/rtl_table.py --out runs/rtl_table

Each is fitted to a picture for a few steps (the figures do not depend on how well), quantized,
exported, built for two targets and simulated as one Verilog design on every pixel.
"""

import argparse
from pathlib import Path

from dhq_brevitas.run import cli
from dhq_brevitas.run.loading import load_run

# Pixels on a side: fewer for the widest network, which simulates slowest.
SIZES = {64: 64, 128: 64, 256: 32}
COLUMNS = (
    ("estimate", "cycles_per_sample_estimate", ".0f"),
    ("cycles a sample", "cycles_per_sample", ".2f"),
    ("latency", "latency_cycles", ".0f"),
    ("samples", "rtl_samples_compared", ".0f"),
    ("codes differing", "mismatch_finn_rtl", ".0f"),
    ("samples simulated a second", "rtl_samples_per_second", ".0f"),
)


def simulate(out: Path, hidden: int, size: int, cycles: int) -> list[str]:
    """The row of one network and target."""
    options = ["--size", size, "--hidden", hidden, "--cycles-per-sample", cycles]
    options += ["--steps", 50, "--qat-steps", 5, "--level", "rtl"]
    arguments = ["run", "astronaut", "--out", out, *options]
    if cli.main([str(argument) for argument in arguments]):
        raise SystemExit(f"hidden {hidden}, {cycles} cycles a sample failed")
    summary = load_run(out).summary
    return [str(hidden), str(cycles), *(format(summary[key], spec) for _, key, spec in COLUMNS)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--hidden", type=int, nargs="+", default=list(SIZES), help="widths")
    parser.add_argument("--size", type=int, help="pixels on a side (64; 32 for 256 wide)")
    parser.add_argument(
        "--factors", type=int, nargs="+", default=[1, 4], help="cycles a sample, times the width"
    )
    args = parser.parse_args()
    rows = [["hidden", "target", *(title for title, _, _ in COLUMNS)]]
    for hidden in args.hidden:
        size = args.size or SIZES.get(hidden, 32)
        for factor in args.factors:
            rows.append(simulate(args.out / str(hidden), hidden, size, factor * hidden))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
