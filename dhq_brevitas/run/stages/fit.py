# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``fit``: a float network for a signal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dhq_brevitas.run.folder import FLOAT, SIGNAL
from dhq_brevitas.run.stage import Chosen, DeviceOptions, Results, Stage, StageKind, option
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.plugins import module_names

if TYPE_CHECKING:
    from dhq_brevitas.inr.spec import InrSpec
    from dhq_brevitas.inr.training import TrainSpec
    from dhq_brevitas.signals.tasks import Problem

__all__ = ["FLOAT", "SIGNAL", "STAGE", "FitOptions", "inr_spec", "train_spec"]

# By the names of their modules, since importing them imports PyTorch.
FAMILIES = ", ".join(module_names("dhq_brevitas.inr.families"))
TASKS = ", ".join(module_names("dhq_brevitas.signals.tasks")).replace("_", "-")
# Tasks whose data have the channels that they have, and why.
COLORS = {
    **{name: f"the data of {name} are grey" for name in ("audio", "shape", "tomography")},
    "radiance": "a scene has its colors",
}


@dataclass(frozen=True)
class FitOptions(DeviceOptions):
    """The signal, the task, the network and its training."""

    signal: str = option(
        help="file with a picture, sound or mesh, or a name: astronaut, chord, torus, shapes, …; "
        "of dhq run also a folder, written with a slash, for each of its files",
        metavar="SIGNAL",
    )
    task: str = option("picture", f"what to do: {TASKS}; or a .py file", metavar="NAME")
    task_parameters: str = option(
        "",
        "numbers of the task: noise=0.2 (denoising), kept=0.5 (inpainting), angles=45 "
        "(tomography), reach=1 (shape), views=12 (radiance)",
        metavar="NAME=X,…",
    )
    size: int | None = option(
        None,
        "samples on the longest side: pixels of a picture (128), samples of a sound (2048), points "
        "of a shape's grid (32), pixels of a view (24)",
        metavar="N",
    )
    grey: bool = option(False, "turn the picture grey")
    family: str = option("siren", f"kind of network: {FAMILIES}; or a .py file", metavar="NAME")
    hidden: int = option(128, "width of the hidden layers", metavar="N")
    layers: int = option(3, "number of hidden layers, 1 to 32", metavar="N")
    parameters: str = option(
        "",
        "numbers of the family, for example omega=20 (those of its paper)",
        metavar="NAME=X,…",
    )
    steps: int = option(3000, "training steps of the float network", metavar="N")
    learning_rate: float | None = option(
        None, "learning rate at the start (the family's, at most 128 wide)", metavar="R"
    )
    batch: int = option(4096, "samples a training step", metavar="N")
    seed: int = option(0, "seed of all random numbers", metavar="N")


def inr_spec(options: FitOptions, axes: int, channels: int) -> InrSpec:
    """The network, for ``axes`` coordinates.

    Parameters of the family are those given, else those that suit the task, else its own.
    """
    from dhq_brevitas.inr.spec import InrSpec
    from dhq_brevitas.signals.tasks import get_task

    given = numbers("parameters", options.parameters)
    suitable = get_task(options.task).family_parameters.get(options.family, {})
    return InrSpec(
        hidden=options.hidden,
        layers=options.layers,
        in_features=axes,
        out_features=channels,
        family=options.family,
        parameters={**suitable, **given},
    )


def train_spec(options: FitOptions) -> TrainSpec:
    """The training; the learning rate is the family's for the width unless given."""
    from dhq_brevitas.inr.families import get_family
    from dhq_brevitas.inr.training import TrainSpec

    rate = options.learning_rate
    if rate is None:
        rate = get_family(options.family).rate(options.hidden)
    return TrainSpec(options.steps, options.batch, rate, seed=options.seed)


def numbers(argument: str, text: str) -> dict[str, float]:
    """``omega=20,scale=5`` as a dictionary; ArgumentError for anything else."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, separator, value = (word.strip() for word in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not separator or not name or not math.isfinite(number):
            raise ArgumentError(
                argument, text, f"has {part!r}, which is not NAME=NUMBER, for example omega=20"
            )
        if name in found:
            raise ArgumentError(argument, text, f"has {name} twice; give it once")
        found[name] = number
    return found


def check(options: FitOptions, chosen: Chosen) -> None:
    """All but the signal, which takes time to read."""
    from dhq_brevitas.signals.tasks import get_task

    get_task(options.task)
    numbers("task_parameters", options.task_parameters)
    train_spec(options)
    inr_spec(options, 2, 3)


def unused(options: FitOptions) -> dict[str, str]:
    """What the task or no training leave without effect."""
    names = {"learning_rate": "there are no steps"} if options.steps == 0 else {}
    if options.task in COLORS:
        names["grey"] = COLORS[options.task]
    return names


def load(options: FitOptions) -> Problem:
    """The data that ``options`` describe; ValueError for what cannot be used."""
    from dhq_brevitas.signals.tasks import get_task

    return get_task(options.task).problem(
        options.signal,
        options.size,
        options.grey,
        options.seed,
        numbers("task_parameters", options.task_parameters),
    )


def determines(stage: Stage, options: FitOptions) -> dict[str, Any]:
    """The data, too: another picture may be in a file of the same name."""
    return asdict(options) | {"data": stage.problem.digest()}


def run(stage: Stage, options: FitOptions) -> Results:
    """signal.npz, the original as the task shows it, float.pt, float.npz."""
    from dhq_brevitas.inr.network import Inr
    from dhq_brevitas.inr.training import fit_float
    from dhq_brevitas.util.hooks import evaluated
    from dhq_brevitas.util.states import save_state

    problem, folder, device = stage.problem, stage.folder, stage.device
    problem.save(folder.file(SIGNAL))
    original = stage.task.write(problem, problem.values, folder.file("original"))
    for note in problem.notes:
        stage.say(f"note: {note}")
    model = Inr(inr_spec(options, problem.axes, problem.channels), options.seed).to(device)
    data = (problem.fit_inputs * problem.step).to(device), problem.fit_target.to(device)
    quality_of_fit = fit_float(
        model,
        *data,
        train_spec(options),
        folder.file("fit_checkpoint.pt"),
        stage.key,
        stage.progress,
        problem.project,
    ).psnr
    save_state(folder.file(FLOAT), model.cpu())
    outputs = evaluated(model, problem.inputs * problem.step).numpy()
    files = stage.save_outputs("float", outputs)
    quality = stage.quality("float", outputs)
    stage.say(f"float network: {quality['psnr_float']:.2f} dB")
    results = {
        "signal": {
            "task": problem.task,
            "name": problem.name,
            "shape": list(problem.shape),
            "channels": problem.channels,
            "notes": list(problem.notes),
        },
        "psnr_fit": quality_of_fit,
        **problem.results,
        **quality,
    }
    return results, [SIGNAL, original.name, FLOAT, *files]


STAGE = StageKind(
    "fit",
    "fit a float network to a signal",
    FitOptions,
    run,
    packages=("torch",),
    check=check,
    load=load,
    determines=determines,
    unused=unused,
    inputs={"signal": "*"},
)
