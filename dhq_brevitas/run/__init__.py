# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Run folders, their stages, and the command line; the one place that reaches all packages."""
