# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``plan``: rotation and widths of every layer."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from dhq_brevitas.planning.limits import (
    DEFAULT_CYCLES_PER_SAMPLE,
    DEFAULT_FPGA_PART,
    DEFAULT_MVAU,
    LIMITED,
    MVAUS,
)
from dhq_brevitas.run.backends import check_finn
from dhq_brevitas.run.stage import (
    Chosen,
    DeviceOptions,
    Results,
    Stage,
    StageKind,
    option,
)
from dhq_brevitas.run.stages.fit import FitOptions, inr_spec
from dhq_brevitas.util.errors import ArgumentError

if TYPE_CHECKING:
    from dhq_brevitas.inr.quant_spec import QuantSpec
    from dhq_brevitas.planning.limits import Hardware, Limits

__all__ = [
    "AUTO",
    "AUTO_CYCLES",
    "PLAN_FILE",
    "STAGE",
    "PlanOptions",
    "check_limits",
    "check_widths",
    "cycles_option",
    "limit_option",
    "limits_of",
    "mvau_option",
    "part_option",
    "uniform_spec",
    "with_estimator",
]

PLAN_FILE = "layer_plan.json"
PLAN_TABLE = "layer_plan.txt"
#: What the planner chooses;
AUTO = "auto"
#: as cycles: those of the fastest network within the limits.
AUTO_CYCLES = AUTO


def limit_option(what: str) -> Any:
    """``--max-…``, of the build, too."""
    meant = f"most {what} that a plan, or a build at automatic cycles, is estimated to take"
    return option(None, f"{meant} (no limit)", metavar="N")


def cycles_option() -> Any:
    """``--cycles-per-sample``, of the build, too."""
    meant = "clock cycles a sample may take; auto: as few as the limits, or else the part, allow"
    return option(DEFAULT_CYCLES_PER_SAMPLE, meant, metavar="N", parse=number_or_auto)


def number_or_auto(text: str) -> int | str:
    """A number, or "auto"; ArgumentTypeError for anything else."""
    if text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {AUTO}") from None


def part_option() -> Any:
    """``--fpga-part``, of the build, too."""
    return option(DEFAULT_FPGA_PART, "FPGA part", metavar="PART")


def mvau_option() -> Any:
    """``--mvau``, of the build, too."""
    return option(
        DEFAULT_MVAU,
        "Verilog of matrix products: this package's kernel, the same with adders instead of DSPs "
        "for matrices that are multiplied in one cycle, or FINN's",
        choices=tuple(MVAUS),
    )


def check_mvau(mvau: str) -> None:
    """ModuleNotFoundError for adder graphs without what finds them."""
    if mvau == "adders" and importlib.util.find_spec("da4ml") is None:
        raise ModuleNotFoundError(
            "--mvau adders needs da4ml, which is not installed: pip install "
            "'dhq-brevitas[adders]', or leave the option out"
        )


@dataclass(frozen=True)
class PlanOptions(DeviceOptions):
    """Scales, widths of the uniform network whose bits a plan may use, and limits on hardware.

    The limits are on what FINN and our operators estimate for a build with these cycles and part.
    """

    scale: str = option(
        "po2",
        "scales of the quantizers: powers of two, short mantissas (dyadic), or any",
        choices=("po2", "dyadic", "float"),
    )
    granularity: str = option(
        "channel", "what has a weight scale of its own", choices=("tensor", "channel")
    )
    weight_bits: int = option(8, "bits of the weights, 2 to 12", metavar="B")
    act_bits: int = option(8, "bits of the activations, 2 to 12", metavar="B")
    first_weight_bits: int = option(12, "bits of the first layer's weights", metavar="B")
    last_weight_bits: int | None = option(
        None, "bits of the last layer's weights (those of --weight-bits)", metavar="B"
    )
    phase_bits: int = option(12, "address bits of the activations' tables, 4 to 16", metavar="B")
    budget: int | None = option(
        None,
        "bits of all weights together that a plan may use (as many as --weight-bits and "
        "--first-weight-bits make)",
        metavar="N",
    )
    first_hidden: int | str | None = option(
        None,
        "neurons to keep in the first hidden layer: those that the others replace best are taken "
        "out; auto: as many as the planner finds best (all)",
        metavar="N",
        parse=number_or_auto,
    )
    max_lut: int | None = limit_option("LUTs")
    max_dsp: int | None = limit_option("DSPs")
    max_bram18: int | None = limit_option("block RAMs of 18 kbit")
    max_uram: int | None = limit_option("UltraRAMs")
    cycles_per_sample: int | str = cycles_option()
    fpga_part: str = part_option()
    mvau: str = mvau_option()


def uniform_spec(options: PlanOptions) -> QuantSpec:
    """What a plan keeps, and the unrotated uniform network whose bits it may use."""
    from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
    from dhq_brevitas.nn.scales import Granularity, ScaleKind

    return QuantSpec(
        scheme=Scheme.STOCK,
        scale=ScaleKind(options.scale),
        granularity=Granularity(options.granularity),
        weight_bits=options.weight_bits,
        act_bits=options.act_bits,
        first_weight_bits=options.first_weight_bits,
        last_weight_bits=options.last_weight_bits,
        phase_bits=options.phase_bits,
    )


def limits_of(options: Any, cycles: int) -> Limits:
    """The limits among the options of a plan or a build, for ``cycles`` a sample."""
    from dhq_brevitas.planning.limits import Limits

    return Limits(
        **{name: getattr(options, f"max_{name}") for name in LIMITED},
        cycles_per_sample=cycles,
        fpga_part=options.fpga_part,
        mvau=options.mvau,
    )


def hardware_limits(options: PlanOptions) -> Limits:
    """The limits; ValueError for what no build can have."""
    cycles: Any = options.cycles_per_sample
    if cycles == AUTO_CYCLES:
        raise ArgumentError(
            "cycles_per_sample", cycles, "is for a build: plan for a number of cycles"
        )
    return limits_of(options, cycles)


def with_estimator(limits: Limits | None) -> Hardware | None:
    """Limits and their estimator, or None without limits; ModuleNotFoundError without FINN."""
    if limits is None or not limits.given():
        return None
    check_finn("limits on hardware need FINN", "take them out of the plan file")
    from dhq_brevitas.finn_flow.estimates import LayerEstimator
    from dhq_brevitas.planning.limits import Hardware

    estimate = LayerEstimator(limits.cycles_per_sample, limits.fpga_part, limits.mvau)
    return Hardware(limits, estimate)


def check_limits(options: PlanOptions, planned: bool = True) -> None:
    """ValueError for limits that cannot be, or without a plan that would keep them.

    ModuleNotFoundError if there are limits and FINN, which estimates, is missing.
    """
    if not planned and options.first_hidden == AUTO:
        problem = "is for the planner: use scheme='auto' without a plan, or give a number"
        raise ArgumentError("first_hidden", AUTO, problem)
    if not planned and options.cycles_per_sample == AUTO_CYCLES:
        return  # the limits are the build's
    given: dict[str, int] = {f"max_{n}": v for n, v in hardware_limits(options).given().items()}
    if not planned:
        if options.budget is not None:
            given["budget"] = options.budget
        for name, value in given.items():
            raise ArgumentError(name, value, "is for the planner: use scheme='auto' without a plan")
    if not given:
        return
    name = next(iter(given))
    check_finn("limits on hardware need FINN", f"leave out --{name.replace('_', '-')}")


def check_widths(options: PlanOptions, spec: QuantSpec, chosen: Chosen) -> None:
    """ValueError if the fitted network has no layers like those, or no plan for that budget."""
    from dhq_brevitas.inr.quant_spec import plan_layers
    from dhq_brevitas.inr.quantized import shapes_of_inr
    from dhq_brevitas.planning.alternatives import Budget
    from dhq_brevitas.planning.widths import candidate_widths
    from dhq_brevitas.quantization.narrowing import check_first_hidden

    fit = chosen.find(FitOptions)
    if fit is None:
        return
    kept: Any = options.first_hidden
    if kept == AUTO:
        kept = min(candidate_widths(fit.hidden))
    else:
        check_first_hidden(kept, fit.hidden)
    network = replace(inr_spec(fit, 2, 3), first_hidden=kept)
    layers = plan_layers(shapes_of_inr(network, 8), spec)
    if options.budget is not None:
        Budget(options.budget, options.act_bits).check(layers)


def check(options: PlanOptions, chosen: Chosen) -> None:
    """Limits, widths and the budget."""
    check_mvau(options.mvau)
    check_limits(options)
    check_widths(options, uniform_spec(options), chosen)


def determines(stage: Stage, options: PlanOptions) -> dict[str, Any]:
    """Cycles and part only where there are limits for them; the kernel if it is not our own.

    Neurons only where not all are kept.
    """
    values = asdict(options)
    if options.first_hidden is None:
        del values["first_hidden"]
    if options.mvau == DEFAULT_MVAU:
        del values["mvau"]
    if not hardware_limits(options).given():
        del values["cycles_per_sample"], values["fpga_part"]
    return values


def run(stage: Stage, options: PlanOptions) -> Results:
    """layer_plan.json, which may be edited, and layer_plan.txt, which says why."""
    from dhq_brevitas.planning.alternatives import MULTIPLIED_BITS, Budget
    from dhq_brevitas.planning.plan_file import layers_to_json, plan_to_json
    from dhq_brevitas.planning.plan_text import plan_to_text
    from dhq_brevitas.planning.widths import candidate_widths, plan_widths
    from dhq_brevitas.run.networks import load_float, make_narrowed, make_quantized
    from dhq_brevitas.util.files import write_json, write_text

    problem, spec = stage.problem, uniform_spec(options)
    kept: Any = options.first_hidden
    network = load_float(stage.folder, stage.earlier(FitOptions), problem)
    budget = None
    if options.budget is not None:
        budget = Budget(options.budget, options.act_bits, MULTIPLIED_BITS[options.mvau])
    widths = candidate_widths(network.spec.hidden) if kept == AUTO else [kept]
    models = [
        make_quantized(make_narrowed(network, width, problem), spec, problem).to(stage.device)
        for width in widths
    ]
    choice = plan_widths(
        make_quantized(network, spec, problem).to(stage.device),
        models,
        problem.inputs.to(stage.device),
        spec,
        budget,
        stage.progress,
        hardware=with_estimator(hardware_limits(options)),
        mvau=options.mvau,
    )
    text, values = plan_to_text(choice.plan), plan_to_json(choice.plan)
    if kept is not None:
        text, values = f"{choice.text()}\n\n{text}", values | {"first_hidden": choice.to_json()}
    stage.say(text)
    write_json(stage.folder.file(PLAN_FILE), values)
    write_text(stage.folder.file(PLAN_TABLE), text)
    return {"planned_layers": layers_to_json(choice.plan.layers)}, [PLAN_FILE, PLAN_TABLE]


STAGE = StageKind(
    "plan",
    "choose rotation and bits of every layer for a budget",
    PlanOptions,
    run,
    after="fit",
    branch=True,
    packages=("torch", "brevitas", "scipy"),
    check=check,
    determines=determines,
)
