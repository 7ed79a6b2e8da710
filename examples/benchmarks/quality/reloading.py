# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One accelerator whose memories are loaded with networks of several weight widths."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import build_dataflow
from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from dhq_brevitas.finn_flow.stitching import StitchedDesign, simulate_stitched, stitch
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.quantized import QuantInr

#: The folder of a file for ``$readmemh`` in the Verilog; it is named after the contents.
DATA_FOLDER = re.compile(r"data/[0-9a-f]+/")


def differing_codes(
    models: Mapping[int, QuantInr], codes: Tensor, folder: Path, cycles: int
) -> dict[int, int]:
    """For each width the output codes that differ between PyTorch and the widest one's Verilog.

    ``models``: networks of the same layers with weights in steps of the widest. Its accelerator is
    built for ``cycles`` a sample and stitched, and simulated once with its own memories and once
    with those of each other. ValueError where another's Verilog is not the same.
    """
    enable_verilator()
    designs, encode = {}, None
    for bits, model in models.items():
        graph = export_qonnx(model, args=codes[:1])
        built = build_dataflow(
            graph, folder / f"build{bits}", cycles_per_sample=cycles, progress=False
        )
        designs[bits], encode = stitch(built.model, folder / f"bits{bits}"), built.host.encode
    widest = designs[max(models)]
    differing = {}
    for bits, model in models.items():
        loaded = reloaded(widest, designs[bits], folder / f"loaded{bits}")
        emitted, _ = simulate_stitched(loaded, encode(codes.numpy()), progress=False)
        expected = evaluate(model, codes).accumulators
        differing[bits] = int(np.count_nonzero(emitted != expected))
    return differing


def reloaded(design: StitchedDesign, other: StitchedDesign, folder: Path) -> StitchedDesign:
    """A copy of ``design`` in ``folder`` with the contents of the memories of ``other``."""
    for mine, its in zip(design.sources, other.sources, strict=True):
        if DATA_FOLDER.sub("", mine.read_text()) != DATA_FOLDER.sub("", its.read_text()):
            raise ValueError(f"{mine.name} is not the same for both: only memories can be loaded")
    shutil.copytree(design.folder, folder, dirs_exist_ok=True)
    contents = {path.name: path for path in other.folder.rglob("*.dat")}
    for path in folder.rglob("*.dat"):
        shutil.copyfile(contents[path.name], path)
    return replace(design, folder=folder)
