# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Ways from a float network to weights of few bits, ours among them: what pays.

    OMP_NUM_THREADS=1 python examples/benchmarks/roundings.py astronaut chelsea
    python examples/benchmarks/roundings.py camera --size 16 --hidden 16 --steps 20 --qat-steps 4

PSNR in dB of what each way makes of a picture's float network, and the steps that it takes after
the fit, each of Adam on 4096 samples. Activations have 8 bits, the first layer 12, scales are
float. The ways:

* ``nearest``, ``ours``: each weight to its nearest code; with a view to the layer's inputs, column
  by column and by coordinate descent (:mod:`dhq_brevitas.quantization.post_training`);
* ``codebook``: 2^bits values a layer by Lloyd's algorithm for weights in units of their row's
  deviation; to the nearest, or as ours;
* ``free``: weights trained with quantized activations, then rounded as ours;
* ``noise``: the same, but that NOISE of the weights, others in each step, are rounded to nearest,
  their gradients passing straight through (Fan et al., "Training with quantization noise for
  extreme model compression", 2020, arXiv:2004.07320);
* ``DiscQuant``: weights relaxed to lie between two codes (:mod:`quality.disc_quant`); what is at
  neither in the end is rounded to the nearest, or as ours;
* ``straight through``: all weights rounded to nearest in each step, scales learned
  (:mod:`dhq_brevitas.quantization.straight_through`);
* ``freezing``: ours (:mod:`dhq_brevitas.quantization.fine_tuning`), by itself or as the second half
  of the steps;
* ``from the start``: straight through from untrained weights, as many steps as the fit and
  fine-tuning have, at START_RATE of the fit's rate.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import dhq_brevitas as dhq
from bit_switching import Shared
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.training import TrainingRun, TrainSpec
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate, freezing_groups
from dhq_brevitas.quantization.post_training import (
    SWEEPS,
    Fit,
    PostTrained,
    correct_bias,
    float_targets,
    post_train,
)
from dhq_brevitas.quantization.straight_through import train_quantized
from dhq_brevitas.util.hooks import hooked, pre_hooked
from quality.baselines import clustered
from quality.disc_quant import DiscQuant, weights_as_they_are
from quality.pictures import fit_picture
from quality.report import markdown

BATCH = 4096
NOISE = 0.25
START_RATE = 0.5
Rounding = Callable[[Tensor], Tensor]


class Ways(Shared):
    """Networks whose weights have ``bits``, from one float network."""

    def __init__(self, fitted: dhq.Fitted, bits: int, steps: int, rotation: str) -> None:
        super().__init__(fitted, 8, steps, rotation)
        self.bits = bits

    def training(self, steps: int) -> TrainSpec:
        rate = fine_tuning_rate(self.fitted.learning_rate, self.spec(self.bits), steps)
        return TrainSpec(steps, BATCH, rate)

    def post_trained(
        self, ours: bool, source: QuantInr | None = None
    ) -> tuple[QuantInr, PostTrained]:
        """From the float network, or from the weights of ``source``; scales for those."""
        model = self.empty(self.bits)
        if source is not None:
            with torch.no_grad():
                for old, new in zip(source.linears, model.linears, strict=True):
                    new.weight.copy_(old.weight)
                    new.bias.copy_(old.bias)
        post = post_train(model, self.codes, learned_rounding=ours)
        return model.eval(), post

    def noisy(self, share: float, steps: int) -> QuantInr:
        """Trained with ``share`` of the weights rounded in each step, and none in the end."""
        model, _ = self.post_trained(ours=False)
        generator = torch.Generator().manual_seed(0)
        masks = {x: torch.zeros_like(x.weight, dtype=torch.bool) for x in model.linears}

        def draw(step: int) -> None:
            for mask in masks.values():
                mask.bernoulli_(share, generator=generator)

        def mix(layer: Any, module: Any, args: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> Any:
            return torch.where(masks[layer], out[0], args[0]), *out[1:]

        groups = freezing_groups(model.linears)
        run = TrainingRun(model, lambda: groups, self.training(steps), None, "")
        with hooked([(x.weight_quant.tensor_quant, partial(mix, x)) for x in model.linears]):
            run.train(self.codes, self.target, "noise", False, before_step=draw)
        return model

    def frozen(self, steps: int, source: QuantInr | None = None) -> QuantInr:
        """Fine-tuned by freezing."""
        model, post = self.post_trained(True, source)
        return self.fine_tuned(model, self.bits, post, steps)

    def straight_through(self, ours: bool) -> QuantInr:
        """From the float weights, or from our codes."""
        model, _ = self.post_trained(ours)
        spec = self.training(self.steps)
        train_quantized(model, self.codes, self.target, spec, progress=False)
        return model

    def from_start(self, untrained: dhq.Fitted, steps: int) -> QuantInr:
        model, _ = Ways(untrained, self.bits, 0, self.rotation).post_trained(ours=False)
        spec = TrainSpec(steps, BATCH, START_RATE * self.fitted.learning_rate)
        train_quantized(model, self.codes, self.target, spec, progress=False)
        return model

    @torch.no_grad()
    def codebook(self, ours: bool) -> float:
        """PSNR with weights of 2^bits values a layer."""
        model, _ = self.post_trained(ours=False)
        targets = float_targets(model, self.codes)

        def round_layer(target: Tensor, layer: Any, args: tuple[Any, ...]) -> None:
            quantized = layer.input_quant(args[0])
            rotation = weight_rotation(layer)
            weight = rotation.rotate_weight(layer.weight)
            rounding = to_codebook(weight, self.bits)
            if ours:
                fit = Fit.of(quantized.value, rotation.rotate_output(target), weight)
                weight = passed_on(fit.hessian, fit.best, rounding)
            layer.weight.copy_(rotation.unrotate_weight(rounding(weight).float()))
            if ours:
                correct_bias(layer, quantized, target)

        layers = model.linears[1:]
        pairs = zip(layers, list(targets.values())[1:], strict=True)
        with weights_as_they_are(layers):
            with pre_hooked([(layer, partial(round_layer, target)) for layer, target in pairs]):
                model(self.codes)
            return self.psnr(model)

    def disc_quant(self, steps: int) -> DiscQuant:
        model, _ = self.post_trained(ours=False)
        trained = DiscQuant(model, self.codes)
        trained.train(self.target, self.training(steps))
        return trained

    def disc_quant_frozen(self, steps: int) -> QuantInr:
        model = self.disc_quant(self.steps - steps).unrounded()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        return self.fine_tuned(model, self.bits, PostTrained([], state, self.codes), steps)


def to_codebook(weight: Tensor, bits: int) -> Rounding:
    """Rounds columns [m, k] to the values for ``weight`` [m, n]."""
    deviation = weight.std(dim=1, keepdim=True).clamp_min(1e-12)
    values = clustered(weight / deviation, 2**bits).unique().double()
    middles, deviation = (values[1:] + values[:-1]) / 2, deviation.double()
    return lambda columns: values[torch.bucketize(columns / deviation, middles)] * deviation


def passed_on(hessian: Tensor, target: Tensor, rounding: Rounding) -> Tensor:
    """As :func:`dhq_brevitas.quantization.post_training.round_codes`, but to any values."""
    order = torch.argsort(hessian.diagonal(), descending=True)
    inverse = torch.linalg.inv(hessian[order][:, order])
    factor = torch.linalg.cholesky((inverse + inverse.T) / 2, upper=True)
    rest, found = target[:, order], torch.empty_like(target)
    for j, column in enumerate(order):
        value = rounding(rest[:, j : j + 1])
        rest = rest - (rest[:, j : j + 1] - value) / factor[j, j] * factor[j : j + 1]
        found[:, column] = value[:, 0]
    for _ in range(SWEEPS):
        for j in range(len(hessian)):
            gradient = (found - target) @ hessian[:, j : j + 1]
            found[:, j : j + 1] = rounding(found[:, j : j + 1] - gradient / hessian[j, j])
    return found


def rows(ways: Ways, untrained: dhq.Fitted, fit_steps: int) -> Iterator[tuple[str, str, float]]:
    """Way, its steps, PSNR."""
    half = ways.steps // 2
    steps, rest = str(ways.steps), ways.steps - half
    yield "nearest", "0", ways.psnr(ways.post_trained(False)[0])
    yield "ours", "0", ways.psnr(ways.post_trained(True)[0])
    yield "codebook, nearest", "0", ways.codebook(False)
    yield "codebook, as ours", "0", ways.codebook(True)
    for name, share in (("free", 0.0), ("noise", NOISE)):
        model = ways.noisy(share, ways.steps)
        yield f"{name}, then ours", steps, ways.psnr(ways.post_trained(True, model)[0])
    relaxed = ways.disc_quant(ways.steps)
    yield "DiscQuant, rest as ours", steps, ways.psnr(relaxed.rounded(True))
    yield "DiscQuant, rest to nearest", steps, ways.psnr(relaxed.rounded(False))
    yield "straight through", steps, ways.psnr(ways.straight_through(False))
    yield "straight through from ours", steps, ways.psnr(ways.straight_through(True))
    yield "freezing", steps, ways.psnr(ways.frozen(ways.steps))
    for name, share in (("free", 0.0), ("noise", NOISE)):
        model = ways.frozen(rest, ways.noisy(share, half))
        yield f"{name}, then freezing", steps, ways.psnr(model)
    yield "DiscQuant, then freezing", steps, ways.psnr(ways.disc_quant_frozen(rest))
    whole = fit_steps + ways.steps
    yield "from the start", f"{whole} in all", ways.psnr(ways.from_start(untrained, whole))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a name or a file")
    parser.add_argument("--size", type=int, default=64, help="longer side (default 64)")
    parser.add_argument("--hidden", type=int, default=64, help="width (default 64)")
    parser.add_argument("--steps", type=int, default=1500, help="of the fit (default 1500)")
    parser.add_argument("--qat-steps", type=int, default=500, help="of the others (default 500)")
    parser.add_argument("--bits", type=int, default=4, help="of the weights (default 4)")
    parser.add_argument("--rotation", default="none", help="none, input, after (default none)")
    args = parser.parse_args()

    head, cells = ["way", "steps"], {}
    for picture in args.pictures:
        fit = partial(fit_picture, picture, args.size, hidden=args.hidden, progress=False)
        fitted = fit(steps=args.steps)
        head.append(f"{Path(picture).stem}, {fitted.psnr:.2f}")
        ways = Ways(fitted, args.bits, args.qat_steps, args.rotation)
        for name, steps, quality in rows(ways, fit(steps=0), args.steps):
            cells.setdefault((name, steps), []).append(f"{quality:.2f}")
    print(markdown([head, *([*way, *values] for way, values in cells.items())]))


if __name__ == "__main__":
    main()
