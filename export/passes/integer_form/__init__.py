# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The pass that brings a QONNX graph to integer form; a module for each kind of node."""

from dhq_brevitas.export.passes.integer_form.linear import InexactAccumulatorWarning
from dhq_brevitas.export.passes.integer_form.transformation import (
    MULTIPLIER_BITS,
    ToIntegerForm,
    to_integer_form,
)

__all__ = ["MULTIPLIER_BITS", "InexactAccumulatorWarning", "ToIntegerForm", "to_integer_form"]
