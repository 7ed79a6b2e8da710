# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Picture quality of quantization schemes at the same bits, from the same float networks.

    python examples/benchmarks/quality_benchmark.py --out runs/quality
    python examples/benchmarks/quality_benchmark.py --out runs/quality --pictures coffee \\
        --bits W4A8 --qat 0
    python examples/benchmarks/quality_benchmark.py --out runs/small --pictures camera --size 16 \\
        --hidden 16 --steps 20 --qat 5

Every finished cell is kept in OUT/results.json, float networks in OUT/floats, so the command can be
interrupted, repeated and extended. OUT/results.md and OUT/results.png show what is there.
"mean loss" is PSNR below the float network's; of fine-tuned networks, below that of the float
network of as many steps in total, which the scheme "float" gives.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import fit_float
from dhq_brevitas.util.files import atomic_path, check_writable_folder, read_json, write_json
from dhq_brevitas.util.processes import in_processes, keep_freed_memory
from quality.report import write_report
from quality.schemes import SCHEMES, Job, run_cell

PICTURES = ["astronaut", "chelsea", "coffee", "rocket"]


def parse(
    description: str | None, extend: Callable[[argparse.ArgumentParser], Any] = lambda parser: None
) -> argparse.Namespace:
    """The options, also of quality_in_finn.py, which adds to them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--pictures", nargs="+", default=PICTURES, help="files or bundled names")
    parser.add_argument("--size", type=int, default=256, help="side of the central square")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000, help="of the float networks")
    parser.add_argument("--qat", type=int, default=500, help="fine-tuning steps; 0: PTQ only")
    parser.add_argument("--bits", nargs="+", default=["W8A8", "W4A8"], help="W8A8 W6A6 ...")
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    extend(parser)
    return parser.parse_args()


def job_of(arguments: argparse.Namespace, picture: str) -> Job:
    """A picture and the file of its float network."""
    shape = f"{arguments.hidden}x{arguments.layers}-{arguments.steps}"
    path = arguments.out / "floats" / f"{Path(picture).stem}-{arguments.size}-{shape}.pt"
    shape_of = (arguments.size, arguments.hidden, arguments.layers, arguments.steps)
    return Job(path, picture, *shape_of, device=arguments.device)


def fit(job: Job) -> None:
    """Makes the float network's file."""
    data = job.data()
    network = Inr(InrSpec(job.hidden, job.layers, out_features=data.target.shape[1]))
    network.to(job.device)
    partial_file = f"{job.network_file}.part"
    fit_float(network, data.coordinates, data.target, job.training, partial_file, str(job))
    with atomic_path(job.network_file) as temporary:
        torch.save(network.cpu().state_dict(), temporary)


def cell_key(job: Job, bits: str, scheme: str, qat: int) -> str:
    """The name of a cell's results."""
    return f"{job.network_file.stem} {bits} {scheme} qat{qat}"


def main() -> None:
    arguments = parse(__doc__)
    keep_freed_memory()
    check_writable_folder(arguments.out / "floats")
    results_file = arguments.out / "results.json"
    results = read_json(results_file) or {}
    jobs = {}
    for picture in arguments.pictures:
        job = job_of(arguments, picture)
        if not job.network_file.exists():
            fit(job)
        for bits, scheme in itertools.product(arguments.bits, arguments.schemes):
            key = cell_key(job, bits, scheme, arguments.qat)
            if key not in results and SCHEMES[scheme].applies(bits):
                jobs[key] = (job, bits, scheme, arguments.qat)
    preload = ["triton"] if arguments.device == "cuda" else []
    done = in_processes(run_cell, jobs, arguments.jobs, preload)
    failed = []
    for key, cell in tqdm(done, total=len(jobs), desc="cells", unit="cell"):
        if isinstance(cell, Exception):
            failed.append(f"{key}: {type(cell).__name__}: {cell}")
            continue
        results[key] = cell
        write_json(results_file, results)
    print(write_report(arguments.out, results))
    if failed:
        raise SystemExit("\n".join(["these cells failed:", *failed]))


if __name__ == "__main__":
    main()
