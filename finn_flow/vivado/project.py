# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``write_project``: Tcl, settings and host software beside a design."""

import math
import shutil
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow import host
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host import CHECK_FILE, RECORD_FILE, Record
from dhq_brevitas.finn_flow.stitching.design import StitchedDesign
from dhq_brevitas.finn_flow.vivado.boards import ZynqBoard
from dhq_brevitas.util.files import atomic_path, write_text

HERE = Path(__file__).parent
SETTINGS_FILE = "settings.tcl"
COPIED = (
    HERE / "package_ip.tcl",
    HERE / "block_design.tcl",
    HERE / "run_on_board.py",
    Path(host.__file__),
)
#: Of a packet of AXI DMA, whose lengths have at most 26 bits (PG021).
MAX_PACKET = (1 << 26) - 1

_SETTINGS = """\
# What the other Tcl files read; generated.
set TOP {top}
set SOURCES {{{sources}}}
set PART {part}
set BOARD_PART {board_part}
set CLOCK_MHZ {mhz}
# Of the streams of codes into the design, 0 without, and out of it.
set INPUT_BITS {given}
set OUTPUT_BITS {wanted}
"""


def write_project(
    design: StitchedDesign,
    board: ZynqBoard,
    clk_period_ns: float,
    record: Record,
    samples: dict[str, np.ndarray],
) -> list[str]:
    """Writes the project into the folder of ``design``; the names of its files.

    Args:
        design: with the top module last in its list.
        board: for which it is.
        clk_period_ns: of the design.
        record: of its streams, and of the host.
        samples: ``check.npz``, see :func:`dhq_brevitas.finn_flow.host.check`.

    FlowError for a packet that is too long for the DMA.
    """
    for stream in (record.given, record.wanted):
        if stream is not None and stream.size > MAX_PACKET:
            raise FlowError(
                f"a signal of {stream.size} bytes is more than the {MAX_PACKET} of one transfer of "
                "AXI DMA: take a smaller one"
            )
    folder = design.folder
    names = [path.name for path in design.sources]
    headers = sorted(path.name for path in folder.glob("*.*vh"))
    settings = _SETTINGS.format(
        top=Path(names[-1]).stem,
        sources=" ".join([*headers, *names]),
        part=board.part,
        board_part=board.board_part,
        # Rounded down: a clock of the build is a promise of its timing.
        mhz=f"{math.floor(1e5 / clk_period_ns) / 100:g}",
        given=0 if record.given is None else 8 * record.given.beat_bytes,
        wanted=8 * record.wanted.beat_bytes,
    )
    write_text(folder / SETTINGS_FILE, settings)
    write_text(folder / RECORD_FILE, record.to_json())
    with atomic_path(folder / CHECK_FILE) as temporary, temporary.open("wb") as file:
        np.savez(file, **samples)
    for path in COPIED:
        shutil.copyfile(path, folder / path.name)
    return [SETTINGS_FILE, RECORD_FILE, CHECK_FILE, *(path.name for path in COPIED)]
