# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq explore``: workers on one study, then its front.

A worker is a process that takes trials until none is left. The study is the queue that they share,
so more of them join by the same command, in another terminal or on another machine that has the
folder; a scheduler would be a second queue.
"""

import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhq_brevitas.run.backends import check_finn
from dhq_brevitas.run.exploring.options import (
    SEARCHED,
    ExploreOptions,
    check_sides,
    shared_settings,
)
from dhq_brevitas.run.interrupts import handle_interrupts
from dhq_brevitas.run.sentences import sentence
from dhq_brevitas.util.processes import use_cores

if TYPE_CHECKING:
    from dhq_brevitas.run.exploring.study import Exploration

__all__ = ["check_installed", "explore"]

Say = Callable[[str], None]
Designs = Sequence[Mapping[str, Any]]


def check_installed() -> None:
    """ModuleNotFoundError that says what to install, if Optuna or FINN is missing."""
    if importlib.util.find_spec("optuna") is None:
        raise ModuleNotFoundError(
            "explore needs Optuna, which is not installed: pip install 'dhq-brevitas[explore]'"
        )
    check_finn("explore needs FINN for what a design takes", "choose a design by dhq run")


def explore(
    folder: Path,
    options: ExploreOptions,
    given: Mapping[str, Any],
    say: Say,
    first: Designs | None = None,
) -> None:
    """Tries designs until there are ``options.trials``, and writes and prints the front.

    ``given``: the options of ``dhq run`` that all designs share. ``first``: designs to try before
    others (those that the options suggest). Raises ValueError for what cannot be, before any work.
    """
    from dhq_brevitas.run.exploring.front import write_front

    options.check()
    problem = _problem(options, given)
    settings = shared_settings(options, given, len(problem.codes))
    say(
        f"{settings['cycles_per_sample']} cycles a sample: {options.target_fps:g} times "
        f"{len(problem.codes)} samples a second at {1e3 / options.clk_ns:g} MHz"
    )
    exploration = _exploration(folder, options, settings, first)
    with _helpers(options, (folder, options, settings, first)) as helpers:
        _work(exploration, options, problem, say)
        for helper in helpers:
            helper.join()
    _work(exploration, options, problem, say)  # what a helper that was killed left behind
    busy = [trial.number for trial in exploration.trials() if not trial.state.is_finished()]
    say(write_front(exploration))
    if busy:
        say(f"trials {busy} are at work in other processes: repeat the command when they are done")


def _exploration(
    folder: Path, options: ExploreOptions, settings: Mapping[str, Any], first: Designs | None
) -> "Exploration":
    from dhq_brevitas.run.exploring.study import Exploration

    return Exploration(
        folder,
        settings,
        options.space(),
        options.judged_by(),
        options.suggested() if first is None else first,
        options.storage,
    )


def _problem(options: ExploreOptions, given: Mapping[str, Any]) -> Any:
    """The signal; ValueError for what cannot be used, and for designs that no stage takes."""
    from dhq_brevitas.inr.layer_plan import member
    from dhq_brevitas.nn.rotation import Side
    from dhq_brevitas.run.pipeline import check_stages
    from dhq_brevitas.run.stage import Chosen
    from dhq_brevitas.run.stages import stage_options
    from dhq_brevitas.run.stages.fit import load

    spaces = options.space()
    settings = {**given, **shared_settings(options, given, samples=1)}
    for name in SEARCHED:
        for value in spaces[name]:
            # Rotations that a network cannot have are left to the search.
            design = {n: values[-1] for n, values in spaces.items()} | {"rotation": "none"}
            chosen = stage_options(("fit", "quantize"), settings | design | {name: value})
            if name == "rotation":
                member(Side, name, value)
            else:
                check_stages(chosen, Chosen())
    problem = load(stage_options(("fit",), settings)["fit"])
    check_sides(options.size, problem.shape)
    return problem


def _work(exploration: "Exploration", options: ExploreOptions, problem: Any, say: Say) -> None:
    """Takes trials until none is left."""
    from dhq_brevitas.run.exploring.front import design_text, result_text
    from dhq_brevitas.run.exploring.trial import Evaluator, possible

    use_cores(options.processes)
    settings = exploration.settings
    evaluator = None
    while _wanted():
        claim = exploration.claim(
            options.trials,
            int(settings["seed"]),
            lambda design: possible({**settings, **design}, problem),
        )
        if claim is None:
            return
        evaluator = evaluator or Evaluator(
            exploration.folder, settings, problem, exploration.objectives
        )
        record = evaluator.evaluate(claim.number, claim.design, exploration.records())
        exploration.tell(claim, record)
        say(f"trial {claim.number}: {design_text(claim.design)}: {result_text(record)}")


def _wanted() -> bool:
    """Whether the process that started this one still lives."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


@contextmanager
def _helpers(options: ExploreOptions, arguments: tuple[Any, ...]) -> Iterator[list[Any]]:
    """The other workers of this command, ended when it is interrupted; ``arguments`` of _help."""
    context = multiprocessing.get_context("spawn")
    helpers = [context.Process(target=_help, args=arguments) for _ in range(options.processes - 1)]
    try:
        for helper in helpers:
            helper.start()
        yield helpers
    finally:
        for helper in helpers:
            if helper.is_alive():
                helper.terminate()
        for helper in helpers:
            helper.join()


def _help(
    folder: Path, options: ExploreOptions, settings: Mapping[str, Any], first: Designs | None
) -> None:
    """A worker in a process of its own."""
    import warnings

    from dhq_brevitas.run.stages import stage_options
    from dhq_brevitas.run.stages.fit import load

    handle_interrupts()
    warnings.simplefilter("ignore")
    try:
        exploration = _exploration(folder, options, settings, first)
        problem = load(stage_options(("fit",), settings)["fit"])
        _work(exploration, options, problem, lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:
        print(f"dhq: error: a worker ended: {sentence(error)}", file=sys.stderr)
        sys.exit(1)
