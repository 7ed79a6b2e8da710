# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a run folder holds, to go on with in Python."""

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.run.folder import SIGNAL
from dhq_brevitas.run.networks import load_float, load_quantized
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages.build import load_dataflow
from dhq_brevitas.run.stages.export import GRAPH
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.signals.tasks import Problem

if TYPE_CHECKING:
    from dhq_brevitas.finn_flow import HostAffine

__all__ = ["Run", "load_run"]


class Run:
    """What a run folder holds; each part is loaded when it is asked for, and kept.

    MissingStageError, which says what to run, when the stage that makes a part has not been run or
    its files are not those any more.
    """

    def __init__(self, folder: str | os.PathLike[str], trust_code: bool = False) -> None:
        self.folder = RunFolder(folder, trust_code)

    @property
    def summary(self) -> dict[str, Any]:
        """The results of all stages, as ``summary.json`` has them."""
        return self.folder.summary()

    @cached_property
    def problem(self) -> Problem:
        """The data: codes, reference, and what the network was fitted to."""
        self.folder.require("fit", "the data")
        return Problem.load(self.folder.file(SIGNAL))

    @cached_property
    def float_network(self) -> Inr:
        """Coordinates code · step, float32 [N, d], to samples [N, c]."""
        self.folder.require("fit", "the float network")
        return load_float(self.folder, self._fit, self.problem)

    @cached_property
    def quantized_network(self) -> QuantInr:
        """Codes as float32 [N, d] to samples [N, c]; Brevitas layers."""
        self.folder.require("quantize", "the quantized network")
        return load_quantized(self.folder, self._fit, self.problem)

    @cached_property
    def graph(self) -> Any:
        """The QONNX graph, a ``qonnx.core.modelwrapper.ModelWrapper``."""
        from dhq_brevitas.export.graph import read_graph

        self.folder.require("export", "the QONNX graph")
        return read_graph(self.folder.file(GRAPH))

    @cached_property
    def host(self) -> "HostAffine":
        """What the host does to inputs and outputs of the accelerator. Needs FINN."""
        self.folder.require("build", "the host's side")
        from dhq_brevitas.finn_flow import HostAffine

        return HostAffine.from_model(load_dataflow(self.folder)) or HostAffine()

    @property
    def _fit(self) -> FitOptions:
        return self.folder.chosen().get(FitOptions)


def load_run(folder: str | os.PathLike[str], trust_code: bool = False) -> Run:
    """The run in ``folder``, as ``dhq run --out`` left it.

    >>> run = load_run("runs/astronaut")
    >>> run.summary["signal"]["shape"]
    [16, 16]
    >>> run.quantized_network(run.problem.inputs).shape
    torch.Size([256, 3])

    Args:
        folder: that of the run.
        trust_code: whether a family or task in a Python file, which the folder only names, may be
            executed. Otherwise networks of such a folder are refused with UntrustedCodeError.

    Raises FileNotFoundError when there is no such folder.
    """
    run = Run(folder, trust_code)
    run.folder.check_exists()
    return run
