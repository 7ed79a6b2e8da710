# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Plans as JSON, which people may edit.

A plan file is an object whose ``layers`` list one object a linear layer with the fields of
:class:`dhq_brevitas.inr.layer_plan.LayerPlan`. Whatever else is in it is for reading.
"""

import os
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any

from dhq_brevitas.inr.layer_plan import LayerPlan, weight_bits
from dhq_brevitas.planning.alternatives import average_act_bits
from dhq_brevitas.planning.limits import Limits
from dhq_brevitas.planning.search import Plan, decibels
from dhq_brevitas.util.files import read_json

__all__ = [
    "layers_from_json",
    "layers_to_json",
    "plan_to_json",
    "read_limits",
    "read_plan",
]


def layers_to_json(layers: Sequence[LayerPlan]) -> list[dict[str, Any]]:
    """The ``layers`` of a plan file."""
    return [
        {name: str(value) if isinstance(value, str) else value for name, value in asdict(x).items()}
        for x in layers
    ]


def layers_from_json(values: Any, source: str = "plan") -> tuple[LayerPlan, ...]:
    """The layers of a plan file's ``layers``; ValueError that names ``source`` and the layer."""
    if not isinstance(values, list) or not values:
        raise ValueError(f"{source}: 'layers' must be a list with one object for each linear layer")
    known = {field.name for field in fields(LayerPlan)}
    needed = {field.name for field in fields(LayerPlan) if field.default is MISSING}
    layers = []
    for index, entry in enumerate(values):
        name = entry.get("name", f"layer {index}") if isinstance(entry, dict) else f"layer {index}"
        if not isinstance(entry, dict) or not needed <= set(entry) <= known:
            given = set(entry) if isinstance(entry, dict) else set()
            missing, foreign = sorted(needed - given), sorted(given - known)
            raise ValueError(
                f"{source}: {name} lacks {missing or 'nothing'} and has unknown {foreign or 'none'}"
            )
        try:
            layers.append(LayerPlan(**entry))
        except ValueError as error:  # which names the layer
            raise ValueError(f"{source}: {error}") from error
        except TypeError as error:
            raise ValueError(f"{source}: {name}: {error}") from error
    return tuple(layers)


def read_plan(path: str | os.PathLike[str]) -> tuple[LayerPlan, ...]:
    """The layers of a plan file; ValueError that names the file and what is wrong with it."""
    values = read_json(path, "mend it, or make another with dhq plan")
    if values is None:
        raise ValueError(f"there is no plan file {path}: make one with dhq plan")
    if not isinstance(values, dict) or "layers" not in values:
        raise ValueError(f"{path} is no plan: it has no 'layers'")
    return layers_from_json(values["layers"], str(path))


def read_limits(path: str | os.PathLike[str]) -> Limits | None:
    """The limits on hardware of a plan file; None if it has none, or does not say for which build.

    ValueError that names the file and what is wrong with them.
    """
    values = read_json(path)
    hardware = values.get("hardware") if isinstance(values, dict) else None
    limits = hardware.get("limits") if isinstance(hardware, dict) else None
    if not isinstance(limits, dict) or "cycles_per_sample" not in limits:
        return None
    try:
        return Limits(**limits)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: limits={limits} cannot be used: {error}") from error


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """A plan file's content: ``layers``, and what was tried and measured.

    ``sqnr`` values are decibels of the network's output power over the output error.
    """
    return {
        "layers": layers_to_json(plan.layers),
        "budget": asdict(plan.budget),
        "weight_bits": weight_bits(plan.layers),
        "act_bits_average": average_act_bits(plan.layers),
        **_hardware_to_json(plan),
        "trials": [
            {
                "name": trial.name,
                "sqnr": decibels(plan.power, trial.measured),
                "sqnr_predicted": trial.predicted and decibels(plan.power, trial.predicted),
                "rotation": [str(layer.rotation) for layer in trial.layers],
                "weight_bits": [layer.weight_bits for layer in trial.layers],
                "act_bits": [layer.act_bits for layer in trial.layers],
                "total_weight_bits": weight_bits(trial.layers),
                "phase_bits": [layer.phase_bits for layer in trial.layers[:-1]],
                **({"resources": asdict(trial.total)} if trial.resources else {}),
            }
            for trial in plan.trials
        ],
        "alternatives": {
            name: [
                {
                    "rotation": str(a.turn),
                    "weight_bits": a.weight_bits,
                    "act_bits": a.act_bits,
                    "multiplied_bits": a.multiplied_bits,
                    "weight_sqnr": _decibels(plan.power, a.weight_error),
                    "act_sqnr": _decibels(plan.power, a.act_error),
                }
                for a in options
            ]
            for name, options in plan.alternatives.items()
        },
    }


def _decibels(power: float, error: float) -> float | None:
    """None, for which JSON has a word, where there is no error: an encoding's weights, say."""
    return decibels(power, error) if error else None


def _hardware_to_json(plan: Plan) -> dict[str, Any]:
    """The limits, and what the plan was estimated to take in all and layer by layer."""
    if plan.hardware is None:
        return {}
    best = plan.trials[0]
    layers = {
        layer.name: asdict(used) for layer, used in zip(plan.layers, best.resources, strict=False)
    }
    between = {} if best.between is None else {"between": asdict(best.between)}
    limits, total = asdict(plan.hardware.limits), asdict(best.total)
    return {"hardware": {"limits": limits, "total": total, "layers": layers, **between}}
