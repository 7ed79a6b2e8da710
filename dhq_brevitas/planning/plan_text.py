# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Plans as tables, which tell why."""

import math
from collections.abc import Mapping, Sequence

from dhq_brevitas.inr.layer_plan import LayerPlan, weight_bits
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.planning.alternatives import Alternative, average_act_bits
from dhq_brevitas.planning.search import Plan, decibels
from dhq_brevitas.util.tables import text_table

__all__ = ["plan_to_text"]

BETWEEN = "between layers"
#: What is rotated ahead of a quantizer of more bits takes ten thousands of LUTs for its thresholds.
CHEAP_THRESHOLD_BITS = 8


def plan_to_text(plan: Plan) -> str:
    """What was chosen, what was tried, and what each alternative would have cost."""
    rows = [["layer", "rotation", "W bits", "A bits", "table", "alternatives at these bits"]]
    for layer in plan.layers:
        others = _others(plan, layer)
        rotation = "none" if layer.rotation == Side.NONE else f"{layer.rotation} {layer.order}"
        rows.append(
            [
                layer.name,
                rotation if layer.signs_seed is None else f"{rotation}, signs",
                str(layer.weight_bits),
                _act_bits(layer),
                "" if layer.sine_bits is None else f"2^{layer.phase_bits} x {layer.sine_bits}",
                others,
            ]
        )
    tried = [["tried in earnest", "SQNR dB", "predicted", "W bits", "A bits", "rotated"]]
    for trial in plan.trials:
        predicted = trial.predicted
        tried.append(
            [
                trial.name,
                f"{decibels(plan.power, trial.measured):.2f}",
                "" if predicted is None else f"{decibels(plan.power, predicted):.2f}",
                " ".join(str(layer.weight_bits) for layer in trial.layers),
                " ".join(str(layer.act_bits) for layer in trial.layers),
                " ".join(str(layer.rotation) for layer in trial.layers),
            ]
        )
    note = "(a -> b: a rotation after the quantizer makes b-bit integers, which are multiplied)"
    weights = sum(layer.weights for layer in plan.layers)
    used = weight_bits(plan.layers)
    return "\n\n".join(
        [
            text_table(rows) + (f"\n{note}" if any("->" in row[3] for row in rows) else ""),
            f"{used} of {plan.budget.weight_bits} weight bits, {used / weights:.2f} a weight; "
            f"{average_act_bits(plan.layers):.2f} activation bits on average",
            *_threshold_notes(plan.layers),
            *([] if plan.hardware is None else [text_table(_hardware_rows(plan))]),
            "quantizing one layer alone, SQNR of the network's output in dB, by weight bits:",
            *(_alternatives_table(name, a, plan) for name, a in plan.alternatives.items()),
            text_table(tried),
        ]
    )


def _threshold_notes(layers: Sequence[LayerPlan]) -> list[str]:
    """What rotating ahead of wide quantizers takes, which a plan without limits does not count."""
    return [
        f"{layer.name} is rotated ahead of a quantizer of {layer.act_bits} bits, of "
        f"{2**layer.act_bits - 1} thresholds: that is many LUTs, which --max-lut limits"
        for layer in layers
        if layer.rotation == Side.INPUT and layer.act_bits > CHEAP_THRESHOLD_BITS
    ]


def _act_bits(layer: LayerPlan) -> str:
    """Width of the quantized input, and what it grows to where it is rotated then."""
    grown = "" if layer.rotation != Side.AFTER else f" -> {layer.multiplied_bits}"
    return f"{layer.act_bits}{grown}"


def _others(plan: Plan, layer: LayerPlan) -> str:
    """SQNR of the output with only this layer quantized, for each rotation at the chosen bits."""
    found = {
        str(a.turn): decibels(plan.power, a.error)
        for a in plan.alternatives.get(layer.name, ())
        if (a.weight_bits, a.act_bits) == (layer.weight_bits, layer.act_bits)
    }
    return ", ".join(f"{turn} {value:.1f}" for turn, value in found.items())


def _alternatives_table(name: str, alternatives: Sequence[Alternative], plan: Plan) -> str:
    weights = {(str(a.turn), a.weight_bits): a.weight_error for a in alternatives}
    acts = {(str(a.turn), a.act_bits): a.act_error for a in alternatives if a.act_error}
    tables = [_error_table(f"{name}, weight", weights, plan.power)]
    if acts:
        tables.append(_error_table(f"{name}, input", acts, plan.power))
    return "\n\n".join(text_table(rows) for rows in tables)


def _error_table(
    title: str, errors: Mapping[tuple[str, int], float], power: float
) -> list[list[str]]:
    widths = sorted({bits for _, bits in errors})
    rows = [[title, *(f"{bits} bits" for bits in widths)]]
    for turn in dict.fromkeys(turn for turn, _ in errors):
        cells = [decibels(power, errors.get((turn, bits), math.nan)) for bits in widths]
        rows.append([turn, *("" if math.isnan(cell) else f"{cell:.1f}" for cell in cells)])
    return rows


def _hardware_rows(plan: Plan) -> list[list[str]]:
    """Table of the same."""
    names = {"lut": "LUT", "dsp": "DSP", "bram18": "BRAM18", "uram": "URAM", "cycles": "cycles"}
    best = plan.trials[0]
    rows = [["estimated", *names.values()]]
    names_of = [layer.name for layer in plan.layers]
    names_of += [] if best.between is None else [BETWEEN]
    named = zip(names_of, best.resources, strict=True)
    for name, used in (*named, ("network", best.total)):
        rows.append([name, *(str(getattr(used, resource)) for resource in names)])
    limits = {} if plan.hardware is None else plan.hardware.limits.given()
    rows.append(["limit", *(str(limits.get(resource, "")) for resource in names)])
    return rows
