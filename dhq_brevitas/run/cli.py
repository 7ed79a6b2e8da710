# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The command line ``dhq``; the one module here that reaches all parts, and only when needed.

Exit status: 0 done, 1 the work failed or was interrupted, 2 the command was wrong. Errors are one
sentence on standard error.
"""

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from dhq_brevitas.run.folder import STAGES, RunFolder
from dhq_brevitas.run.options import (
    AnalyzeOptions,
    BuildOptions,
    ExportOptions,
    FitOptions,
    PlanOptions,
    QuantizeOptions,
    SimulateOptions,
    StageOptions,
    SynthOptions,
)
from dhq_brevitas.util.files import check_writable_folder

__all__ = ["main"]

DEBUG = "DHQ_DEBUG"
OPTIONS: dict[str, type[Any]] = {
    "fit": FitOptions,
    "analyze": AnalyzeOptions,
    "plan": PlanOptions,
    "quantize": QuantizeOptions,
    "export": ExportOptions,
    "build": BuildOptions,
    "simulate": SimulateOptions,
    "synth": SynthOptions,
}
SUMMARIES = {
    "fit": "fit a float network to a signal",
    "analyze": "show how its weights and activations are distributed, and what rotations change",
    "plan": "choose rotation and bits of every layer for a budget",
    "quantize": "quantize it: calibrate, round, then fine-tune",
    "export": "export it to QONNX and execute that",
    "build": "build the FINN dataflow graph",
    "simulate": "execute the dataflow graph",
    "synth": "synthesise it with Yosys, node by node and as a whole (minutes)",
}
SHOWN = " (%(default)s)"
# Written out here, because importing them imports PyTorch.
FAMILIES = ("siren", "finer", "gaussian", "wire", "relu", "quadinr", "hosc")
TASKS = (
    "picture",
    "super-resolution",
    "denoising",
    "inpainting",
    "audio",
    "shape",
    "tomography",
)
HELP: dict[str, dict[str, Any]] = {
    "task": {"metavar": "NAME", "help": f"what to do: {', '.join(TASKS)}; or a .py file"},
    "task_parameters": {
        "metavar": "NAME=X,…",
        "help": "numbers of the task: noise=0.2 (denoising), kept=0.5 (inpainting), angles=45 "
        "(tomography), reach=1 (shape)",
    },
    "size": {
        "metavar": "N",
        "type": int,
        "help": "samples on the longest side: pixels of a picture (128), samples of a sound (2048),"
        " points of a shape's grid (32)",
    },
    "grey": {"help": "turn the picture grey"},
    "family": {"metavar": "NAME", "help": f"kind of network: {', '.join(FAMILIES)}; or a .py file"},
    "hidden": {"metavar": "N", "help": "width of the hidden layers"},
    "layers": {"metavar": "N", "help": "number of hidden layers, 1 to 5"},
    "parameters": {
        "metavar": "NAME=X,…",
        "help": "numbers of the family, for example omega=20 (those of its paper)",
    },
    "steps": {"metavar": "N", "help": "training steps of the float network"},
    "learning_rate": {
        "metavar": "R",
        "type": float,
        "help": "its learning rate at the start (the family's)",
    },
    "batch": {"metavar": "N", "help": "samples a training step"},
    "seed": {"metavar": "N", "help": "seed of all random numbers"},
    "scheme": {
        "choices": ["dhq", "stock", "auto"],
        "help": "Hadamard-rotated or stock quantizers, or what dhq plan finds best",
    },
    "plan": {"metavar": "FILE", "type": str, "help": "quantize as this plan says (see dhq plan)"},
    "budget": {
        "metavar": "N",
        "type": int,
        "help": "bits of all weights together that a plan may use (as many as --weight-bits and "
        "--first-weight-bits make)",
    },
    **{
        f"max_{resource}": {
            "metavar": "N",
            "type": int,
            "help": f"most {what} that a plan is estimated to take (no limit)",
        }
        for resource, what in {
            "lut": "LUTs",
            "dsp": "DSPs",
            "bram18": "block RAMs of 18 kbit",
            "uram": "UltraRAMs",
        }.items()
    },
    "scale": {
        "choices": ["po2", "dyadic", "float"],
        "help": "quantizer scales: powers of two, short mantissas, or any",
    },
    "granularity": {"choices": ["tensor", "channel"], "help": "one weight scale for each of these"},
    "rotation": {
        "metavar": "SIDE",
        "help": "input, after (the quantized input), output or none; or one for each linear "
        "layer, with commas; --plan and --scheme auto choose it themselves",
    },
    "signs_seed": {"metavar": "N", "type": int, "help": "random signs in the rotation: their seed"},
    "weight_bits": {"metavar": "B", "help": "bits of the weights, 2 to 12"},
    "act_bits": {"metavar": "B", "help": "bits of the activations, 2 to 12"},
    "first_weight_bits": {"metavar": "B", "help": "bits of the first layer's weights"},
    "last_weight_bits": {
        "metavar": "B",
        "type": int,
        "help": "bits of the last layer's weights (those of --weight-bits)",
    },
    "phase_bits": {"metavar": "B", "help": "address bits of the activations' tables, 4 to 16"},
    "qat_steps": {"metavar": "N", "help": "fine-tuning steps of the quantized network"},
    "qat_learning_rate": {
        "metavar": "R",
        "type": float,
        "help": "learning rate of fine-tuning (1/20 of the family's)",
    },
    "cycles_per_sample": {"metavar": "N", "help": "clock cycles a sample may take"},
    "fpga_part": {"metavar": "PART", "help": "FPGA part"},
    "clk_ns": {"metavar": "T", "help": "clock period in nanoseconds"},
    "level": {
        "metavar": "LEVEL",
        # rtl, the level that matters, is another name of stitched.
        "type": lambda name: "stitched" if name == "rtl" else name,
        "help": "python: FINN's execution; node: then the Verilog of each layer by itself; "
        "stitched or rtl: then that of the whole accelerator",
    },
    "samples": {"metavar": "N", "help": "pixels that --level node simulates, 0 for all"},
}
EPILOG = f"""\
examples:
  dhq run astronaut --out runs/astronaut
  dhq run photo.png --out runs/photo --size 96 --hidden 64 --weight-bits 6
  dhq run camera --out runs/camera --until export     (needs no FINN)
  dhq run coffee --task inpainting --family finer --out runs/coffee
  dhq run chord --task audio --out runs/chord
  dhq run torus --task shape --hidden 64 --out runs/torus
  dhq quantize --out runs/photo --scheme stock        (repeats one stage)
  dhq run coffee --scheme auto --out runs/coffee      (rotation and bits layer by layer)
  dhq plan --out runs/photo --weight-bits 4           (the same choice, to look at and edit)
  dhq plan --out runs/photo --max-lut 1500 --max-bram18 40 --cycles-per-sample 256
  dhq quantize --out runs/photo --plan runs/photo/layer_plan.json
  dhq synth --out runs/photo                          (LUTs and DSPs; no part of dhq run)
  dhq simulate --out runs/photo --level rtl           (Verilog of the whole accelerator)
  dhq report --out runs/photo

A stage whose options and inputs are unchanged is skipped, so repeating an interrupted command
continues it. Options not given have their default. DIR/summary.json holds the results,
DIR/comparison.png the pictures. {DEBUG}=1 shows tracebacks and warnings.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``dhq``; importing nothing heavy, so that help is quick."""
    parser = argparse.ArgumentParser(
        prog="dhq",
        description="Implicit neural representations, Hadamard-quantized, from a signal to a "
        "checked FINN dataflow graph.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _command(commands, "run", "run all stages", "dhq run astronaut --out runs/astronaut")
    _add_options(run, [OPTIONS[stage] for stage in STAGES])
    run.add_argument(
        "--until", choices=STAGES, default=STAGES[-1], help="last stage to run" + SHOWN
    )
    for stage, options in OPTIONS.items():
        signal = "camera " if stage == "fit" else ""
        example = f"dhq {stage} {signal}--out runs/camera"
        command = _command(commands, stage, SUMMARIES[stage], example)
        _add_options(command, [options])
    _command(commands, "report", "print the results as tables", "dhq report --out runs/camera")
    return parser


def _command(commands: Any, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--out", metavar="DIR", required=True, help="run folder")
    if name != "report":
        command.add_argument(
            "--quiet", action="store_true", help="no progress bars (they need a terminal)"
        )
    return command


def _add_options(parser: argparse.ArgumentParser, kinds: Sequence[type[Any]]) -> None:
    """One option a field of the dataclasses, its type and default taken from there."""
    seen: set[str] = set()
    for kind in kinds:
        for option in fields(kind):
            if option.name in seen:
                continue
            seen.add(option.name)
            if option.name == "signal":
                parser.add_argument(
                    "signal",
                    metavar="SIGNAL",
                    help="file with a picture, sound or mesh, or a name such as astronaut, chord "
                    "or torus",
                )
                continue
            flag = "--" + option.name.replace("_", "-")
            known = dict(HELP[option.name])
            if option.default is False:
                parser.add_argument(flag, action="store_true", **known)
                continue
            assert option.default is not MISSING
            if option.default is not None:
                known.setdefault("type", type(option.default))
                known["help"] += SHOWN if option.default != "" else ""
            parser.add_argument(flag, default=option.default, **known)


def _chosen_stages(arguments: argparse.Namespace) -> dict[str, StageOptions]:
    stages: Sequence[str] = (arguments.command,)
    if arguments.command == "run":
        stages = STAGES[: STAGES.index(arguments.until) + 1]
    return {
        stage: OPTIONS[stage](
            **{option.name: getattr(arguments, option.name) for option in fields(OPTIONS[stage])}
        )
        for stage in stages
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``dhq`` with ``argv`` (default: that of the process). Returns the exit status."""
    debug = os.environ.get(DEBUG, "") not in ("", "0")
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or what was wrong
        return stop.code if isinstance(stop.code, int) else 2
    _prepare_process(debug)
    try:
        if arguments.command == "report":
            return _report(arguments)
        return _run(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted; finished stages are kept. Repeat the command to continue", 1)
    except Exception as error:
        if debug:
            raise
        return _fail(_sentence(error), 1)


def _run(arguments: argparse.Namespace) -> int:
    folder = RunFolder(arguments.out)
    stages = _chosen_stages(arguments)
    if "fit" not in stages:  # ahead of making the folder, whose name may be mistyped
        folder.before(arguments.command)
    check_writable_folder(arguments.out)
    from dhq_brevitas.run import chain_stages as stage_functions
    from dhq_brevitas.run import pipeline, report

    fitted = folder.chain().get("fit")
    try:
        pipeline.check_options(stages, None if fitted is None else fitted.options)
    except ValueError as error:
        return _fail(_flags(str(error)), 2)
    if {"build", "simulate", "synth"} & set(stages):
        stage_functions.check_finn()
    progress = not arguments.quiet and sys.stderr.isatty()
    for stage, options in stages.items():
        record, ran = pipeline.run_stage(folder, stage, options, progress, _say)
        _say(f"{stage}: {f'{record.seconds:.0f} s' if ran else 'unchanged, skipped'}")
    report.write_comparison(folder)
    _say(f"results in {folder.file('summary.json')}, pictures in {folder.file(report.COMPARISON)}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run.report import report_text

    folder = RunFolder(arguments.out)
    if not folder.path.is_dir():
        return _fail(f"there is no run folder {folder.path}: make one with dhq run", 1)
    print(report_text(folder.summary()))
    return 0


def _prepare_process(debug: bool) -> None:
    """How threads, signals and warnings are handled."""
    # By default PyTorch's threads spin while they wait, which slows training up to tenfold when
    # others use the cores, too. The OpenMP library reads this when it is loaded, with PyTorch.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # kill (SIGTERM) stops as tidily as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if debug:
        return
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module="dhq_brevitas")
    warnings.showwarning = lambda message, *_args, **_kwargs: print(
        f"dhq: warning: {message}", file=sys.stderr
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _fail(message: str, status: int) -> int:
    print(f"dhq: error: {message}", file=sys.stderr)
    return status


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    expected = (ValueError, RuntimeError, OSError, ModuleNotFoundError)
    if isinstance(error, expected) and text:
        return text
    return f"{type(error).__name__}: {text} (an error of dhq; {DEBUG}=1 shows where)"


def _flags(message: str) -> str:
    """``weight_bits=0 is …`` as the user wrote it: ``--weight-bits 0 is …``."""
    name, separator, rest = message.partition("=")
    known = {option.name for kind in OPTIONS.values() for option in fields(kind)}
    return f"--{name.replace('_', '-')} {rest}" if separator and name in known else message


if __name__ == "__main__":
    sys.exit(main())
