# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Which layer loses what to few weight bits, and how far rounding is from the best there is.

    python examples/benchmarks/rounding_bound.py --out runs/bound --pictures astronaut --bits W4A8
    python examples/benchmarks/rounding_bound.py --out runs/bound --pictures camera --size 16 \\
        --hidden 16 --steps 20 --qat 5

The first table has a layer's pre-activations: power over mean squared error in dB, with weights
rounded to nearest, as our rounding leaves them, and the most that *any* rounding to these codes can
reach on average. A row of n weights with step s, rounded so that inputs of covariance H see little
of it, is a point of a lattice with cells of volume s^n det(H)^(1/2). No lattice has less mean
squared error than cells would have that were balls of that volume (Zador; Conway and Sloane,
"Sphere Packings, Lattices and Groups", chapter 2):

    n / (n + 2) / π · Γ(n/2 + 1)^(2/n) · s² det(H)^(1/n).

It holds for one layer and the float network's pre-activations; training may look for others. It
counts all of the layer's m outputs alike. The network's outputs see an error e of pre-activations
as eᵀ G e, G = E[JᵀJ], J their Jacobian by these, taken as independent of the layer's inputs. A
rounding that looks at G, too (as in Tseng et al., "Model-preserving adaptive rounding", 2025,
arXiv:2505.22988), has one lattice of all rows, with cells of volume det(S G S)^(n/2) det(H)^(m/2),
S = diag(s). With it the outputs' error can become smaller by at most

    tr(S G S) / m / det(S G S)^(1/m)

than with rows rounded one by one: "outputs' correlations, at most", in dB.

The second table has the picture's PSNR, post-training and after --qat steps, with those bits in one
layer and FINE_BITS in the others. Layers are rotated after their activation quantizers, as most of
the plans have it. Float networks are kept in OUT/floats, as those of quality_benchmark.py, whose
folder OUT may be.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.quantization.post_training import code_grid, damped_hessian, drawn, float_targets
from dhq_brevitas.util.files import check_writable_folder
from dhq_brevitas.util.hooks import evaluating, hooked, pre_hooked
from quality.report import markdown
from quality.schemes import Run, prepare, quantized
from quality_benchmark import fit, job_of, parse

FINE_BITS = 12
SAMPLES = 8192
FINE = f"none, activations of {FINE_BITS} bits"
HEAD = [
    *("picture", "layer", "step / deviation", "nearest", "ours", "at most", "ours below that"),
    "outputs' correlations, at most",
]


def main() -> None:
    arguments = parse(__doc__)
    check_writable_folder(arguments.out / "floats")
    bounds, alone = [HEAD], [["picture", "weights of few bits", "post-training", "fine-tuned"]]
    for picture in arguments.pictures:
        job = job_of(arguments, picture)
        if not job.network_file.exists():
            fit(job)
        for bits in arguments.bits:
            run = prepare(job, bits, "bound", arguments.qat)
            name = f"{job.network_file.stem.partition('-')[0]}, {bits}"
            bounds += [[name, *row] for row in bound_rows(run)]
            alone += [[name, *row] for row in alone_rows(run)]
    print(markdown(bounds), markdown(alone), sep="\n\n")


def spec_of(run: Run) -> QuantSpec:
    return QuantSpec(
        weight_bits=run.weight_bits,
        act_bits=run.act_bits,
        first_weight_bits=FINE_BITS,
        rotation="after",
        scale="float",
    )


def bound_rows(run: Run) -> Iterator[list[str]]:
    """A row of the first table for each layer of few bits."""
    model = run.build(spec_of(run))
    targets = float_targets(model, run.data.codes)
    model, post = run.post_trained(spec_of(run))
    least: dict[str, tuple[Tensor, float, float]] = {}
    layers = [(model.get_submodule(name), partial(note, least, name)) for name in targets]
    with evaluating(model), torch.no_grad(), pre_hooked(layers):
        model(post.inputs)
    chosen = drawn(len(run.data.coordinates), SAMPLES)
    found = correlations(run.network, run.data.coordinates[chosen])
    for record, seen in zip(post.rounded[1:], found[1:], strict=True):
        power = targets[record.name].var(dim=0).sum().item()
        steps, step, bound = least[record.name]
        errors = record.nearest, record.rounded, bound
        ratios = [f"{10 * math.log10(power / error):.2f}" for error in errors]
        below = 10 * math.log10(record.rounded / bound)
        gain = correlation_gain(seen, steps)
        yield [record.name, f"{step:.2f}", *ratios, f"{below:.2f}", f"{gain:.2f}"]


def note(least: dict[str, Any], name: str, layer: Any, args: tuple[Any, ...]) -> None:
    """Keeps a layer's steps, their mean over the weights' deviations, and the least error."""
    inputs = layer.input_quant(args[0])
    x: Tensor = getattr(inputs, "value", inputs)
    weight = weight_rotation(layer).rotate_weight(layer.weight.detach())
    step, _, _ = code_grid(layer.weight_quant.tensor_quant, weight)
    steps = step.expand(len(weight), 1)
    relative = (steps / weight.double().std(dim=1, keepdim=True)).mean().item()
    least[name] = steps, relative, least_error(damped_hessian(x)[0], steps)


def least_error(hessian: Tensor, steps: Tensor) -> float:
    """The docstring's bound, summed over rows of steps [m, 1]; H float64 [n, n]."""
    n = len(hessian)
    ball = math.exp(2 / n * math.lgamma(n / 2 + 1)) * n / (n + 2) / math.pi
    volume = math.exp(torch.linalg.slogdet(hessian)[1].item() / n)
    return ball * volume * steps.square().sum().item()


def correlations(network: Inr, inputs: Tensor) -> list[Tensor]:
    """The docstring's G of each linear layer, float64 [m, m], for inputs [N, n]."""
    seen: list[Tensor] = []
    with hooked(
        [(linear, lambda _, __, output: seen.append(output)) for linear in network.linears]
    ):
        outputs = network(inputs)
    jacobians = [
        torch.autograd.grad(output.sum(), seen, retain_graph=True) for output in outputs.unbind(1)
    ]
    stacked = (torch.cat(parts).double() for parts in zip(*jacobians, strict=True))
    return [jacobian.T @ jacobian / len(inputs) for jacobian in stacked]


def correlation_gain(correlation: Tensor, steps: Tensor) -> float:
    """The docstring's last ratio in dB; G float64 [m, m], steps [m, 1]."""
    scaled = steps * correlation * steps.T
    log_mean = scaled.diagonal().mean().log()
    return 10 / math.log(10) * (log_mean - torch.linalg.slogdet(scaled)[1] / len(scaled)).item()


def alone_rows(run: Run) -> Iterator[list[str]]:
    """A row of the second table for no layer, for all, and for each alone."""
    plans = run.build(spec_of(run)).plans
    few = {FINE: (), "none": (), "all but the first": range(1, len(plans))}
    few |= {plan.name: (index,) for index, plan in enumerate(plans)}
    for name, chosen in few.items():
        layers = [
            replace(plan, weight_bits=run.weight_bits if index in chosen else FINE_BITS)
            for index, plan in enumerate(plans)
        ]
        if name == FINE:
            layers = [replace(x, sine_bits=x.sine_bits and FINE_BITS) for x in layers]
            layers = [layers[0], *(replace(x, act_bits=FINE_BITS) for x in layers[1:])]
        cell = quantized(run, QuantSpec(layers=tuple(layers)), True)
        after = f"{cell['qat']['psnr']:.2f}" if run.qat else ""
        yield [name, f"{cell['ptq']['psnr']:.2f}", after]


if __name__ == "__main__":
    main()
