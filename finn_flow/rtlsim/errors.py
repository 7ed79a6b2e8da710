# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong in RTL simulation."""

from dhq_brevitas.finn_flow.errors import FlowError


class SimulationError(FlowError):
    """A design could not be compiled for simulation, or failed while it ran."""
