# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``quantize``: calibrate, round, fine-tune, settle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from dhq_brevitas.planning.limits import LIMITED
from dhq_brevitas.run.folder import LAYERS, Folder
from dhq_brevitas.run.stage import Chosen, Results, Stage, StageKind, option
from dhq_brevitas.run.stages.fit import FitOptions, train_spec
from dhq_brevitas.run.stages.plan import (
    AUTO,
    PLAN_FILE,
    PlanOptions,
    check_limits,
    check_widths,
    uniform_spec,
    with_estimator,
)
from dhq_brevitas.util.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from dhq_brevitas.inr.network import Inr
    from dhq_brevitas.inr.quant_spec import QuantSpec
    from dhq_brevitas.inr.quantized import QuantInr
    from dhq_brevitas.inr.training import TrainSpec
    from dhq_brevitas.planning.limits import Hardware
    from dhq_brevitas.quantization.post_training import PostTrained

__all__ = ["STAGE", "QuantizeOptions", "quant_spec"]

TRAINING = {"steps": "qat_steps", "learning_rate": "qat_learning_rate"}


@dataclass(frozen=True)
class QuantizeOptions(PlanOptions):
    """Quantization, then fine-tuning.

    Scheme "auto" leaves rotation and widths to the planner, whose options are among these;
    ``plan`` names a plan file, which then says all but the fine-tuning.
    """

    scheme: str = option(
        "dhq",
        "Hadamard-rotated or stock quantizers, or what dhq plan finds best",
        choices=("dhq", "stock", AUTO),
    )
    plan: str | None = option(None, "quantize as this plan says (see dhq plan)", metavar="FILE")
    rotation: str = option(
        "input",
        "input, after (the quantized input), output or none; or one for each linear layer, with "
        "commas; --plan and --scheme auto choose it themselves",
        metavar="SIDE",
    )
    signs_seed: int | None = option(
        None, "seed of random signs in the rotations (no signs)", metavar="N"
    )
    qat_steps: int = option(500, "fine-tuning steps of the quantized network", metavar="N")
    qat_learning_rate: float | None = option(
        None, "learning rate of fine-tuning (1/20 of the fit's at 8 bits, 1/5 at 4)", metavar="R"
    )
    batch: int = option(8192, "samples a training step", metavar="N")
    seed: int = option(0, "seed of all random numbers", metavar="N")

    @property
    def planned(self) -> bool:
        """Whether the planner is asked."""
        return self.scheme == AUTO and self.plan is None


def plan_options(options: QuantizeOptions) -> PlanOptions:
    """Those of the planner when quantization asks it."""
    return PlanOptions(**{f.name: getattr(options, f.name) for f in fields(PlanOptions)})


def quant_spec(options: QuantizeOptions) -> QuantSpec:
    """The quantization that ``options`` describe; ``rotation`` may list a side for each layer."""
    from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
    from dhq_brevitas.planning.plan_file import read_plan

    if options.plan is not None:
        return QuantSpec(layers=read_plan(options.plan))
    spec = uniform_spec(options)
    if options.scheme == AUTO:
        return spec
    sides: Any = tuple(options.rotation.split(","))
    return replace(
        spec,
        scheme=Scheme(options.scheme),
        rotation=sides if len(sides) > 1 else sides[0],
        signs_seed=options.signs_seed,
    )


def fine_tuning(options: QuantizeOptions, fit: FitOptions | None) -> TrainSpec:
    """The fine-tuning; its learning rate follows from the fit's and the bits unless given."""
    from dhq_brevitas.inr.training import TrainSpec
    from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate

    rate = options.qat_learning_rate
    if rate is None:
        fitted = TrainSpec.learning_rate if fit is None else train_spec(fit).learning_rate
        rate = fine_tuning_rate(fitted, quant_spec(options), options.qat_steps)
    try:
        return TrainSpec(options.qat_steps, options.batch, rate, seed=options.seed)
    except ArgumentError as error:
        raise error.renamed(TRAINING) from None


def check(options: QuantizeOptions, chosen: Chosen) -> None:
    """Everything but whether a plan fits the network."""
    fine_tuning(options, chosen.find(FitOptions))
    check_limits(options, options.planned)
    spec = quant_spec(options)
    if spec.layers is None:
        check_widths(options, spec, chosen)


def unused(options: QuantizeOptions) -> dict[str, str]:
    """What a plan, the planner, the scheme or no training leave without effect."""
    names: dict[str, str] = {}
    if options.plan is not None:
        kept = ("device", "cycles_per_sample", "fpga_part", "mvau")
        names = {f.name: "the plan says it" for f in fields(PlanOptions) if f.name not in kept}
        names |= dict.fromkeys(("scheme", "rotation", "signs_seed"), "the plan says it")
    elif options.scheme == AUTO:
        names = dict.fromkeys(("rotation", "signs_seed"), "the planner chooses it")
    elif options.scheme == "stock":
        names = dict.fromkeys(("rotation", "signs_seed"), "stock quantizers do not rotate")
    elif options.rotation == "none":
        names = {"signs_seed": "nothing is rotated"}
    if options.qat_steps == 0:
        names["qat_learning_rate"] = "there are no steps"
    return names


def prepare(
    options: QuantizeOptions, folder: Folder, run_other: Callable[[str, Any], Any]
) -> QuantizeOptions:
    """Makes the plan if the planner is asked."""
    if not options.planned:
        return options
    run_other("plan", plan_options(options))
    return replace(options, plan=str(folder.file(PLAN_FILE)))


def determines(stage: Stage, options: QuantizeOptions) -> dict[str, Any]:
    """What a plan file says counts, not where it is; the planner's limits count in it alone."""
    from dhq_brevitas.planning.plan_file import layers_to_json, read_limits, read_plan

    asked = {*(f"max_{name}" for name in LIMITED), "cycles_per_sample", "fpga_part", "mvau"}
    values = {name: value for name, value in asdict(options).items() if name not in asked}
    if options.first_hidden is None:
        del values["first_hidden"]
    if options.plan is not None:
        values["plan"] = layers_to_json(read_plan(options.plan))
        limits = read_limits(options.plan)
        if limits is not None:
            values["limits"] = asdict(limits)
    return values


def run(stage: Stage, options: QuantizeOptions) -> Results:
    """quant.pt, layers.json, and the reference that later levels must give, quant.npz."""
    from dhq_brevitas.inr.integers import accumulator_bits, evaluate
    from dhq_brevitas.quantization.recipe import quantize_in_place
    from dhq_brevitas.run.networks import make_quantized, save_quantized

    problem, folder, device = stage.problem, stage.folder, stage.device
    fit = stage.earlier(FitOptions)
    spec = quant_spec(options)
    network = _float_network(stage, options, spec)
    model = make_quantized(network, spec, problem).to(device)
    watch = _Watch(stage, model, problem.inputs.to(device), _hardware(options))
    trained = quantize_in_place(
        model,
        watch.inputs,
        problem.fit_target.to(device),
        fine_tuning(options, fit),
        fit_inputs=problem.fit_inputs.to(device),
        project=problem.project,
        checkpoint=folder.file("quantize_checkpoint.pt"),
        key=stage.key,
        progress=stage.progress,
        after_rounding=watch.after_rounding,
        allowed=watch.allowed,
    )
    assert trained is not None
    model.cpu()
    reference = evaluate(model, problem.inputs)
    limits = {} if watch.hardware is None else {"limits": asdict(watch.hardware.limits)}
    files = save_quantized(folder, model, **({"hardware": limits} if limits else {}))
    files += stage.save_outputs("quant", reference.outputs, reference.accumulators)
    quality = stage.quality("quant", reference.outputs)
    stage.say(f"quantized network: {quality['psnr_quant']:.2f} dB")
    results = {
        "psnr_calibrated": watch.calibrated,
        **quality,
        "qat_best_step": trained.step,
        "accumulator_bits": accumulator_bits(model, problem.inputs),
        "reference_dtype": reference.dtype,
        "layers": watch.layers,
    }
    return results, files


def _float_network(stage: Stage, options: QuantizeOptions, spec: QuantSpec) -> Inr:
    """The fitted network, with as many neurons in its first hidden layer as ``spec`` has there."""
    from dhq_brevitas.quantization.narrowing import kept_neurons
    from dhq_brevitas.run.networks import load_float, make_narrowed
    from dhq_brevitas.signals.metrics import psnr
    from dhq_brevitas.util.hooks import evaluated

    problem = stage.problem
    kept: Any = options.first_hidden
    whole = load_float(stage.folder, stage.earlier(FitOptions), problem)
    if spec.layers is not None:
        kept = kept_neurons(whole.spec, spec.layers)
    network = make_narrowed(whole, kept, problem)
    if network is not whole:
        inputs = problem.inputs * problem.step
        before, after = (
            psnr(problem.values, evaluated(x, inputs).numpy()) for x in (whole, network)
        )
        stage.say(
            f"first hidden layer: {whole.spec.hidden} -> {kept} neurons; "
            f"the float network had {before:.2f} dB and has {after:.2f}"
        )
    return network


def _hardware(options: QuantizeOptions) -> Hardware | None:
    from dhq_brevitas.planning.plan_file import read_limits

    return with_estimator(None if options.plan is None else read_limits(options.plan))


@dataclass
class _Watch:
    """Measures the network on its way, and keeps it within its plan's limits."""

    stage: Stage
    model: QuantInr
    inputs: Tensor
    hardware: Hardware | None
    calibrated: float = 0.0
    layers: list[dict[str, Any]] = field(default_factory=list)
    exceeding: bool = False

    def after_rounding(self, post: PostTrained) -> None:
        """Quality, layers and hardware of the network before fine-tuning."""
        from dhq_brevitas.signals.metrics import psnr
        from dhq_brevitas.util.hooks import evaluated

        outputs = evaluated(self.model, self.inputs).cpu().numpy()
        self.calibrated = psnr(self.stage.problem.values, outputs)
        self.stage.say(f"after post-training quantization: {self.calibrated:.2f} dB")
        self.layers = measure_unrounded(self.model, post.unrounded, self.inputs)
        excess = self._excess()
        if excess:
            self.stage.say(f"warning: the plan's network takes {excess}")
        self.exceeding = bool(excess)

    def allowed(self) -> bool:
        """Whether the network may be as it is; a plan that exceeds its limits may stay so."""
        excess = "" if self.exceeding else self._excess()
        if excess:
            self.stage.say(f"fine-tuned, the network would take {excess}: kept as it was before")
        return not excess

    def _excess(self) -> str:
        return "" if self.hardware is None else self.hardware.exceeded(self.model, self.inputs)


def measure_unrounded(
    model: QuantInr, unrounded: Mapping[str, Tensor], inputs: Tensor
) -> list[dict[str, Any]]:
    """``measure_layers`` with the weights as they were before rounding.

    Rounded weights lie on their quantizer's grid, so their own SQNR would say nothing.
    """
    from dhq_brevitas.analysis.layer_table import measure_layers
    from dhq_brevitas.util.states import restore

    rounded = {name: value.clone() for name, value in model.state_dict().items()}
    restore(model, unrounded)
    try:
        return measure_layers(model, inputs)
    finally:
        restore(model, rounded)


STAGE = StageKind(
    "quantize",
    "quantize the network: calibrate, round, fine-tune",
    QuantizeOptions,
    run,
    after="fit",
    packages=("torch", "brevitas"),
    check=check,
    prepare=prepare,
    determines=determines,
    unused=unused,
    inputs={"plan": LAYERS},
)
