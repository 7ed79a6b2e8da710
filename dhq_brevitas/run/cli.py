# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The command line ``dhq``; the one module here that reaches all parts, and only when needed.

Exit status: 0 done, 1 the work failed or was interrupted, 2 the command was wrong. Errors are one
sentence on standard error.
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dhq_brevitas.run.exploring.options import ExploreOptions, common_fields
from dhq_brevitas.run.exploring.origin import copy_trial, trial_settings
from dhq_brevitas.run.interrupts import INTERRUPTED, handle_interrupts
from dhq_brevitas.run.many import is_folder, run_many
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.sentences import DEBUG, sentence
from dhq_brevitas.run.stage import SHOWN, add_argument
from dhq_brevitas.run.stages import STAGES, defaults_of, main_stages, stage_options
from dhq_brevitas.util.files import check_writable_folder, little_space

__all__ = ["main"]

EPILOG = f"""\
examples:
  dhq run astronaut --out runs/astronaut
  dhq run photo.png --out runs/photo --size 96 --hidden 64 --weight-bits 6
  dhq run camera --out runs/camera --until export     (needs no FINN)
  dhq run coffee --task inpainting --family finer --out runs/coffee
  dhq run chord --task audio --out runs/chord
  dhq run torus --task shape --hidden 64 --out runs/torus
  dhq run pictures/ --size 64 --out runs/pictures     (each file of a folder)
  dhq quantize --out runs/photo --scheme stock        (repeats one stage)
  dhq run coffee --scheme auto --out runs/coffee      (rotation and bits layer by layer)
  dhq plan --out runs/photo --weight-bits 4           (the same choice, to look at and edit)
  dhq plan --out runs/photo --max-lut 1500 --max-bram18 40 --cycles-per-sample 256
  dhq quantize --out runs/photo --plan runs/photo/layer_plan.json
  dhq synth --out runs/photo                          (LUTs and DSPs; no part of dhq run)
  dhq simulate --out runs/photo --level rtl           (Verilog of the whole accelerator)
  dhq place --out runs/photo --board ulx3s-85f        (clock rate, utilization, bitstream)
  dhq vivado --out runs/photo --board Pynq-Z2         (IP, Zynq block design, host software)
  dhq explore photo.png --size 96 --part xc7z020clg400-1 --target-fps 60 --out runs/search
  dhq run --from runs/search:12 --out runs/twelve     (one of the designs it found)
  dhq report --out runs/photo
  dhq report --out runs/photo --html                  (a page for the browser)
  dhq pack --out runs/photo                           (one small file of the quantized network)
  dhq unpack runs/photo/network.dhq --out runs/again
  dhq cache --clear                                   (compiled simulators, synthesis results)
  dhq doctor                                          (what is installed, what is missing)

A stage is skipped when its options, its inputs and the packages it uses are unchanged, so repeating
an interrupted command continues it. An option that is not given has its default, whatever an
earlier command said. DIR/summary.json holds the results, DIR/comparison.png the pictures.
{DEBUG}=1 shows tracebacks and warnings.
"""


def build_parser(defaults: Mapping[str, Any] | None = None) -> argparse.ArgumentParser:
    """The parser of ``dhq``; importing nothing heavy, so that help is quick.

    ``defaults``: of the options of ``dhq run``, instead of their own.
    """
    parser = argparse.ArgumentParser(
        prog="dhq",
        description="Implicit neural representations, Hadamard-quantized, from a signal to a "
        "checked FINN dataflow graph.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands, defaults or {})
    _add_explore(commands)
    for name, kind in STAGES.items():
        # The first stage is the one that is given a signal.
        example = f"dhq {name} {'' if kind.after else 'camera '}--out runs/camera"
        _add_run_options(_command(commands, name, kind.summary, example), [name])
    report = _command(
        commands, "report", "print the results as tables", "dhq report --out runs/camera"
    )
    _add_out(report)
    report.add_argument(
        "--html", action="store_true", help="write them to DIR/report.html, with the pictures"
    )
    _add_trust(report)
    pack = _command(
        commands,
        "pack",
        "write the quantized network to one small file",
        "dhq pack --out runs/camera",
    )
    _add_out(pack)
    pack.add_argument("--file", metavar="FILE", help="file to write (DIR/network.dhq)")
    _add_trust(pack)
    unpack = _command(
        commands,
        "unpack",
        "make a run folder of such a file, and the reconstruction",
        "dhq unpack runs/camera/network.dhq --out runs/again",
    )
    unpack.add_argument("file", metavar="FILE", help="file that dhq pack wrote")
    _add_out(unpack)
    _add_quiet(unpack)
    for name in ("family", "task"):
        help = f".py file that defines the {name}, where it is none of dhq's"
        unpack.add_argument(f"--{name}", metavar="FILE", help=help)
    cache = _command(commands, "cache", "show the caches that all runs share", "dhq cache --clear")
    cache.add_argument(
        "--clear", action="store_true", help="empty them, but for entries of the last hour"
    )
    _command(
        commands, "doctor", "say what is installed, and what is missing for what", "dhq doctor"
    )
    return parser


def _add_run(commands: Any, defaults: Mapping[str, Any]) -> None:
    chain = main_stages()
    run = _command(
        commands,
        "run",
        "run all stages from the signal to the checked accelerator",
        "dhq run astronaut --out runs/astronaut",
    )
    _add_run_options(run, chain, nargs="?")
    run.set_defaults(**defaults)
    run.add_argument("--until", choices=chain, default=chain[-1], help="last stage to run" + SHOWN)
    workers = "signals at a time, where SIGNAL is a folder" + SHOWN
    run.add_argument("--workers", type=int, default=1, metavar="N", help=workers)
    run.add_argument(
        "--from",
        dest="origin",
        metavar="FOLDER:TRIAL",
        help="signal and options as in a trial of dhq explore, but for those that are given",
    )


def _add_explore(commands: Any) -> None:
    explore = _command(
        commands,
        "explore",
        "search networks, bits and rotations for a part and a rate",
        "dhq explore camera --size 64 --part xc7z020clg400-1 --target-fps 60 --out runs/search",
    )
    _add_out(explore)
    hints = typing.get_type_hints(ExploreOptions)
    for given in fields(ExploreOptions):
        add_argument(explore, given, hints[given.name])
    shared = explore.add_argument_group("what all designs have in common")
    for given, kind in common_fields().values():
        add_argument(shared, given, typing.get_type_hints(kind)[given.name])


def _command(commands: Any, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", required=True, help="run folder")


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bars (they need a terminal)"
    )


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust-code",
        action="store_true",
        help="execute Python files (a family, a task) that only the folder names",
    )


def _add_run_options(
    parser: argparse.ArgumentParser, stages: Sequence[str], nargs: str | None = None
) -> None:
    """The folder, and one option a field of the stages' options; the first of a name counts.

    ``nargs``: of the signal.
    """
    _add_out(parser)
    _add_quiet(parser)
    _add_trust(parser)
    seen: set[str] = set()
    for name in stages:
        kind = STAGES[name].options
        hints = typing.get_type_hints(kind)
        # Those that several stages share come last.
        for given in sorted(fields(kind), key=lambda f: f.kw_only is True):
            if given.name not in seen:
                defaults = defaults_of(stages, given.name)
                add_argument(parser, given, hints[given.name], nargs, defaults)
            seen.add(given.name)


def _chosen_stages(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of the stages to run, by their names."""
    stages = [arguments.command]
    if arguments.command == "run":
        chain = main_stages()
        stages = chain[: chain.index(arguments.until) + 1]
    return stage_options(stages, vars(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``dhq`` with ``argv`` (default: that of the process). Returns the exit status."""
    debug = os.environ.get(DEBUG, "") not in ("", "0")
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or what was wrong
        return stop.code if isinstance(stop.code, int) else 2
    _prepare_process(debug)
    try:
        if getattr(arguments, "origin", None):
            try:
                settings = trial_settings(arguments.origin, arguments.trust_code)
            except ValueError as error:
                return _fail(sentence(error), 2)
            arguments = build_parser(settings).parse_args(argv)
        return COMMANDS.get(arguments.command, _run)(arguments)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, 1)
    except Exception as error:
        if debug:
            raise
        return _fail(sentence(error) + little_space(_folders(arguments)), 1)


def _run(arguments: argparse.Namespace) -> int:
    if getattr(arguments, "signal", "") is None:
        return _fail("run needs a SIGNAL, or --from FOLDER:TRIAL", 2)
    if arguments.command == "run" and is_folder(arguments.signal):
        return run_many(arguments, _run, _say)
    folder = RunFolder(arguments.out, arguments.trust_code)
    if getattr(arguments, "origin", None):
        copy_trial(arguments.origin, folder, _say)
    with contextlib.ExitStack() as held:
        if folder.marked:  # another process may be about to finish what is asked for
            held.enter_context(folder.locked(_say))
        return _run_in(folder, arguments, held)


def _run_in(folder: RunFolder, arguments: argparse.Namespace, held: contextlib.ExitStack) -> int:
    stages = _chosen_stages(arguments)
    folder.before(next(iter(stages)))  # ahead of making the folder, whose name may be mistyped
    check_writable_folder(arguments.out)
    from dhq_brevitas.run import pipeline, report

    try:
        pipeline.check_stages(stages, folder.chosen(stages.values()))
        pipeline.check_inputs(stages, folder)
    except ValueError as error:
        return _fail(sentence(error, stages.values()), 2)
    for text in pipeline.without_effect(stages):
        _say(text)
    progress = _progress(arguments)
    held.enter_context(folder.locked(_say))
    for stage, options in stages.items():
        record, ran = pipeline.run_stage(folder, stage, options, progress, _say)
        _say(f"{stage}: {f'{record.seconds:.0f} s' if ran else 'unchanged, skipped'}")
    pictures = ""
    if report.write_comparison(folder):
        pictures = f", pictures in {folder.file(report.COMPARISON)}"
    _say(f"results in {folder.file('summary.json')}{pictures}")
    return 0


def _progress(arguments: argparse.Namespace) -> bool:
    return not arguments.quiet and sys.stderr.isatty()


def _report(arguments: argparse.Namespace) -> int:
    folder = _existing(arguments)
    if arguments.html:
        from dhq_brevitas.run.html_report import write_page

        _say(f"the results are in {write_page(folder)}")
        return 0
    from dhq_brevitas.run.report import report_text

    print(report_text(folder.summary()))
    return 0


def _existing(arguments: argparse.Namespace) -> RunFolder:
    folder = RunFolder(arguments.out, getattr(arguments, "trust_code", False))
    folder.check_exists()
    return folder


def _pack(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run.packing import pack_run

    folder = _existing(arguments)
    print(pack_run(folder, arguments.file and Path(arguments.file)).text())
    return 0


def _unpack(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run.packing import UnpackOptions, unpack_run

    options = UnpackOptions(
        Path(arguments.out), arguments.family, arguments.task, _progress(arguments)
    )
    unpack_run(Path(arguments.file), options, _say)
    return 0


def _explore(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run.exploring.command import check_installed, explore

    given = vars(arguments)
    options = ExploreOptions(**{field.name: given[field.name] for field in fields(ExploreOptions)})
    try:
        options.check()
    except ValueError as error:
        return _fail(sentence(error, [options]), 2)
    check_installed()
    explore(Path(arguments.out), options, given, _say)
    return 0


def _cache(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run import cache

    if arguments.clear:
        _say(f"{cache.clear()} bytes freed")
    print(cache.cache_text())
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from dhq_brevitas.run.doctor import doctor_text

    text, works = doctor_text()
    print(text)
    return 0 if works else 1


# Those that are no stages, and "run".
COMMANDS = {
    "explore": _explore,
    "report": _report,
    "pack": _pack,
    "unpack": _unpack,
    "cache": _cache,
    "doctor": _doctor,
}


def _prepare_process(debug: bool) -> None:
    """How threads, signals and warnings are handled."""
    # By default PyTorch's threads spin while they wait, which slows training up to tenfold when
    # others use the cores, too. The OpenMP library reads this when it is loaded, with PyTorch.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    handle_interrupts()
    if debug:
        return
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module="dhq_brevitas")
    warnings.showwarning = lambda message, *_args, **_kwargs: print(
        f"dhq: warning: {message}", file=sys.stderr
    )


def _folders(arguments: argparse.Namespace) -> Iterator[str | Path]:
    """Where files are written."""
    if "out" in arguments:
        yield arguments.out
    yield tempfile.gettempdir()
    environment = sys.modules.get("dhq_brevitas.finn_flow.environment")
    if environment is not None:
        yield from (environment.simulator_cache_dir(), environment.synthesis_cache_dir())


def _say(text: str) -> None:
    print(text, flush=True)


def _fail(message: str, status: int) -> int:
    print(f"dhq: error: {message}", file=sys.stderr)
    return status
