# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Packed networks of kodak_curve.py through QONNX to FINN's dataflow graph, integers compared.

    python examples/benchmarks/kodak_in_finn.py runs/kodak/packed/*.dhq

Each file is unpacked, exported and mapped for 1024 cycles a sample; what PyTorch, QONNX and FINN
give for 256 pixels is compared, code for code.
"""

import argparse
from pathlib import Path

import torch

from dhq_brevitas.fitting import unpack
from dhq_brevitas.inr.families import register_family
from dhq_brevitas.signals.grid import grid_codes
from quality.kodak import FREQUENCIES
from quality_in_finn import compared

PIXELS = 256


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--shape", type=int, nargs=2, default=(512, 768), help="of the picture")
    arguments = parser.parse_args()
    register_family(FREQUENCIES)
    every = torch.from_numpy(grid_codes(arguments.shape)).float()
    codes = every[:: max(1, len(every) // PIXELS)]
    for file in arguments.files:
        found = compared(unpack(file).model, codes, rtl=False)
        differing = [found[f"mismatch_{levels}"] for levels in ("quant_qonnx", "qonnx_finn")]
        print(f"{file.name}: {differing[0]} and {differing[1]} of {found['codes']} codes differ")


if __name__ == "__main__":
    main()
