# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stages of a run, one module each, and their registry."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from dhq_brevitas.run.stage import StageKind
from dhq_brevitas.run.stages import (
    analyze,
    build,
    export,
    fit,
    place,
    plan,
    quantize,
    simulate,
    synth,
    vivado,
)

__all__ = [
    "STAGES",
    "defaults_of",
    "main_stages",
    "register_stage",
    "stage_options",
    "stages_before",
]

#: By name; each behind the one it builds on.
STAGES: dict[str, StageKind] = {
    module.STAGE.name: module.STAGE
    for module in (fit, analyze, plan, quantize, export, build, simulate, synth, place, vivado)
}


def register_stage(kind: StageKind) -> None:
    """Makes ``kind`` a stage and a command. ValueError if what it builds on is no stage."""
    if kind.after and kind.after not in STAGES:
        raise ValueError(
            f"stage {kind.name} is after {kind.after!r}, which is no stage: use one of "
            f"{', '.join(STAGES)}"
        )
    STAGES[kind.name] = kind


def main_stages() -> list[str]:
    """Names of the stages that ``dhq run`` goes through, in order."""
    return [name for name, kind in STAGES.items() if not kind.branch]


def stages_before(name: str) -> list[str]:
    """Names of the stages that ``name`` builds on, the first one first."""
    after = STAGES[name].after
    return [*stages_before(after), after] if after else []


def defaults_of(names: Iterable[str], option: str) -> dict[str, Any]:
    """What an option is by default in each of the stages that have it."""
    return {
        name: given.default
        for name in names
        for given in fields(STAGES[name].options)
        if given.name == option
    }


def stage_options(names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of stages, by their names, from values by option; those not ``given`` by default."""
    found = {}
    for name in names:
        kind = STAGES[name].options
        known = [field.name for field in fields(kind) if field.name in given]
        found[name] = kind(**{option: given[option] for option in known})
    return found
