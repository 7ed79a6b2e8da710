# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An accelerator that stands by itself: it counts through its points and gives samples.

:func:`make_engine` writes it beside a stitched design, :func:`simulate_engine` runs it.
"""

from dhq_brevitas.finn_flow.engine.design import Engine, make_engine
from dhq_brevitas.finn_flow.engine.simulate import EngineRun, simulate_engine

__all__ = ["Engine", "EngineRun", "make_engine", "simulate_engine"]
