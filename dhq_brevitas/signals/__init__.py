# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Signals on grids: coordinates, metrics, pictures, and the reconstruction tasks."""
