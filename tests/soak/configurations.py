# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Random runs of ``dhq``, each with its interruptions, from one seed."""

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

#: Task, signals, sizes.
TASKS = (
    ("picture", ("astronaut", "camera", "coffee", "rocket"), (8, 12, 16)),
    ("picture", ("astronaut", "camera", "coffee", "rocket"), (8, 12, 16)),
    ("super-resolution", ("camera",), (16,)),
    ("denoising", ("coffee",), (8, 12)),
    ("inpainting", ("coffee", "camera"), (12, 16)),
    ("audio", ("chord",), (64, 200)),
    ("shape", ("torus",), (8,)),
    ("tomography", ("phantom",), (8, 12)),
    ("radiance", ("shapes",), (8,)),
)
FAMILIES = ("siren", "siren", "finer", "gaussian", "wire", "relu", "quadinr", "hosc")
# 7 is odd and cannot be rotated; few widths and foldings, so that simulators are found again.
HIDDEN = (4, 8, 8, 8, 12, 16, 16, 7)
CYCLES = (1, 8, 32, 128)
STAGES = ("fit", "quantize", "export", "build", "simulate")


@dataclass(frozen=True)
class Kill:
    """A signal, sent when this share of what the command usually takes has gone by."""

    signal: str
    share: float
    children: bool


@dataclass(frozen=True)
class Disk:
    """A disk that becomes full: which folder is on it, and its size in KiB."""

    folder: str
    kib: int


@dataclass(frozen=True)
class Command:
    """Arguments of ``dhq`` but ``--out``; what happens to it before it may finish."""

    name: str
    arguments: tuple[str, ...]
    trouble: tuple[Kill | Disk, ...]


@dataclass(frozen=True)
class Configuration:
    """What one seed stands for."""

    seed: int
    commands: tuple[Command, ...]


def draw(seed: int) -> Configuration:
    """The same for the same seed."""
    random = Random(seed)
    options = {"fit": _fit(random), "quantize": _quantize(random), "export": [], "build": []}
    options["build"] = ["--cycles-per-sample", str(random.choice(CYCLES))]
    if random.random() < 0.2:
        options["build"] += ["--fpga-part", "xc7z020clg400-1", "--clk-ns", "10"]
    level = random.choices(("rtl", "node", "python"), (7, 2, 1))[0]
    options["simulate"] = ["--level", level, "--samples", "40"]
    commands = []
    if random.random() < 0.6:
        # The planner's limits hold for the same cycles and part, which one option names.
        together = [argument for stage in STAGES for argument in options[stage]]
        commands.append(_command("run", together, random))
    else:
        commands += [_command(stage, options[stage], random) for stage in STAGES]
    if random.random() < 0.2:
        commands.append(_command("analyze", [], random))
    if _is_small(options["fit"], options["build"]) and random.random() < 0.6:
        commands.append(_command("synth", [], random))  # of others it takes minutes
    return Configuration(seed, tuple(commands))


def _fit(random: Random) -> list[str]:
    task, signals, sizes = random.choice(TASKS)
    options = [random.choice(signals), "--task", task]
    options += _options(
        size=random.choice(sizes),
        family=random.choice(FAMILIES),
        hidden=random.choice(HIDDEN),
        layers=random.choice((1, 1, 2, 2, 3)),
        steps=random.choice((1, 5, 40)),
        batch=random.choice((16, 4096)),
        seed=random.randrange(100),
    )
    if task == "picture" and random.random() < 0.4:
        options.append("--grey")
    return options


def _is_small(fit: list[str], build: list[str]) -> bool:
    given = dict(pairwise(fit + build))
    layers, hidden, cycles = (
        int(given[name]) for name in ("--layers", "--hidden", "--cycles-per-sample")
    )
    return layers == 1 and hidden <= 8 and cycles >= 8


def _quantize(random: Random) -> list[str]:
    scheme = random.choices(("dhq", "stock", "auto"), (6, 2, 2))[0]
    chosen: dict[str, Any] = {
        "scheme": scheme,
        "scale": random.choices(("po2", "dyadic", "float"), (5, 3, 2))[0],
        "granularity": random.choice(("channel", "channel", "tensor")),
        "weight_bits": random.choice((2, 3, 4, 6, 8, 8, 12)),
        "act_bits": random.choice((2, 3, 4, 6, 8, 8, 12)),
        "first_weight_bits": random.choice((4, 8, 12, 12)),
        "phase_bits": random.choice((4, 6, 8, 10, 12)),
        "qat_steps": random.choice((0, 1, 5)),
    }
    if scheme == "dhq":
        chosen["rotation"] = random.choice(("input", "input", "after", "after", "output", "none"))
        if random.random() < 0.3:
            chosen["signs_seed"] = random.randrange(100)
    if scheme == "auto" and random.random() < 0.5:
        chosen["max_lut"] = random.choice((2000, 20000))
    if random.random() < 0.2:
        chosen["last_weight_bits"] = random.choice((4, 8))
    return _options(**chosen)


def _options(**values: Any) -> list[str]:
    return [
        text
        for name, value in values.items()
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]


def _command(name: str, arguments: list[str], random: Random) -> Command:
    count = random.choice((3, 4, 5, 6) if name == "run" else (1, 1, 2))
    trouble = [_trouble(random) for _ in range(count)]
    return Command(name, (name, *arguments), tuple(trouble))


def _trouble(random: Random) -> Kill | Disk:
    if random.random() < 0.15:
        folder = random.choice(("out", "out", "temporary", "cache"))
        return Disk(folder, int(2 ** random.uniform(3, 11)))
    kind = random.choices(("SIGKILL", "SIGINT", "SIGTERM"), (8, 1, 1))[0]
    return Kill(kind, random.uniform(0.05, 1), random.random() < 0.5)
