# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Runs stages in a run folder: checks first, and never the same work twice."""

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS, check_bits
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.limits import LIMITED, Limits
from dhq_brevitas.planning.plan_file import layers_to_json, read_limits, read_plan
from dhq_brevitas.run import chain_stages as other_stages
from dhq_brevitas.run import quantize_stages
from dhq_brevitas.run.chain_stages import (
    SIGNAL,
    Stage,
    check_finn,
    fit_spec,
    inr_spec,
    load_problem,
    numbers,
)
from dhq_brevitas.run.folder import RunFolder, StageRecord
from dhq_brevitas.run.options import (
    AnalyzeOptions,
    BuildOptions,
    FitOptions,
    PlanOptions,
    QuantizeOptions,
    SimulateOptions,
    StageOptions,
)
from dhq_brevitas.run.quantize_stages import (
    AUTO,
    PLAN_FILE,
    plan_limits,
    plan_options,
    plan_spec,
    qat_spec,
    quant_spec,
)
from dhq_brevitas.run.rtl_levels import RTL_LEVELS
from dhq_brevitas.signals.tasks import Problem, get_task

__all__ = ["LEVELS", "check_options", "run_stage"]

LEVELS = ("python", *RTL_LEVELS)
RUNNERS = other_stages.RUNNERS | quantize_stages.RUNNERS
PACKAGES = {
    "fit": ("torch",),
    "analyze": ("torch",),
    "plan": ("torch", "brevitas", "scipy"),
    "quantize": ("torch", "brevitas"),
    "export": ("torch", "brevitas", "qonnx", "onnxruntime"),
    "build": ("finn-plus", "qonnx"),
    "simulate": ("finn-plus", "qonnx"),
    "synth": ("finn-plus", "pyosys"),
}


def check_options(stages: Mapping[str, StageOptions], fitted: Mapping[str, Any] | None) -> None:
    """ValueError for an option out of range, before any stage runs.

    ``fitted``: options of the fit when it is not among ``stages``.
    """
    fit = stages.get("fit")
    if isinstance(fit, FitOptions):
        get_task(fit.task)
        numbers("task_parameters", fit.task_parameters)
        fit_spec(fit)
        inr_spec(asdict(fit), 2, 3)
        fitted = asdict(fit)
    quantize = stages.get("quantize")
    if isinstance(quantize, QuantizeOptions):
        try:
            qat_spec(quantize)
        except ValueError as error:
            name = str(error).partition("=")[0]
            prefix = "qat_" if f"qat_{name}" in vars(quantize) else ""
            raise ValueError(f"{prefix}{error}") from error
        check_limits(quantize, quantize.scheme == AUTO and quantize.plan is None)
        spec = quant_spec(quantize)
        if fitted is not None and spec.layers is None:
            check_widths(fitted, spec, quantize.budget, quantize.act_bits)
    plan = stages.get("plan")
    if isinstance(plan, PlanOptions):
        check_limits(plan)
        spec = plan_spec(plan)
        if fitted is not None:
            check_widths(fitted, spec, plan.budget, plan.act_bits)
    analyze = stages.get("analyze")
    if isinstance(analyze, AnalyzeOptions):
        check_bits("weight_bits", analyze.weight_bits, MIN_BITS, MAX_BITS)
        check_bits("act_bits", analyze.act_bits, MIN_BITS, MAX_BITS)
    build = stages.get("build")
    if isinstance(build, BuildOptions):
        Limits(cycles_per_sample=build.cycles_per_sample, fpga_part=build.fpga_part)
        if not build.clk_ns > 0:
            raise ValueError(f"clk_ns={build.clk_ns} must be positive")
    simulate = stages.get("simulate")
    if isinstance(simulate, SimulateOptions):
        if simulate.level not in LEVELS:
            raise ValueError(f"level={simulate.level!r} does not exist: use {', '.join(LEVELS)}")
        if simulate.samples < 0:
            raise ValueError(f"samples={simulate.samples} must be at least 1, or 0 for all")


def check_limits(options: PlanOptions | QuantizeOptions, planned: bool = True) -> None:
    """ValueError for limits on hardware that cannot be; ModuleNotFoundError without FINN."""
    given = plan_limits(options).given()
    if not given:
        return
    name, limit = next(iter(given.items()))
    if not planned:
        raise ValueError(f"max_{name}={limit} is for the planner: use scheme='auto' without a plan")
    check_finn("limits on hardware need FINN", f"leave out --max-{name}")


def check_widths(
    fitted: Mapping[str, Any], spec: QuantSpec, budget: int | None, act_bits: int
) -> None:
    """ValueError if the fitted network has no layers like those, or no plan for that budget."""
    layers = plan_layers(inr_spec(fitted, 2, 3), spec, 8)
    if budget is not None:
        Budget(budget, act_bits).check(layers)


def run_stage(
    folder: RunFolder,
    name: str,
    options: StageOptions,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> tuple[StageRecord, bool]:
    """Runs stage ``name`` unless its result is there already.

    Returns its record and whether it ran. Raises MissingStageError if an earlier stage has no valid
    result, and what the stage raises.
    """
    earlier = folder.before(name)
    if isinstance(options, QuantizeOptions) and options.scheme == AUTO and options.plan is None:
        run_stage(folder, "plan", plan_options(options), progress, say)
        options = replace(options, plan=str(folder.file(PLAN_FILE)))
    determines = _determining(options)
    if isinstance(options, QuantizeOptions) and options.plan is not None:
        # What the file says counts, not where it is.
        determines["plan"] = layers_to_json(read_plan(options.plan))
        limits = read_limits(options.plan)
        if limits is not None:
            determines["limits"] = asdict(limits)
    if isinstance(options, FitOptions):
        problem = load_problem(options)
        determines["data"] = problem.digest()
    else:
        problem = Problem.load(folder.file(SIGNAL))
    key = folder.key(name, determines)
    record = folder.holds(name, key)
    if record is not None:
        folder.write_summary()
        return record, False
    start = time.monotonic()
    known = {stage: record.options for stage, record in earlier.items()} | {name: asdict(options)}
    stage = Stage(folder, key, known, progress, say, problem)
    results, files = RUNNERS[name](stage, options)
    seconds = time.monotonic() - start
    versions = {package: _version(package) for package in PACKAGES[name]}
    return folder.write(name, key, asdict(options), results, files, seconds, versions), True


def _determining(options: StageOptions) -> dict[str, Any]:
    """The options that a result depends on: what the planner asks of hardware, only if it does."""
    values = asdict(options)
    if isinstance(options, PlanOptions | QuantizeOptions):
        limits = {f"max_{name}": limit for name, limit in plan_limits(options).given().items()}
        hardware = {*(f"max_{name}" for name in LIMITED), "cycles_per_sample", "fpga_part"}
        if limits and isinstance(options, PlanOptions):
            return values
        values = {name: value for name, value in values.items() if name not in hardware}
    return values


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
