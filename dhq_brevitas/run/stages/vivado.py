# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``vivado``: the design with what Vivado and a Zynq's processor need."""

from dataclasses import dataclass

from dhq_brevitas.run.stage import Chosen, Results, Stage, StageKind, option
from dhq_brevitas.run.stages.build import BuildOptions, load_dataflow, stitched
from dhq_brevitas.run.stages.engine_level import make_stage_engine

__all__ = ["STAGE", "VivadoOptions"]

DESIGN = "vivado"
CHECKED_INPUTS = 64


@dataclass(frozen=True)
class VivadoOptions:
    """Where the design goes."""

    board: str = option(
        "Pynq-Z2",
        "board with a Zynq: Pynq-Z1, Pynq-Z2, Ultra96-V2, ZCU102, ZCU104 or KV260_SOM",
        metavar="BOARD",
    )


def check(options: VivadoOptions, chosen: Chosen) -> None:
    """A board that exists."""
    from dhq_brevitas.finn_flow.vivado import ZynqBoard

    ZynqBoard.of(options.board)


def run(stage: Stage, options: VivadoOptions) -> Results:
    """The folder vivado/: design, Tcl and host software.

    With a shell the design is the engine, whose samples a DMA writes to memory, with the shell
    pixels a video DMA; without, codes come from the host, too.
    """
    from dhq_brevitas.finn_flow import HostAffine
    from dhq_brevitas.finn_flow.host import Record, Stream
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator
    from dhq_brevitas.finn_flow.vivado import ZynqBoard, make_stream, write_project

    enable_verilator()
    board, form = ZynqBoard.of(options.board), stage.task.samples
    built = stage.earlier(BuildOptions)
    model = load_dataflow(stage.folder)
    stage.say("stitching the accelerator; its FIFOs are sized in RTL simulation")
    design = stitched(stage, model, DESIGN, board.part)
    host = HostAffine.from_model(model) or HostAffine()
    inputs = stage.problem.inputs.numpy()
    codes = stage.folder.array("qonnx.npz", "codes").reshape(len(inputs), -1)
    shape = tuple(map(int, stage.problem.shape))
    if built.shell == "none":
        given, wanted = make_stream(design, len(inputs))
        record = Record(host, shape, given, wanted, 1.0, 0.0)
        received, values = codes, host.decode(codes)
    else:
        stream = make_stage_engine(stage, design, host).stream
        layout = (stream.sample_bits, form.signed, stream.lanes, stream.width // 8)
        wanted = Stream(*codes.shape, *layout, stream.order if stream.video else ())
        record = Record(host, shape, None, wanted, form.gain, form.offset, stream.video)
        received = form.encode(host.decode(codes))
        values = form.decode(received)
    first = inputs[: CHECKED_INPUTS if record.given is None else len(inputs)]
    samples = {
        "inputs": first,
        "codes": host.encode(first),
        "received": received,
        "values": values,
    }
    files = write_project(design, board, built.clk_ns, record, samples)
    folder = stage.folder.file(DESIGN)
    stage.say(
        f"{folder} is for {board.name}: there, vivado -mode batch -source package_ip.tcl, then "
        "block_design.tcl; on the board, python3 run_on_board.py"
    )
    results = {
        "vivado_board": board.name,
        "vivado_part": board.part,
        "vivado_top": design.sources[-1].stem,
        "vivado_packet_bytes": wanted.size,
        "fifo_depths": design.fifo_depths,
    }
    return results, [f"{DESIGN}/{name}" for name in files]


STAGE = StageKind(
    "vivado",
    "write the design for Vivado: IP, Zynq block design, host software",
    VivadoOptions,
    run,
    after="build",
    branch=True,
    packages=("finn-plus",),
    needs_finn=True,
    check=check,
)
