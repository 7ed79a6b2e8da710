# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QONNX export of models with DHQ quantizers; importing it registers the Brevitas handlers."""

from dhq_brevitas.export.handlers import register

register()
