# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a stage of a run is: its options, and functions that check them and do the work.

A stage is one module of :mod:`dhq_brevitas.run.stages`, which ends with ``STAGE = StageKind(…)``.
Its options are a frozen dataclass whose fields :func:`option` makes: default, type and help of a
command-line option in one place. ``dhq --help`` imports all of them, so whatever takes time to
import is imported within the functions.
"""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from dhq_brevitas.util.device import DEVICES

if TYPE_CHECKING:
    import numpy as np
    import torch

    from dhq_brevitas.run.folder import Folder
    from dhq_brevitas.signals.tasks import Problem, Task

__all__ = [
    "SHOWN",
    "Chosen",
    "DeviceOptions",
    "NoOptions",
    "Results",
    "Stage",
    "StageKind",
    "add_argument",
    "flag_of",
    "no_check",
    "option",
]

Options = TypeVar("Options")
#: How help shows a default.
SHOWN = " (%(default)s)"
Results = tuple[dict[str, Any], list[str]]


def flag_of(name: str) -> str:
    """An option of a stage as it is written on the command line."""
    return "--" + name.replace("_", "-")


def option(
    default: Any = MISSING,
    help: str = "",
    *,
    metavar: str | None = None,
    choices: Sequence[str] | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of a stage's options, which is an option of the command line by the same name.

    Args:
        default: without one, the option is a positional argument; False makes it a switch.
        help, metavar, choices: as in argparse.
        parse: text to value; by default what the field is annotated with.
    """
    known = {"help": help, "metavar": metavar, "choices": choices, "type": parse}
    return field(default=default, metadata=known)


def add_argument(
    parser: argparse._ActionsContainer,
    given: Field[Any],
    annotation: Any,
    nargs: str | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """The option of the command line that a field made by :func:`option` is.

    ``nargs``: of a positional argument; ``defaults``: by stage, where several have the option. If
    they differ, one that is not given stays with each stage's own.
    """
    known = {name: value for name, value in given.metadata.items() if value is not None}
    if given.default is False:
        parser.add_argument(flag_of(given.name), action="store_true", help=known["help"])
        return
    if isinstance(annotation, types.UnionType):  # int for int | None
        annotation = next(kind for kind in annotation.__args__ if kind is not types.NoneType)
    known.setdefault("type", annotation)
    if given.default is MISSING:
        parser.add_argument(given.name, nargs=nargs, **known)
        return
    default, defaults = given.default, defaults or {}
    if len({str(value) for value in defaults.values()}) > 1:
        default = argparse.SUPPRESS
        known["help"] += f" ({', '.join(f'{stage} {x}' for stage, x in defaults.items())})"
    elif default not in (None, ""):
        known["help"] += SHOWN
    parser.add_argument(flag_of(given.name), default=default, **known)


@dataclass(frozen=True)
class NoOptions:
    """Of a stage that has none."""


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Of a stage that computes with PyTorch."""

    device: str = option(
        "auto",
        "where PyTorch computes; auto: on a CUDA device if there is one",
        choices=DEVICES,
    )


class Chosen:
    """Options of several stages, found by their class."""

    def __init__(self, options: Iterable[Any] = ()) -> None:
        self._options = {type(given): given for given in options}

    def updated(self, options: Iterable[Any]) -> Chosen:
        """These, and ``options`` instead of those of their classes."""
        return Chosen([*self._options.values(), *options])

    def find(self, kind: type[Options]) -> Options | None:
        """Those of this class, or None."""
        return self._options.get(kind)

    def get(self, kind: type[Options]) -> Options:
        """Those of this class; LookupError if the stage is neither done nor asked for."""
        if kind not in self._options:
            raise LookupError(f"no stage before this one has {kind.__name__}")
        return self._options[kind]


def no_check(options: Any, chosen: Chosen) -> None:
    """For options that cannot be wrong."""


def all_used(options: Any) -> dict[str, str]:
    """For options that all have an effect, whatever the others are."""
    return {}


def all_options(stage: Stage, options: Any) -> dict[str, Any]:
    """Of which most results depend."""
    return asdict(options)


@dataclass(frozen=True)
class StageKind:
    """One stage of a run, and a command.

    Attributes:
        name: of the command; summary: of its help.
        options: dataclass of its options.
        run: (stage, options) -> values for the summary, and the names of the files it wrote.
        after: name of the stage it builds on; "" for the first.
        branch: beside the chain of ``dhq run``; nothing builds on it.
        packages: distributions whose versions can change the result.
        needs_finn: cannot run without FINN.
        check: raises ValueError for options that cannot be, before any stage runs. It is given the
            options of all stages that are done or asked for, too.
        prepare: (options, folder, run) -> options. Calls run(name, options) for another stage that
            these options ask for; returns what they come to then.
        load: the data of the stage; None: what the fit left in the folder.
        determines: what the result depends on beside the stages before, the versions of the
            packages, the device and the Python files that its options name, with their imports.
        unused: options that have no effect beside the others, each with the reason.
        inputs: options that name a file to read, each with a pattern of the files in the folder
            that it must not be, since a stage writes them.
    """

    name: str
    summary: str
    options: type[Any]
    run: Callable[[Stage, Any], Results]
    after: str = ""
    branch: bool = False
    packages: Sequence[str] = ()
    needs_finn: bool = False
    check: Callable[[Any, Chosen], None] = no_check
    prepare: Callable[[Any, Folder, Callable[[str, Any], Any]], Any] | None = None
    load: Callable[[Any], Problem] | None = None
    determines: Callable[[Stage, Any], dict[str, Any]] = all_options
    unused: Callable[[Any], Mapping[str, str]] = all_used
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Stage:
    """What a stage works with.

    Attributes:
        folder: of the run.
        chosen: options of this stage and of those it builds on.
        problem: the data; task: the kind of reconstruction.
        device: where PyTorch computes. What is saved, exported or turned to NumPy is moved to the
            CPU first.
        progress: whether to show bars; say: prints a line.
        key: identity of the result, for checkpoints.
    """

    folder: Folder
    chosen: Chosen
    problem: Problem
    task: Task
    device: torch.device
    progress: bool
    say: Callable[[str], None]
    key: str = ""

    def earlier(self, kind: type[Options]) -> Options:
        """Options of a stage that this one builds on."""
        return self.chosen.get(kind)

    def save_outputs(
        self, level: str, outputs: np.ndarray, codes: np.ndarray | None = None
    ) -> list[str]:
        """Writes ``<level>.npz`` and the reconstruction (``<level>.png``, say); their names."""
        import numpy as np

        from dhq_brevitas.util.files import atomic_path

        arrays: dict[str, Any] = {"outputs": outputs}
        if codes is not None:
            arrays["codes"] = codes
        with atomic_path(self.folder.file(f"{level}.npz")) as temporary:
            np.savez_compressed(temporary, **arrays)
        shown = self.task.write(self.problem, outputs, self.folder.file(level))
        return [f"{level}.npz", shown.name]

    def quality(self, level: str, outputs: np.ndarray) -> dict[str, float]:
        """``psnr_<level>`` of outputs [N, c] against the reference; the task's other metrics.

        Nothing where there is no reference.
        """
        if not self.problem.reference:
            return {}
        from dhq_brevitas.signals.metrics import psnr

        metrics = {"psnr": psnr(self.problem.values, outputs)}
        metrics |= self.task.metrics(self.problem, outputs)
        return {f"{name}_{level}": value for name, value in metrics.items()}

    @staticmethod
    def decibels(level: str, results: Mapping[str, Any]) -> str:
        """``psnr_<level>`` at the head of a sentence, or nothing where there is none."""
        value = results.get(f"psnr_{level}")
        return "" if value is None else f"{value:.2f} dB, "
