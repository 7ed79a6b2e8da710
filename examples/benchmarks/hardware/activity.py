# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Switching activity of a mapped netlist, counted while it computes real samples.

The netlist of :meth:`Yosys.synthesize` runs in Verilator with counters beside it: for every kind of
cell, how often its outputs differ from one rising edge of the clock to the next. So there are no
glitches in these numbers, and no wire delays. The outputs are those of the design, which callers
should compare: a netlist that computes something else proves nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat, run_signal
from dhq_brevitas.finn_flow.synthesis.resources import LUTRAM_CELLS
from dhq_brevitas.finn_flow.synthesis.yosys import NETLIST
from hardware.cells import models_of

#: Kind of resource by cell, and the outputs that are counted. Carry chains count by their sums; the
#: carries themselves and wide multiplexers stay inside a slice.
KINDS = {
    "lut": (re.compile(r"LUT[1-6]|LUT6_2|INV"), ("O", "O5", "O6")),
    "ff": (re.compile(r"FD[RSCP]E"), ("Q",)),
    "carry": (re.compile(r"CARRY[48]"), ("O",)),
    "srl": (re.compile(r"SRL16E|SRLC32E"), ("Q", "Q31")),
    "lutram": (re.compile(r"RAM\d\w*"), ("O", "SPO", "DPO", *(f"DO{x}" for x in "ABCDEFGH"))),
    "dsp": (re.compile(r"DSP48E2"), ("P",)),
    "bram": (
        re.compile(r"RAMB(18|36)E2"),
        ("DOUTADOUT", "DOUTBDOUT", "DOUTPADOUTP", "DOUTPBDOUTP"),
    ),
}
#: Samples of the two runs whose difference is the steady state.
RUNS = (8, 32)
_CELL = re.compile(
    r"^  ([A-Z][A-Z0-9_]+) (?:#\((.*?)\n  \) )?(\S+ ?) \(\n(.*?)\n  \);\n", re.S | re.M
)
_PORT = re.compile(r"^    \.(\w+)\((.*)\),?$", re.M)
_WORD = 512  # nets of a counter


@dataclass(frozen=True)
class Activity:
    """What switches for one sample in the steady state, by the kinds of :data:`KINDS`.

    Attributes:
        cycles: clock cycles of a sample.
        cells: resources; LUTs for memories in LUTs, blocks of 18 kbit for block RAM.
        bits: output bits that were counted.
        toggles: changes of these bits in one sample.
    """

    cycles: float
    cells: dict[str, int] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    toggles: dict[str, float] = field(default_factory=dict)

    def rate(self, kind: str) -> float:
        """Changes of a bit in a cycle, on average; 0 where there is no such cell."""
        return self.toggles[kind] / self.bits[kind] / self.cycles if self.bits[kind] else 0.0


def measure_activity(
    entry: Path, top: str, codes: np.ndarray, given: StreamFormat, wanted: StreamFormat
) -> tuple[Activity, np.ndarray]:
    """Activity of a netlist, and the outputs for ``codes[:RUNS[1]]`` to compare.

    Args:
        entry: folder that :meth:`Yosys.synthesize` left, for the family ``xcup``.
        top: its top module, with the streams of a stitched design.
        codes: integer inputs [samples, …], at least ``RUNS[1]``.
        given, wanted: format of the input and of the output.

    Counts are exact: those of ``RUNS[1]`` samples minus those of ``RUNS[0]``, in which filling and
    draining the pipeline cancel. SimulationError for too few samples, and for a cell that is not
    counted.
    """
    short, long = RUNS
    if len(codes) < long:
        raise SimulationError(f"activity needs {long} samples, not {len(codes)}: give more")
    text, cells = with_counters((entry / NETLIST).read_text(), top)
    sources = Sources({"cells.sv": models_of(text), "netlist.sv": text})
    library = compile_design(sources, top, optimize=False)
    names = ["cycles", *(f"toggles_{kind}" for kind in KINDS), *(f"bits_{kind}" for kind in KINDS)]
    counts = []
    for samples in RUNS:
        inputs = np.asarray(codes[:samples]).reshape(samples, -1)
        outputs, _, found = run_signal(library, inputs, given, wanted, counts=names)
        counts.append(np.array(found))
    cycles, *toggles = (counts[1] - counts[0])[: 1 + len(KINDS)] / (long - short)
    bits = counts[1][1 + len(KINDS) :]
    return Activity(
        cycles=float(cycles),
        cells=cells,
        bits=dict(zip(KINDS, map(int, bits), strict=True)),
        toggles=dict(zip(KINDS, map(float, toggles), strict=True)),
    ), outputs


def with_counters(netlist: str, top: str) -> tuple[str, dict[str, int]]:
    """(netlist with outputs ``cycles`` and, for each kind, ``toggles_…`` and ``bits_…``; cells).

    They count from the end of reset. LUTs become expressions, which Verilator compiles faster than
    modules; unknown bits of initial values become 0.
    """
    # Verilator takes a parameter with a single unknown bit for unknown as a whole.
    netlist = re.sub(r"\.INIT\w*\(\S+", lambda found: found[0].replace("x", "0"), netlist)
    nets: dict[str, list[str]] = {kind: [] for kind in KINDS}
    cells = dict.fromkeys(KINDS, 0)

    def look(match: re.Match[str]) -> str:
        cell, parameters, _, connections = match.groups()
        ports = dict(_PORT.findall(connections))
        kind = next((k for k, (pattern, _) in KINDS.items() if pattern.fullmatch(cell)), None)
        if kind is not None:
            weight = LUTRAM_CELLS.get(cell, 1)
            cells[kind] += 2 if cell.startswith("RAMB36") else weight
            nets[kind] += [ports[name] for name in KINDS[kind][1] if ports.get(name)]
        elif not cell.startswith("MUXF"):
            raise SimulationError(
                f"the activity of {cell} is not counted: synthesize for UltraScale+ (xcup)"
            )
        if re.fullmatch(r"LUT[1-6]", cell):
            table = re.search(r"\.INIT\((.*)\)", parameters)
            inputs = ", ".join(ports[f"I{i}"] for i in reversed(range(int(cell[3:]))))
            if table is not None:
                return f"  assign {ports['O']} = 1'({table[1]} >> {{ {inputs} }});\n"
        return match[0]

    body = _CELL.sub(look, netlist)
    start = body.index(f"module {top}(")
    end = body.index("endmodule", start)
    ports = ["cycles", *(f"{count}_{kind}" for kind in KINDS for count in ("toggles", "bits"))]
    header = ", ".join(["", *ports]) + ");\n" + "".join(f"  output [31:0] {p};\n" for p in ports)
    counters = "".join(_counter(kind, names) for kind, names in nets.items()) + _register(
        "cycles", "1"
    )
    module = body[start:end].replace(");", header, 1)
    return body[:start] + module + counters + body[end:], cells


def _counter(kind: str, nets: Sequence[str]) -> str:
    lines, changes, bits = [], ["0"], ["0"]
    for index, first in enumerate(range(0, len(nets), _WORD)):
        # Line by line: Verilator takes 40000 tokens a line.
        value = "{\n" + ",\n".join(nets[first : first + _WORD]) + "\n}"
        now, before = f"now_{kind}_{index}", f"before_{kind}_{index}"
        lines += [
            f"  wire [$bits({value})-1:0] {now} = {value};\n",
            f"  reg [$bits({value})-1:0] {before};\n",
            f"  always @(posedge ap_clk) {before} <= {now};\n",
        ]
        changes.append(f"$countones({now} ^ {before})")
        bits.append(f"$bits({now})")
    lines += [
        f"  assign bits_{kind} = {' + '.join(bits)};\n",
        _register(f"toggles_{kind}", " +\n".join(changes)),
    ]
    return "".join(lines)


def _register(name: str, step: str) -> str:
    return (
        f"  reg [31:0] count_{name} = 0;\n  assign {name} = count_{name};\n"
        f"  always @(posedge ap_clk) if (ap_rst_n) count_{name} <= count_{name} + {step};\n"
    )
