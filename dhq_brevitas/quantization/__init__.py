# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Quantization of a network: calibrate, round, fine-tune, settle."""
