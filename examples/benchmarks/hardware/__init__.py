# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What compares hardware: datapaths to compare with, netlists simulated, a model of energy."""
