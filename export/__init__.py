# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QONNX export of models with DHQ quantizers; importing it registers the Brevitas handlers."""

from dhq_brevitas.export.exact_sums import exact_tensor, with_exact_sums
from dhq_brevitas.export.execute import run_qonnx, set_batch_size
from dhq_brevitas.export.handlers import register
from dhq_brevitas.export.output_check import ExportError
from dhq_brevitas.export.passes.integer_form import (
    InexactAccumulatorWarning,
    ToIntegerForm,
    to_integer_form,
)
from dhq_brevitas.export.passes.lower_hadamard import LowerHadamardToMatMul
from dhq_brevitas.export.qonnx import export_qonnx, save_model

__all__ = [
    "ExportError",
    "InexactAccumulatorWarning",
    "LowerHadamardToMatMul",
    "ToIntegerForm",
    "exact_tensor",
    "export_qonnx",
    "run_qonnx",
    "save_model",
    "set_batch_size",
    "to_integer_form",
    "with_exact_sums",
]

register()
