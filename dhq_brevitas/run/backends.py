# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The two sibling packages behind one door, imported when they are needed."""

import importlib.util
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["build", "check_finn", "export"]


def export(
    model: "nn.Module", example: "Tensor", path: str | os.PathLike[str] | None = None
) -> Any:
    """See :func:`dhq_brevitas.export.export_qonnx`."""
    from dhq_brevitas.export import export_qonnx

    return export_qonnx(model, args=example, export_path=path)


def build(graph: Any, folder: str | os.PathLike[str], **options: Any) -> Any:
    """See :func:`dhq_brevitas.finn_flow.build_dataflow`."""
    check_finn("a build needs FINN", "use the QONNX graph of export()")
    from dhq_brevitas.finn_flow import build_dataflow

    return build_dataflow(graph, folder, **options)


def check_finn(
    what: str = "build, simulate and synth need FINN",
    instead: str = "stop earlier with dhq run --until export",
) -> None:
    """ModuleNotFoundError that says what to install, if FINN is missing."""
    if importlib.util.find_spec("finn") is None:
        raise ModuleNotFoundError(
            f"{what}, which is not installed: pip install 'dhq-brevitas[finn]', or {instead}"
        )
