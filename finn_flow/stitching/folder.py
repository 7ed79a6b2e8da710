# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A stitched design as a folder that any tool can read."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.rtlsim.sources import collect
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat
from dhq_brevitas.finn_flow.stitching.top import Top
from dhq_brevitas.util.files import claim_folder

FILE_LIST = "filelist.f"
#: Where FINN's rtlsim_exec looks for the sources.
FINN_FILE_LIST = "all_verilog_srcs.txt"
CORE_FILE = "design.core"

README = """\
# {name}

A streaming accelerator as one Verilog module, `{name}` in `{name}.v`, with everything it
instantiates. `{file_list}` lists the sources in the order to compile them; `data/` holds memory
contents, read by `$readmemh` with paths relative to this folder, so run tools here.

| Port | Direction | Bits | |
|---|---|---|---|
| `ap_clk` | in | 1 | clock; all ports are synchronous to its rising edge |
| `ap_rst_n` | in | 1 | reset, active low, synchronous; hold it for 16 cycles |
{ports}

Streams are AXI4-Stream without TLAST. A beat carries consecutive channels, two's complement, the
first in the lowest bits; unused bits on top are zero.

| Stream | Channels a beat | Type | Beats per sample |
|---|---|---|---|
{streams}

`constraints.xdc` has the clock; add pins or an interface of your board. Define the macro SYNTHESIS
for synthesis if your tool does not; without it the kernels carry assertions.

The FIFOs between the layers, `StreamingFIFO_*.v`, have the depths in `fifo_depths.json`: the
largest fill seen, and one, when samples entered at the rate of the slowest layer; 0 stands for no
FIFO: no word had to wait there. FINN's tools find
the same design in `stitched.onnx` and `all_verilog_srcs.txt`, whose paths are absolute. The
integers are those of the graph's inputs and outputs; scales and biases around them are in that
graph, too.

`{core_file}` is the same for [FuseSoC](https://github.com/olofk/fusesoc) and with it for the tools
of Edalize, Quartus, Radiant, Libero and Verilator among them: `fusesoc --cores-root . run --target
lint {name}`.

Changes of FINN's files are marked there: `mvu_vvu_axi.sv` had an output queue too short for a stall
while a result comes in every cycle, the length of the vectors that `dwc_axi.sv` converts is the
wider width, which saves a barrel shifter, and constructs that Verilator does not take are gone.
Sources other than `{name}.v` come from FINN's RTL library and from dhq_brevitas, both under a
BSD 3-clause license; their headers name the authors.
"""

#: In FuseSoC's format CAPI2.
CORE = """\
CAPI=2:
name: ::{name}:0
description: Streaming accelerator by dhq_brevitas
filesets:
  rtl:
    files:
{rtl}
  data:
    file_type: user
    files:
{data}
targets:
  default: &default
    filesets: [rtl, data]
    toplevel: {name}
  lint:
    <<: *default
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wno-fatal, -Werror-USERFATAL]
"""

CONSTRAINTS = """\
# Clock of the build. Pins and I/O delays depend on the board and are not constrained here.
create_clock -name ap_clk -period {period:.3f} [get_ports ap_clk]
"""


def design_folder(folder: str | os.PathLike[str]) -> Path:
    """Absolute path of a folder for a design: new, empty, or of an earlier design, else FlowError.

    An earlier design is removed when the new one is written.
    """
    try:
        files = [FILE_LIST, FINN_FILE_LIST, "fifo_depths.json"]
        return claim_folder(folder, "design", files).parent.resolve()
    except ValueError as error:
        raise FlowError(f"folder={str(folder)!r}: {error}") from error


def write_folder(
    folder: Path,
    top: Top,
    period_ns: float,
    inputs: Sequence[StreamFormat],
    outputs: Sequence[StreamFormat],
) -> None:
    """Writes sources, top, file lists, constraints and README.

    ``folder`` is one of :func:`design_folder`; ``inputs`` and ``outputs`` are its streams.
    """
    _remove_design(folder)
    names = collect(list(top.sources)).write(folder, "./data")
    (folder / f"{top.name}.v").write_text(top.text)
    write_lists(folder, [*names, f"{top.name}.v"])
    (folder / "constraints.xdc").write_text(CONSTRAINTS.format(period=period_ns))
    (folder / "README.md").write_text(
        README.format(
            name=top.name,
            file_list=FILE_LIST,
            core_file=CORE_FILE,
            ports="\n".join(
                [
                    *_port_rows("s_axis", "in, in, out", "input", top.input_widths),
                    *_port_rows("m_axis", "out, out, in", "output", top.output_widths),
                ]
            ),
            streams="\n".join([*_stream_rows("s_axis", inputs), *_stream_rows("m_axis", outputs)]),
        )
    )


def write_lists(folder: Path, names: Sequence[str]) -> None:
    """The sources of a design in the order to compile them, the last one with the top module.

    For tools by hand, for FINN, and as a core file for FuseSoC, which gives the memory contents to
    every tool of Edalize where ``$readmemh`` looks for them.
    """
    (folder / FILE_LIST).write_text("".join(f"{name}\n" for name in names))
    (folder / FINN_FILE_LIST).write_text("".join(f"{folder.resolve() / name}\n" for name in names))
    kinds = {".v": "verilogSource-2005", ".sv": "systemVerilogSource"}
    rtl = [f"{name}: {{file_type: {kinds[Path(name).suffix]}}}" for name in names]
    for path in sorted(folder.glob("*.*vh")):
        rtl.append(f"{path.name}: {{file_type: systemVerilogSource, is_include_file: true}}")
    contents = sorted(path.relative_to(folder) for path in folder.rglob("*.dat"))
    (folder / CORE_FILE).write_text(
        CORE.format(
            name=Path(names[-1]).stem,
            rtl="\n".join(f"      - {line}" for line in rtl),
            data="\n".join(f"      - {path}: {{copyto: {path}}}" for path in contents),
        )
    )


def _port_rows(bus: str, directions: str, side: str, widths: Sequence[int]) -> list[str]:
    return [
        f"| `{bus}_{i}_tdata`, `_tvalid`, `_tready` | {directions} | {width}, 1, 1 "
        f"| {side} stream |"
        for i, width in enumerate(widths)
    ]


def _stream_rows(bus: str, formats: Sequence[StreamFormat]) -> list[str]:
    return [
        f"| `{bus}_{i}` | {layout.lanes} | {layout.datatype.name} | {layout.beats} |"
        for i, layout in enumerate(formats)
    ]


def _remove_design(folder: Path) -> None:
    """Removes the sources and memory contents that an earlier call wrote."""
    listed = folder / FILE_LIST
    if not listed.is_file():
        return
    for name in listed.read_text().splitlines():
        # Plain names only: nothing outside the folder.
        if name == Path(name).name:
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "data", ignore_errors=True)
    listed.unlink()
