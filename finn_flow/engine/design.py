# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``make_engine``: a stitched accelerator with what makes it a source of samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow.engine.grid import CodeGrid
from dhq_brevitas.finn_flow.engine.integer_affine import IntegerAffine, integer_affine
from dhq_brevitas.finn_flow.engine.shell import (
    KERNELS,
    LATE,
    OutputStream,
    engine_text,
    late_text,
)
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import HostAffine
from dhq_brevitas.finn_flow.ops.channelwise_rtl import kernel_sources
from dhq_brevitas.finn_flow.stitching.design import StitchedDesign
from dhq_brevitas.finn_flow.stitching.folder import write_lists
from dhq_brevitas.signals.samples import SampleFormat

ENGINE = "dhq_engine"


@dataclass(frozen=True)
class Engine:
    """An accelerator that counts through its points and gives samples.

    Attributes:
        design: the accelerator, in whose folder the engine lies.
        grid: the points.
        affine: what stands for the host's scale, bias and rounding.
        stream: the output.
        samples: of the output.
    """

    design: StitchedDesign
    grid: CodeGrid
    affine: IntegerAffine
    stream: OutputStream
    samples: SampleFormat
    top: str = ENGINE

    @property
    def sources(self) -> list[Path]:
        """Files to compile, those of the accelerator among them."""
        return self.design.sources


def make_engine(
    design: StitchedDesign,
    host: HostAffine,
    codes: np.ndarray,
    shape: Sequence[int],
    samples: SampleFormat,
    shell: str = "axis",
) -> Engine:
    """Writes the module ``dhq_engine`` into the folder of ``design``, and into its file lists.

    Args:
        design: the stitched accelerator.
        host: what the host does around it.
        codes: integers that the accelerator is given, [points, axes].
        shape: of the grid that the points are.
        samples: what becomes of the results.
        shell: axis (AXI4-Stream, a picture is a packet) or pixels (AXI4-Stream Video).

    FlowError for points that are no grid, for a host whose rounding has no integer form, and for a
    shell that does not suit the signal.
    """
    grid = CodeGrid.of(codes, shape)
    if len(design.input_formats) != 1 or len(design.output_formats) != 1:
        raise FlowError(
            f"an engine has one input and one output, the accelerator {len(design.input_formats)} "
            f"and {len(design.output_formats)}: use it without a shell"
        )
    given, wanted = design.input_format, design.output_format
    if given.lanes * given.beats != len(grid.sizes):
        raise FlowError(
            f"the accelerator takes {given.lanes * given.beats} inputs, the points have "
            f"{len(grid.sizes)} axes"
        )
    channels = wanted.lanes * wanted.beats
    bounds = (int(wanted.datatype.min()), int(wanted.datatype.max()))
    affine = integer_affine(
        lambda x: samples.encode(host.decode(x)), channels, bounds, (samples.low, samples.high)
    )
    stream = OutputStream.of(shell, grid, wanted, samples)
    text = engine_text(ENGINE, design.top, grid, affine, given, wanted, stream, samples)
    if affine.late is not None:
        (design.folder / LATE).write_text(late_text(affine, samples.bits))
    add_top(design, ENGINE, text, KERNELS)
    return Engine(design, grid, affine, stream, samples)


def add_top(design: StitchedDesign, name: str, text: str, kernels: Sequence[str]) -> None:
    """Adds the module ``name`` around the accelerator, and kernels in it, to the folder."""
    files = {path.name: path for kernel in kernels for path in kernel_sources(kernel)}
    names = [path.name for path in design.sources if path.name != f"{name}.v"]
    missing = [file for file in files if file not in names]
    for file in missing:
        (design.folder / file).write_text(files[file].read_text())
    (design.folder / f"{name}.v").write_text(text)
    # Packages come first, as in the list of the accelerator.
    packages = [file for file in missing if file.endswith("_pkg.sv")]
    others = [file for file in missing if file not in packages]
    write_lists(design.folder, [*packages, *names, *others, f"{name}.v"])
