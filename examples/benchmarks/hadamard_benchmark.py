# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Time the Hadamard transform against a plain copy, Brevitas and one dense GEMM.

All contenders run in turn, repeatedly, on the same float32 tensor; the table gives the median.
``clone`` is the fair yardstick for a function that returns a new tensor; ``copy_`` writes into
memory that is already mapped, which on large tensors is most of the difference. "backward" is the
gradient alone; "of columns" transforms a tensor whose rows are columns in memory, to be compared
with ``x.T.contiguous()``.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from brevitas.graph.hadamard import matmul_hadU
from torch import Tensor

from dhq_brevitas.nn.hadamard import hadamard_matrix, hadamard_transform


def median_ms(contenders: dict[str, Callable[[], Tensor]], repeat: int) -> dict[str, float]:
    """Median wall time in ms of each contender, measured in interleaved repetitions."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(repeat + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            result = run()
            elapsed = time.perf_counter() - start
            del result  # outside the measurement, and before the next one allocates
            if repetition > 0:  # the first round warms caches and thread pools
                times[name].append(1e3 * elapsed)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python examples/benchmarks/hadamard_benchmark.py --rows 65536 --order 256",
    )
    parser.add_argument("--rows", type=int, default=65536, help="rows of the tensor (%(default)s)")
    parser.add_argument("--order", type=int, default=256, help="size of a row (%(default)s)")
    parser.add_argument("--repeat", type=int, default=15, help="repetitions (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    args = parser.parse_args()
    if args.rows < 1 or args.repeat < 1:
        parser.error("--rows and --repeat must be at least 1")
    try:
        dense = hadamard_matrix(args.order) / args.order**0.5
    except ValueError as error:
        parser.error(str(error))

    x = torch.randn(args.rows, args.order, generator=torch.Generator().manual_seed(0))
    target = torch.empty_like(x)
    columns = x.T.contiguous().T
    leaf = x.clone().requires_grad_()
    y = hadamard_transform(leaf)
    times = median_ms(
        {
            "x.clone()": x.clone,
            "y.copy_(x)": lambda: target.copy_(x),
            "hadamard_transform": lambda: hadamard_transform(x),
            "  backward": lambda: torch.autograd.grad(y, leaf, x, retain_graph=True)[0],
            "x.T.contiguous()": lambda: columns.contiguous(),
            "  transform of columns": lambda: hadamard_transform(columns),
            "brevitas matmul_hadU": lambda: matmul_hadU(x),
            "dense GEMM": lambda: x @ dense,
        },
        args.repeat,
    )

    ours = times["hadamard_transform"]
    print(
        f"{args.rows}x{args.order} float32, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, median of {args.repeat}"
    )
    print(f"{'':24}{'ms':>9}{'/ clone':>10}{'/ copy_':>10}{'/ ours':>10}")
    for name, ms in times.items():
        ratios = (ms / times["x.clone()"], ms / times["y.copy_(x)"], ms / ours)
        print(f"{name:24}{ms:9.2f}" + "".join(f"{ratio:10.2f}" for ratio in ratios))
    if args.json:
        facts = {"rows": args.rows, "order": args.order, "repeat": args.repeat}
        facts |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
        args.json.write_text(json.dumps({**facts, "median_ms": times}, indent=2) + "\n")


if __name__ == "__main__":
    main()
