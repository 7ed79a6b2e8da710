# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What ``dhq explore`` is asked: the ranges to search, and what all designs have in common.

Importing nothing heavy, as the command line needs it for its help.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from dhq_brevitas.planning.limits import DEFAULT_FPGA_PART
from dhq_brevitas.planning.parts import PARTS, part_resources
from dhq_brevitas.run.stage import option
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.util.errors import ArgumentError, check_integer

__all__ = [
    "DIRECTIONS",
    "SEARCHED",
    "ExploreOptions",
    "common_fields",
    "cycles_per_sample",
    "shared_settings",
]

#: What a design is made of; numbers but for the two that are names.
SEARCHED: tuple[str, ...] = ("family", "hidden", "layers", "weight_bits", "act_bits")
SEARCHED += ("phase_bits", "rotation", "speed")
NAMES = ("family", "rotation")
#: What designs may be judged by, and whether more of it is better.
DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "psnr": "maximize",
    "lut": "minimize",
    "dsp": "minimize",
    "bram18": "minimize",
    "samples_per_second": "maximize",
    "bits_per_sample": "minimize",
}
#: Most widths that are suggested.
MAX_SUGGESTED = 4
#: Stages that are run for each design. Their options that are not searched can be given, too,
STAGES_RUN = ("fit", "quantize")
#: but for those of the planner, and what follows from the part and the rate.
LEFT_OUT = {"scheme", "plan", "budget", "first_hidden", "cycles_per_sample", "fpga_part", "mvau"}
LEFT_OUT |= {"max_lut", "max_dsp", "max_bram18", "max_uram"}
RANGE = re.compile(r"(\d+)-(\d+)(?::(\d+))?")


def _range(default: str, what: str) -> Any:
    return option(default, what, metavar="RANGE")


@dataclass(frozen=True)
class ExploreOptions:
    """How many designs, for what, and the ranges: lists as 16,24,48, or 16-64, or 16-64:8."""

    trials: int = option(60, "designs to try, all workers together", metavar="N")
    part: str = option(
        DEFAULT_FPGA_PART, "FPGA part, whose resources no design may exceed", metavar="PART"
    )
    target_fps: float = option(
        30.0, "pictures (sounds, shapes) a second that a design must give", metavar="R"
    )
    clk_ns: float = option(
        10.0, "clock period in nanoseconds that designs are assumed to reach", metavar="T"
    )
    size: str | None = option(
        None, "as of dhq fit, N samples; of a picture also WIDTHxHEIGHT", metavar="N"
    )
    family: str = option("siren,finer", "kinds of network to search", metavar="NAME,…")
    hidden: str = _range("16-64:16", "widths of the hidden layers: 16,24,48 or 16-64 or 16-64:8")
    layers: str = _range("1-3", "numbers of hidden layers")
    weight_bits: str = _range("3-8", "bits of the weights")
    act_bits: str = _range("4-8", "bits of the activations")
    phase_bits: str = _range("8-12:2", "address bits of the tables")
    rotation: str = option("none,input,after,output", "sides of the rotations", metavar="SIDE,…")
    speed: str = _range("1", "times the target rate that designs are folded for")
    objectives: str = option(
        "psnr,lut,dsp,bram18",
        f"what designs are judged by, of {', '.join(DIRECTIONS)}",
        metavar="NAME,…",
    )
    storage: str | None = option(
        None,
        "SQL server with the study, such as postgresql+psycopg://USER@HOST/NAME (SQLite in DIR)",
        metavar="URL",
    )
    workers: int | None = option(None, "processes at work (one a core)", metavar="N")

    def space(self) -> dict[str, Sequence[Any]]:
        """The values of each option that is searched."""
        return {name: parse_range(name, getattr(self, name)) for name in SEARCHED}

    def judged_by(self) -> tuple[str, ...]:
        """The objectives; ArgumentError for one that there is not, twice, or without PSNR."""
        names = tuple(word.strip() for word in self.objectives.split(","))
        if unknown := [name for name in names if name not in DIRECTIONS]:
            problem = f"has {unknown[0]!r}: choose of {', '.join(DIRECTIONS)}"
            raise ArgumentError("objectives", self.objectives, problem)
        if len(set(names)) < len(names) or len(names) < 2 or "psnr" not in names:
            problem = "must have psnr and something else, each once"
            raise ArgumentError("objectives", self.objectives, problem)
        return names

    def suggested(self) -> list[dict[str, Any]]:
        """Designs to try before others: all widths at the most bits, with large and small tables.

        Everything else is the first name, or the number in the middle.
        """
        space = self.space()
        widths = sorted(space["hidden"])
        widths = widths[:: math.ceil(len(widths) / MAX_SUGGESTED)]
        common = {
            name: values[0] if name in NAMES else sorted(values)[(len(values) - 1) // 2]
            for name, values in space.items()
        }
        common |= {name: max(space[name]) for name in ("weight_bits", "act_bits")}
        tables = dict.fromkeys((max(space["phase_bits"]), min(space["phase_bits"])))
        return [
            {**common, "hidden": width, "phase_bits": bits} for bits in tables for width in widths
        ]

    @property
    def processes(self) -> int:
        """Workers of this command."""
        return self.workers or len(os.sched_getaffinity(0))

    def check(self) -> None:
        """ArgumentError for what no exploration can have."""
        check_integer("trials", self.trials, 1)
        if self.workers is not None:
            check_integer("workers", self.workers, 1)
        for name in ("target_fps", "clk_ns"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ArgumentError(name, getattr(self, name), "must be a positive number")
        if part_resources(self.part) is None:
            known = ", ".join(PARTS)
            problem = f"has resources that are not known: use one that begins with {known}"
            raise ArgumentError("part", self.part, problem)
        if min(self.space()["speed"]) < 1:
            raise ArgumentError("speed", self.speed, "must be 1 or more")
        self.judged_by()
        longest_side(self.size)


def parse_range(name: str, text: str) -> Sequence[Any]:
    """The values that ``text`` lists, each once; ArgumentError if there is none."""
    found: list[Any] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        match = RANGE.fullmatch(word)
        if name in NAMES:
            found.append(word)
        elif match:
            low, high, step = (int(number or 1) for number in match.groups())
            if low > high or step == 0:
                problem = f"has the empty range {word}: write it as 16-64 or 16-64:8"
                raise ArgumentError(name, text, problem)
            values = range(low, high + 1, step)
            if word == text.strip():
                return values  # its order is known to the search
            found += values
        elif word.isdecimal():
            found.append(int(word))
        else:
            problem = f"has {word!r}: write numbers and ranges as in 16,24,48 or 16-64 or 16-64:8"
            raise ArgumentError(name, text, problem)
    if not found:
        raise ArgumentError(name, text, "has no value to choose from: name at least one")
    return tuple(dict.fromkeys(found))


def longest_side(size: str | None) -> int | None:
    """``size`` as a stage takes it, the longer of two sides."""
    if size is None:
        return None
    if not re.fullmatch(r"\d+(x\d+)?", size):
        raise ArgumentError("size", size, "is no size: write 512 or 512x384 (width x height)")
    return max(map(int, size.split("x")))


def check_sides(size: str | None, shape: Sequence[int]) -> None:
    """ArgumentError if ``size`` names two sides, and the signal's ``shape`` has other ones."""
    if size is not None and "x" in size:
        asked = tuple(int(side) for side in reversed(size.split("x")))
        if asked != tuple(shape):
            found = "x".join(map(str, reversed(shape)))
            problem = (
                f"does not keep the signal's proportions: use {found}, or {longest_side(size)}"
            )
            raise ArgumentError("size", size, problem)


def common_fields() -> dict[str, tuple[Field[Any], type]]:
    """Options of the stages that all designs share, with the classes that have them."""
    own = {field.name for field in fields(ExploreOptions)}
    found: dict[str, tuple[Field[Any], type]] = {}
    for stage in STAGES_RUN:
        kind = STAGES[stage].options
        for field in fields(kind):
            if field.name not in own | LEFT_OUT:
                found.setdefault(field.name, (field, kind))
    return found


def cycles_per_sample(options: ExploreOptions, samples: int) -> int:
    """Clock cycles between samples: ⌊10⁹ / (clk_ns · target_fps · samples)⌋.

    ArgumentError if that is less than one, or than a ``speed``.
    """
    cycles = math.floor(1e9 / (options.clk_ns * options.target_fps * samples))
    if cycles < 1:
        most = 1e9 / (options.clk_ns * samples)
        problem = (
            f"asks for {options.target_fps * samples:.3g} samples a second, more than one a clock "
            f"of {options.clk_ns:g} ns: at most {most:.4g}, or a smaller size"
        )
        raise ArgumentError("target_fps", options.target_fps, problem)
    if max(options.space()["speed"]) > cycles:
        raise ArgumentError("speed", options.speed, f"must be at most the {cycles} cycles a sample")
    return cycles


def shared_settings(
    options: ExploreOptions, given: Mapping[str, Any], samples: int
) -> dict[str, Any]:
    """What all designs are run with, by options of ``dhq run``."""
    settings = {name: given[name] for name in common_fields()}
    if Path(settings["signal"]).is_file():  # --from may be used elsewhere
        settings["signal"] = str(Path(settings["signal"]).resolve())
    return settings | {
        "size": longest_side(options.size),
        "cycles_per_sample": cycles_per_sample(options, samples),
        "fpga_part": options.part,
        "clk_ns": options.clk_ns,
    }
