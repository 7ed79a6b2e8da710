# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Synthesis of accelerators with Yosys: resources before placement, without Vivado.

:func:`synthesize_design` takes a stitched design. Two limits of the figures: Yosys never puts two
small LUTs into one LUT6, as Vivado does, and nothing is placed, so there is no timing.
"""

from dhq_brevitas.finn_flow.synthesis.design import (
    DesignSynthesis,
    NodeSynthesis,
    synthesize_design,
)
from dhq_brevitas.finn_flow.synthesis.parts import part_family
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.yosys import SynthesisError, Yosys

__all__ = [
    "DesignSynthesis",
    "NodeSynthesis",
    "Resources",
    "SynthesisError",
    "Yosys",
    "part_family",
    "synthesize_design",
]
