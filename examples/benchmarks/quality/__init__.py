# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Schemes, baselines and tables of ``quality_benchmark.py``."""
