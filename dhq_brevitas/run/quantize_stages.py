# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stages between the float network and the export: analyze, plan, quantize."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.analysis.distributions import analysis_text, analyze_layers, save_pictures
from dhq_brevitas.analysis.layer_table import measure_layers
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.training import TrainSpec
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.limits import LIMITED, Hardware, Limits
from dhq_brevitas.planning.plan_file import (
    layers_to_json,
    plan_to_json,
    read_limits,
    read_plan,
)
from dhq_brevitas.planning.plan_text import plan_to_text
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate, freeze_quantized
from dhq_brevitas.quantization.post_training import drawn, post_train
from dhq_brevitas.quantization.settle import finalise
from dhq_brevitas.run.chain_stages import (
    LAYERS,
    Stage,
    check_finn,
    load_float,
    quant_network,
    save_state,
)
from dhq_brevitas.run.options import AnalyzeOptions, PlanOptions, QuantizeOptions
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.util.files import atomic_path, write_json

__all__ = [
    "AUTO",
    "PLAN_FILE",
    "RUNNERS",
    "plan_limits",
    "plan_options",
    "plan_spec",
    "qat_spec",
    "quant_spec",
]

AUTO = "auto"
PLAN_FILE = "layer_plan.json"
PLAN_TABLE = "layer_plan.txt"
ANALYSIS_SAMPLES = 4096


def quant_spec(options: QuantizeOptions) -> QuantSpec:
    """The quantization that ``options`` describe; ``rotation`` may list a side for each layer."""
    if options.plan is not None:
        return QuantSpec(layers=read_plan(options.plan))
    if options.scheme == AUTO:
        return plan_spec(plan_options(options))
    values = {
        name: getattr(options, name)
        for name in QuantSpec.__dataclass_fields__
        if name in QuantizeOptions.__dataclass_fields__
    }
    sides = tuple(options.rotation.split(","))
    values["rotation"] = sides if len(sides) > 1 else sides[0]
    return QuantSpec(**values)


def plan_options(options: QuantizeOptions) -> PlanOptions:
    """Those of the planner when quantization asks it."""
    return PlanOptions(**{f.name: getattr(options, f.name) for f in fields(PlanOptions)})


def plan_spec(options: PlanOptions) -> QuantSpec:
    """What a plan keeps, and the unrotated uniform network whose bits it may use."""
    values: dict[str, Any] = {
        name: getattr(options, name)
        for name in QuantSpec.__dataclass_fields__
        if name in PlanOptions.__dataclass_fields__
    }
    return QuantSpec(scheme=Scheme.STOCK, **values)


def plan_limits(options: PlanOptions | QuantizeOptions) -> Limits:
    """The limits on hardware; ValueError for what no build can have."""
    return Limits(
        **{name: getattr(options, f"max_{name}") for name in LIMITED},
        cycles_per_sample=options.cycles_per_sample,
        fpga_part=options.fpga_part,
    )


def with_estimator(limits: Limits | None) -> Hardware | None:
    """Limits and their estimator, or None without limits; ModuleNotFoundError without FINN."""
    if limits is None or not limits.given():
        return None
    check_finn("limits on hardware need FINN", "take them out of the plan file")
    from dhq_brevitas.finn_flow.estimates import LayerEstimator

    return Hardware(limits, LayerEstimator(limits.cycles_per_sample, limits.fpga_part))


def qat_spec(options: QuantizeOptions, family: str = "siren") -> TrainSpec:
    """The fine-tuning of the quantized network; the learning rate is the family's unless given."""
    rate = options.qat_learning_rate
    if rate is None:
        rate = fine_tuning_rate(family)
    return TrainSpec(options.qat_steps, options.batch, rate, seed=options.seed)


def run_analyze(stage: Stage, options: AnalyzeOptions) -> tuple[dict[str, Any], list[str]]:
    """Distributions of every layer: analysis.txt, and a picture a layer."""
    network, codes = load_float(stage), stage.codes
    chosen = drawn(len(codes), ANALYSIS_SAMPLES)
    model = quant_network(stage, QuantSpec(scheme=Scheme.STOCK), network)
    layers = analyze_layers(
        network,
        codes[chosen] * stage.problem.step,
        options.weight_bits,
        options.act_bits,
        names=[plan.name for plan in model.plans],
    )
    text = analysis_text(layers)
    stage.say(text)
    write_text(stage.folder.file("analysis.txt"), text)
    pictures = save_pictures(layers, stage.folder.path)
    results = {"analysis": [layer.to_json() for layer in layers]}
    return results, ["analysis.txt", *pictures]


def run_plan(stage: Stage, options: PlanOptions) -> tuple[dict[str, Any], list[str]]:
    """The planner: layer_plan.json, which may be edited, and layer_plan.txt, which says why."""
    network, codes = load_float(stage), stage.codes
    base = plan_spec(options)
    budget = None if options.budget is None else Budget(options.budget, options.act_bits)
    plan = make_plan(
        lambda spec: quant_network(stage, spec, network),
        network,
        codes,
        codes * stage.problem.step,
        base,
        budget,
        stage.progress,
        hardware=with_estimator(plan_limits(options)),
    )
    text = plan_to_text(plan)
    stage.say(text)
    write_json(stage.folder.file(PLAN_FILE), plan_to_json(plan))
    write_text(stage.folder.file(PLAN_TABLE), text)
    return {"planned_layers": layers_to_json(plan.layers)}, [PLAN_FILE, PLAN_TABLE]


def run_quantize(stage: Stage, options: QuantizeOptions) -> tuple[dict[str, Any], list[str]]:
    """Post-training quantization, fine-tuning, reference: quant.pt, quant.npz, layers.json."""
    codes, problem, network = stage.codes, stage.problem, load_float(stage)
    hardware = with_estimator(None if options.plan is None else read_limits(options.plan))
    model = quant_network(stage, quant_spec(options), network)
    post = post_train(model, network, codes, codes * problem.step)
    model.eval()
    with torch.no_grad():
        calibrated = psnr(problem.values, model(codes).numpy())
    stage.say(f"after post-training quantization: {calibrated:.2f} dB")
    layers = measure_unrounded(model, post.unrounded, codes)
    excess = "" if hardware is None else hardware.exceeded(model)
    if excess:
        stage.say(f"warning: the plan's network takes {excess}")

    def allowed() -> bool:
        now = "" if hardware is None or excess else hardware.exceeded(model)
        if now:
            stage.say(f"fine-tuned, the network would take {now}: kept as it was before")
        return not now

    trained = freeze_quantized(
        model,
        problem.fit_inputs,
        problem.fit_target,
        qat_spec(options, network.spec.family),
        post,
        stage.folder.file("quantize_checkpoint.pt"),
        stage.key,
        stage.progress,
        problem.project,
        allowed,
    )
    finalise(model)
    reference = evaluate(model, codes)
    save_state(stage, "quant.pt", model)
    values: dict[str, Any] = {"layers": layers_to_json(model.plans)}
    if hardware is not None:
        values["hardware"] = {"limits": asdict(hardware.limits)}
    write_json(stage.folder.file(LAYERS), values)
    files = stage.save_outputs("quant", reference.outputs, reference.accumulators)
    quality = stage.quality("quant", reference.outputs)
    stage.say(f"quantized network: {quality['psnr_quant']:.2f} dB")
    results = {
        "psnr_calibrated": calibrated,
        **quality,
        "qat_best_step": trained.step,
        "accumulator_bits": model.accumulator_bits(codes),
        "reference_dtype": reference.dtype,
        "layers": layers,
    }
    return results, ["quant.pt", LAYERS, *files]


def measure_unrounded(
    model: QuantInr, unrounded: Mapping[str, Tensor], codes: Tensor
) -> list[dict[str, Any]]:
    """:func:`measure_layers` with the weights as they were before rounding.

    Rounded weights lie on their quantizer's grid, so their own SQNR would say nothing.
    """
    rounded = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(unrounded)
    try:
        return measure_layers(model, codes)
    finally:
        model.load_state_dict(rounded)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


RUNNERS: dict[str, Callable[[Stage, Any], tuple[dict[str, Any], list[str]]]] = {
    "analyze": run_analyze,
    "plan": run_plan,
    "quantize": run_quantize,
}
