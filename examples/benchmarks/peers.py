# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The same integers in this package's designs, in da4ml's and in plain Verilog, by the same Yosys.

    pip install 'dhq-brevitas[adders]'
    python examples/benchmarks/peers.py --out runs/peers

For each width a network 2-N-N-3 is fitted to a picture for a few steps (the figures hardly depend
on how well) and quantized to W8A8 without rotations. Every design is simulated on every pixel and
synthesized for UltraScale+. What is done before is taken from the run folders and the caches.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.stitching import open_stitched
from dhq_brevitas.finn_flow.synthesis import Yosys
from dhq_brevitas.finn_flow.synthesis.design import read_resources, stitched_sources
from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys
from dhq_brevitas.run import cli
from dhq_brevitas.run.loading import load_run
from hardware.kernel import longest_path
from hardware.peers import (
    Peer,
    adder_graph_design,
    codes_of,
    integer_layers,
    serial_design,
    unrolled_design,
)

COLUMNS = (
    "design",
    "LUT",
    "FF",
    "DSP",
    "BRAM18",
    "cycles a sample",
    "latency",
    "LUT x cycles",
    "cells in a row",
    "codes differing",
)


def dhq(*arguments: object) -> None:
    """A command of ``dhq``."""
    if cli.main([*map(str, arguments), "--quiet"]):
        raise SystemExit(f"dhq {' '.join(map(str, arguments))} failed")


def row(
    name: str, sources: Sources, top: str, cycles: float, latency: int, differing: str
) -> list[str]:
    """A line of the table."""
    yosys = Yosys()
    entry = yosys.synthesize(sources, top, "xcup")
    found = read_resources(entry)
    return [
        name,
        *(str(number) for number in (found.lut, found.ff, found.dsp, found.bram18)),
        f"{cycles:.2f}",
        str(latency),
        f"{found.lut * cycles:.0f}",
        str(len(longest_path(yosys, entry))),
        differing,
    ]


def ours(folder: Path, cycles: int, adders: bool = False) -> list[str]:
    """The line of this package's design at a folding, in a copy of the run folder."""
    kernel, name = ("adders", ", adders") if adders else ("matrix_vector", "")
    exported, folder = folder, folder.with_name(f"{folder.name}-{cycles}{name.replace(', ', '-')}")
    if not folder.exists():
        shutil.copytree(exported, folder)
    dhq("build", "--out", folder, "--cycles-per-sample", cycles, "--mvau", kernel)
    dhq("simulate", "--out", folder, "--level", "rtl")
    stitched = open_stitched(ModelWrapper(str(folder / "stitched" / "stitched.onnx")))
    found = load_run(folder).summary
    return row(
        f"dhq, {cycles} cycles{name}",
        stitched_sources(stitched),
        stitched.top,
        found["cycles_per_sample"],
        found["latency_cycles"],
        f"{found['mismatch_finn_rtl']} of {found['codes_compared']}",
    )


def theirs(peer: Peer, codes: np.ndarray, expected: np.ndarray) -> list[str]:
    """The line of another design."""
    outputs, stats = peer.simulate(codes)
    differing = f"{np.count_nonzero(outputs != expected)} of {expected.size}"
    return row(
        peer.name,
        patch_for_yosys(peer.sources),
        "peer",
        stats.cycles_per_sample,
        stats.latency_cycles,
        differing,
    )


def compare(folder: Path, args: argparse.Namespace, hidden: int) -> Iterator[list[str]]:
    """The lines of one network."""
    options = ["--size", args.size, "--hidden", hidden, "--layers", 2, "--steps", args.steps]
    options += ["--scheme", "stock", "--qat-steps", 50, "--until", "export"]
    dhq("run", "astronaut", "--out", folder, *options)
    for cycles in args.cycles:
        yield ours(folder, cycles)
    yield ours(folder, 1, adders=True)
    last = folder.with_name(f"{folder.name}-{args.cycles[-1]}")
    layers = integer_layers(ModelWrapper(str(last / "build" / "dataflow.onnx")))
    run = load_run(last)
    codes, expected = run.problem.codes, run.folder.array("finn.npz", "codes")
    if not np.array_equal(codes_of(layers, codes), expected):
        raise SystemExit("the integers of the graph are not those of the network")
    bits = int(np.abs(codes).max()).bit_length() + 1
    for cutoff in args.cutoffs:
        yield theirs(adder_graph_design(layers, bits, cutoff), codes, expected)
    yield theirs(unrolled_design(layers, bits), codes, expected)
    yield theirs(serial_design(layers, bits), codes, expected)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--hidden", type=int, nargs="+", default=[16, 32], help="widths")
    parser.add_argument("--cycles", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5, 1], help="of da4ml")
    parser.add_argument("--size", type=int, default=32, help="pixels on a side")
    parser.add_argument("--steps", type=int, default=300, help="of the fit")
    args = parser.parse_args()
    enable_verilator()
    for hidden in args.hidden:
        print(f"\n2-{hidden}-{hidden}-3\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for line in compare(args.out / str(hidden), args, hidden):
            print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
