# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``analyze``: how weights and activations are distributed."""

from dataclasses import dataclass

from dhq_brevitas.run.stage import Chosen, DeviceOptions, Results, Stage, StageKind, option

__all__ = ["STAGE", "AnalyzeOptions"]

SAMPLES = 4096
TEXT = "analysis.txt"


@dataclass(frozen=True)
class AnalyzeOptions(DeviceOptions):
    """Widths at which the alternatives are compared."""

    weight_bits: int = option(8, "bits of the weights, 2 to 12", metavar="B")
    act_bits: int = option(8, "bits of the activations, 2 to 12", metavar="B")


def check(options: AnalyzeOptions, chosen: Chosen) -> None:
    """Widths that quantizers can have."""
    from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS, check_bits

    check_bits("weight_bits", options.weight_bits, MIN_BITS, MAX_BITS)
    check_bits("act_bits", options.act_bits, MIN_BITS, MAX_BITS)


def run(stage: Stage, options: AnalyzeOptions) -> Results:
    """analysis.txt, and a picture a layer."""
    from dhq_brevitas.analysis.distributions import analysis_text, analyze_layers, save_pictures
    from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
    from dhq_brevitas.quantization.post_training import drawn
    from dhq_brevitas.run.networks import load_float, make_quantized
    from dhq_brevitas.run.stages.fit import FitOptions
    from dhq_brevitas.util.files import write_text

    problem = stage.problem
    network = load_float(stage.folder, stage.earlier(FitOptions), problem)
    model = make_quantized(network, QuantSpec(scheme=Scheme.STOCK), problem)
    chosen = drawn(len(problem.inputs), SAMPLES)
    layers = analyze_layers(
        network.to(stage.device),
        (problem.inputs[chosen] * problem.step).to(stage.device),
        options.weight_bits,
        options.act_bits,
        names=[plan.name for plan in model.plans],
    )
    text = analysis_text(layers)
    stage.say(text)
    write_text(stage.folder.file(TEXT), text)
    pictures = save_pictures(layers, stage.folder.path)
    return {"analysis": [layer.to_json() for layer in layers]}, [TEXT, *pictures]


STAGE = StageKind(
    "analyze",
    "show how weights and activations are distributed, and what rotations change",
    AnalyzeOptions,
    run,
    after="fit",
    branch=True,
    packages=("torch",),
    check=check,
)
