# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``place_design``: from Verilog to clock rate, utilization, critical path and bitstream."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dhq_brevitas.finn_flow.placement.device import Device
from dhq_brevitas.finn_flow.placement.tools import (
    BITSTREAM,
    REPORT,
    route,
    synthesize,
    tool_versions,
)
from dhq_brevitas.finn_flow.rtlsim.sources import Sources

#: Cells of nextpnr by what they are called here.
RESOURCES = {
    "comb": "TRELLIS_COMB",
    "ff": "TRELLIS_FF",
    "ramw": "TRELLIS_RAMW",
    "mult18": "MULT18X18D",
    "bram": "DP16KD",
}
#: Those that become fewer with more cycles a sample; memories hold the same weights all the same.
_FOLDED = ("TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW", "MULT18X18D")
_USED = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", re.M)


@dataclass(frozen=True)
class CriticalPath:
    """The slowest way from a register to a register.

    Attributes:
        ns: of the whole; logic_ns, routing_ns: parts of it.
        start, end: cells.
        layers: that it passes, in order.
    """

    ns: float
    logic_ns: float
    routing_ns: float
    start: str
    end: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Placement:
    """A routed design.

    Attributes:
        clock_mhz: the rate that the routed design reaches, by nextpnr's timing analysis.
        target_mhz: what it was routed for.
        utilization: (used, there are) by the names of ``RESOURCES``.
        critical_path: what limits the clock.
        bitstream: file; None without a board.
        tools: that did it, with versions.
    """

    clock_mhz: float
    target_mhz: float
    utilization: dict[str, tuple[int, int]]
    critical_path: CriticalPath
    bitstream: Path | None
    tools: str


def place_design(
    sources: Sources,
    top: str,
    device: Device,
    mhz: float,
    *,
    constraints: str | None = None,
    cycles_per_sample: int | None = None,
    progress: bool = False,
) -> Placement:
    """Synthesizes, places and routes ``top`` for ``device``.

    Args:
        sources: of :func:`~dhq_brevitas.finn_flow.placement.sources.portable_sources`.
        top: module.
        device: part.
        mhz: rate to route for.
        constraints: pins and input clock, as an LPF file; None: out of context, without bitstream.
        cycles_per_sample: of the build, for what is said of a device that is too small.
        progress: show a progress bar.

    Netlist and routing come from the cache if they are there. SynthesisError, PlacementError.
    """
    tools = tool_versions()
    with tqdm(total=2, desc="synthesis", unit="step", disable=not progress, leave=False) as bar:
        netlist = synthesize(sources, top)
        bar.update()
        bar.set_description("place and route")
        entry = route(
            netlist,
            (*device.options, "--freq", f"{mhz:g}"),
            constraints,
            lambda log: too_small(log, device, cycles_per_sample),
        )
        bar.update()
    report = json.loads((entry / REPORT).read_text())
    slowest = min(report["fmax"].values(), key=lambda clock: clock["achieved"])
    return Placement(
        clock_mhz=round(slowest["achieved"], 2),
        target_mhz=mhz,
        utilization={
            name: (report["utilization"][cell]["used"], report["utilization"][cell]["available"])
            for name, cell in RESOURCES.items()
        },
        critical_path=_critical_path(report, _instances(sources)),
        bitstream=None if constraints is None else entry / BITSTREAM,
        tools=tools,
    )


def too_small(log: str, device: Device, cycles_per_sample: int | None) -> str | None:
    """What is said when nextpnr's log has more cells of a kind than the device; None otherwise."""
    over = [
        (int(used) / int(there), cell, int(used), int(there))
        for cell, used, there in _USED.findall(log)
        if int(used) > int(there)
    ]
    if not over:
        return None
    factor, cell, used, there = max(over)
    text = f"{device.name} is too small: the design takes {used} {cell} of {there} ({factor:.0%})"
    if cycles_per_sample is None or any(cell not in _FOLDED for _, cell, _, _ in over):
        return f"{text}; use a larger device, or fewer or narrower layers"
    # Multipliers and adders halve when the cycles double.
    needed = cycles_per_sample
    while needed < factor * cycles_per_sample:
        needed *= 2
    return (
        f"{text}; use a larger device, or repeat dhq build with --cycles-per-sample {needed}, with "
        "which it should about fit"
    )


def _instances(sources: Sources) -> dict[str, str]:
    """Names of the modules by the instances of the accelerator that are called layer_<n>."""
    found: dict[str, str] = {}
    for text in sources.texts.values():
        found |= {name: module for module, name in _LAYER.findall(text)}
    return found


_LAYER = re.compile(r"^\s*(\w+) (layer_\d+) \(", re.M)


def layer_of(cell: str, layers: Mapping[str, str]) -> str:
    """The layer of a cell by its hierarchical name; source, sink and so on beside them."""
    parts = [part for part in cell.split(".") if part not in ("engine", "accelerator")]
    return layers.get(parts[0], parts[0]) if len(parts) > 1 else "top"


def _critical_path(report: Mapping[str, Any], layers: Mapping[str, str]) -> CriticalPath:
    def delay(path: Mapping[str, Any]) -> float:
        return sum(step["delay"] for step in path["path"])

    # Between registers of one clock; others end at pins.
    paths = [p for p in report["critical_paths"] if p["from"] == p["to"]]
    path = max(paths or report["critical_paths"], key=delay)
    steps = path["path"]
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    cells = [steps[0]["from"]["cell"], *(step["to"]["cell"] for step in steps)]
    return CriticalPath(
        ns=round(delay(path), 2),
        logic_ns=round(delay(path) - routing, 2),
        routing_ns=round(routing, 2),
        start=cells[0],
        end=cells[-1],
        layers=tuple(dict.fromkeys(layer_of(cell, layers) for cell in cells)),
    )
