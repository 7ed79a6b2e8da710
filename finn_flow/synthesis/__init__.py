# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Synthesis of accelerators with Yosys: resources before placement, without Vivado.

:func:`synthesise_design` takes a stitched design. Two limits of the figures: Yosys never puts two
small LUTs into one LUT6, as Vivado does, and nothing is placed, so there is no timing.
:func:`measure_activity` counts what switches in a netlist; :func:`energy_ratio` compares designs.
"""

from dhq_brevitas.finn_flow.synthesis.activity import Activity, measure_activity
from dhq_brevitas.finn_flow.synthesis.design import (
    DesignSynthesis,
    NodeSynthesis,
    synthesise_design,
)
from dhq_brevitas.finn_flow.synthesis.energy import EnergyRatio, dynamic_energy, energy_ratio
from dhq_brevitas.finn_flow.synthesis.parts import part_family
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.yosys import SynthesisError, Yosys

__all__ = [
    "Activity",
    "DesignSynthesis",
    "EnergyRatio",
    "NodeSynthesis",
    "Resources",
    "SynthesisError",
    "Yosys",
    "dynamic_energy",
    "energy_ratio",
    "measure_activity",
    "part_family",
    "synthesise_design",
]
