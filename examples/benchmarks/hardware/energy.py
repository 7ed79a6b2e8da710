# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A model of the energy of a sample. Only ratios between designs mean something.

    E = Σ kinds  e · cells · toggles / (bits · RATE)        LUTs, flip-flops, memories in LUTs, DSPs
      + e_net · toggles / RATE  +  e_clock · clocked cells · cycles  +  e_bram · blocks · cycles
    E_static = s / (1 - s) · E(reference) · (time of a sample / that of the reference) · a

with the toggles of the mapped netlist (:mod:`hardware.activity`) and
energies ``e`` of a cell in a clock cycle of which ``RATE`` of the outputs change. s is the share of
leakage in the reference design; a its area, as the ratio of LUTs, or 1 if the whole device leaks.

The energies are Vivado's own: the powers that its ``report_power`` gives a routed UltraScale+
design by kind of resource, divided by the number of cells and the clock rate. :data:`REPORTS`
quotes three reports that their authors published on GitHub; the first one resolves every kind and
is used. They state no activity but have Vivado's default, 12.5% (UG835, set_switching_activity),
taken for RATE. They give milliwatts, so single ones are known to ±50%, and which cells run from
slower second clocks is not known. Therefore every energy is also halved and doubled, or moved as
far as the other reports are away, if that is more.

Not modeled: glitches, wires that differ in length, placement, clock gating, block RAM that is not
read, wide multiplexers, carries inside a chain, inputs and outputs, configuration.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from dhq_brevitas.finn_flow.errors import FlowError
from hardware.activity import Activity

RATE = 0.125


@dataclass(frozen=True)
class PowerReport:
    """Part of a report of Vivado.

    Attributes:
        source: repository at commit: file.
        device: part, Vivado.
        period: of the fastest clock of the logic, seconds.
        powers: (watts, cells) by kind. Nets count as cells of the kind "net"; of "clock", the cells
            are flip-flops, memories in LUTs, DSPs and block RAM. A block of 36 kbit counts as two.
    """

    source: str
    device: str
    period: float
    powers: dict[str, tuple[float, int]]

    def energies(self) -> dict[str, float]:
        """Joules of a cell in a cycle."""
        return {kind: watts * self.period / n for kind, (watts, n) in self.powers.items()}


_FILE = "project_1.runs/impl_1/design_1_wrapper_power_routed.rpt"
REPORTS = (
    PowerReport(
        "samuelkravitz/RFSOC at 3f593614b67262c4b0f35ed960c5eb38a472d311: project_1/" + _FILE,
        "xczu48dr-ffvg1517-2-e, Vivado 2024.1",
        6.8e-9,
        {
            "lut": (0.012, 9113),
            "ff": (0.001, 25689),
            "srl": (0.040, 20647),
            "lutram": (0.005, 232),
            "dsp": (0.057, 376),
            "bram": (0.025, 133),
            "net": (0.042, 54993),
            "clock": (0.157, 25689 + 20647 + 232 + 376 + 133),
        },
    ),
    PowerReport(
        "Risamp/ELEN90096-Group-2 at 8bf42b94171040fcf5f89a148234265f74613c86: project_1/" + _FILE,
        "xck26-sfvc784-2LV-c, Vivado 2023.1",
        10e-9,
        {
            "lut": (0.010, 8083),
            "srl": (0.003, 471),
            "lutram": (0.006, 1728),
            "net": (0.014, 18138),
            "clock": (0.018, 12301 + 471 + 1728 + 6 + 6),
        },
    ),
    PowerReport(
        "OcupointInc/DRCV1.0DeliverablePlatform at dc0bd17ff196c0ea21c9b41135b9e730051c78fc: "
        + _FILE,
        "xczu3eg-sfvc784-1-e, Vivado 2023.1",
        7.7e-9,
        {
            "lut": (0.004, 2929),
            "ff": (0.001, 4167),
            "net": (0.007, 6290),
            "clock": (0.020, 4167 + 64 + 68),
        },
    ),
)
#: Joules of a cell in a cycle, of "clock" and "bram" in any cycle, else with RATE of it changing.
ENERGIES = REPORTS[0].energies()


def _uncertainty(kind: str) -> tuple[float, float]:
    found = [
        report.energies()[kind] / ENERGIES[kind] for report in REPORTS if kind in report.powers
    ]
    return min(0.5, *found), max(2.0, *found)


#: Least and greatest factor on each energy.
UNCERTAINTY = {kind: _uncertainty(kind) for kind in ENERGIES}
CLOCKED = ("ff", "srl", "lutram", "dsp", "bram")
STATIC_SHARES = (0.0, 0.5)


@dataclass(frozen=True)
class EnergyRatio:
    """Energy of a sample relative to a reference.

    Attributes:
        value: with the energies as cited, without leakage.
        low, high: least and greatest with each energy anywhere within its :data:`UNCERTAINTY`, all
            at once, and static shares of 0 to 50%.
        sensitivity: for each energy by itself, the ratios with it halved and doubled; for
            ``static (area)`` and ``static (device)``, without leakage and with a share of 50%.
    """

    value: float
    low: float
    high: float
    sensitivity: dict[str, tuple[float, float]]


def dynamic_energy(
    activity: Activity, energies: Mapping[str, float] = ENERGIES
) -> dict[str, float]:
    """Joules of a sample by the keys of ``energies``."""
    result = {}
    for kind in ("lut", "ff", "srl", "lutram", "dsp"):
        per_toggle = activity.cells[kind] / (activity.bits[kind] or 1) / RATE
        result[kind] = energies[kind] * per_toggle * activity.toggles[kind]
    result["bram"] = energies["bram"] * activity.cells["bram"] * activity.cycles
    result["net"] = energies["net"] * sum(activity.toggles.values()) / RATE
    clocked = sum(activity.cells[kind] for kind in CLOCKED)
    result["clock"] = energies["clock"] * clocked * activity.cycles
    return result


def energy_ratio(
    design: Activity, reference: Activity, clocks: tuple[float, float] = (1.0, 1.0)
) -> EnergyRatio:
    """Energy of a sample of ``design`` by that of ``reference``, and how uncertain the model is.

    ``clocks``: of both, in any unit; what leaks does so for the time of a sample. FlowError if the
    reference uses no energy.
    """
    own, other = dynamic_energy(design), dynamic_energy(reference)
    if not sum(other.values()):
        raise FlowError("the reference design of an energy ratio does not switch at all")

    def ratio(factors: Mapping[str, float], static: float, area: float) -> float:
        total = sum(value * factors.get(kind, 1.0) for kind, value in own.items())
        base = sum(value * factors.get(kind, 1.0) for kind, value in other.items())
        leak = static / (1 - static) * base
        slower = design.cycles / reference.cycles * clocks[1] / clocks[0]
        return (total + leak * slower * area) / (base + leak)

    luts = [a.cells["lut"] + a.cells["lutram"] + a.cells["srl"] for a in (design, reference)]
    areas = {"static (area)": luts[0] / luts[1], "static (device)": 1.0}
    # A ratio of sums of positive terms is greatest and least at the corners.
    corners = [
        ratio(dict(zip(UNCERTAINTY, factors, strict=True)), static, area)
        for factors in itertools.product(*UNCERTAINTY.values())
        for static in STATIC_SHARES
        for area in areas.values()
    ]
    sensitivity = {
        kind: (ratio({kind: 0.5}, 0.0, 1.0), ratio({kind: 2.0}, 0.0, 1.0)) for kind in ENERGIES
    }
    for name, area in areas.items():
        first, last = (ratio({}, share, area) for share in STATIC_SHARES)
        sensitivity[name] = (first, last)
    return EnergyRatio(ratio({}, 0.0, 1.0), min(corners), max(corners), sensitivity)
