# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Which learning rate a quantized training needs: many trainings at once, in plain PyTorch.

    python examples/benchmarks/rate_sweep.py astronaut --device cuda

Float SIRENs are fitted at several rates and lengths. One of them is then quantized in many ways and
trained straight through the rounding, each way at several rates and lengths. All of a kind are
trained together, as one batched network, so that a GPU is full; on a CPU use small numbers.

What is quantized is what :class:`dhq_brevitas.inr.quantized.QuantInr` quantizes, with the same
formulas: the first layer's weights with 12 bits, phases with 12 bits, the other weights a channel
and rotated (after the activations' quantizer), sines with a fixed scale. Scales start at the least
squared error and are learned as logarithms, ``--scale-rate`` times as fast as weights.
"""

import argparse
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn.hadamard import hadamard_matrix
from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.pictures import load_image

OMEGA = 30.0
BATCH = 4096
FINAL_FRACTION = 0.01
CANDIDATES = 41  # scales tried for the least squared error


@dataclass(frozen=True)
class Ways:
    """How each network of a batch is quantized: float [C, 1, 1] each, and H / √n."""

    largest_code: Tensor
    sine_steps: Tensor
    powers_of_two: Tensor
    rotation: Tensor


def through(value: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` with the gradient of ``value``."""
    return value + (rounded - value).detach()


def quantized_sine(z: Tensor, steps: Tensor) -> Tensor:
    """sin(ω z) of a phase of 12 bits, on the grid of 1 / steps in [-1, 1)."""
    turns = z * (OMEGA / (2 * math.pi))
    turns = through(turns, (torch.floor(turns * 4096) + 0.5) / 4096)
    y = torch.sin(turns * (2 * math.pi))
    y = torch.maximum(torch.minimum(y, 1 - 1 / steps), -torch.ones_like(steps))
    return through(y, torch.round(y * steps) / steps)


def quantized_weight(weight: Tensor, scale: Tensor, largest: Tensor) -> Tensor:
    codes = torch.maximum(torch.minimum(weight / scale, largest), -largest)
    return through(codes, torch.round(codes)) * scale


def outputs(values: list[Tensor], x: Tensor, ways: Ways | None, sine: Any) -> Tensor:
    """[C, N, 3] of C networks; ``values``: weights and biases in turn, then logarithmic scales."""
    for layer in range(4):
        weight, bias = values[2 * layer], values[2 * layer + 1]
        if ways is not None and layer == 0:
            scale = weight.detach().abs().amax(2, True) / 2047
            weight = quantized_weight(weight, scale, torch.full_like(scale, 2047))
        elif ways is not None:
            scale = values[7 + layer].exp()
            power = torch.exp2(torch.ceil(torch.log2(scale) - 1e-4))
            scale = torch.where(ways.powers_of_two, through(scale, power), scale)
            weight = quantized_weight(weight @ ways.rotation, scale, ways.largest_code)
            weight = weight @ ways.rotation
        x = torch.baddbmm(bias, x, weight.mT)
        if layer < 3:
            x = torch.sin(OMEGA * x) if ways is None else sine(x, ways.sine_steps)
    return x


@torch.no_grad()
def psnr(values: list[Tensor], data: tuple[Tensor, Tensor], ways: Ways | None) -> list[float]:
    errors = 0.0
    for x, y in zip(*(part.split(8192) for part in data), strict=True):
        found = outputs(values, x.expand(len(values[0]), -1, -1), ways, quantized_sine)
        errors = errors + (found - y).square().sum((1, 2))
    return (10 * torch.log10(4 * data[1].numel() / torch.as_tensor(errors))).tolist()


def trained(
    values: list[Tensor],
    data: tuple[Tensor, Tensor],
    ways: Ways | None,
    rates: list[float],
    steps: list[int],
    scale_rates: list[float],
    sine: Any,
) -> list[Tensor]:
    """Adam with cosine decay, each network at its rate for its steps."""
    x, y = data
    rate, length, scale_rate = (x.new_tensor(v) for v in (rates, steps, scale_rates))
    values = [value.clone().requires_grad_() for value in values]
    first, second = ([torch.zeros_like(value) for value in values] for _ in range(2))
    generator, batches = torch.Generator().manual_seed(0), max(1, len(x) // BATCH)
    for step in range(max(steps)):
        if step % batches == 0:
            order = torch.randperm(len(x), generator=generator).to(x.device)
        chosen = order[step % batches * BATCH :][:BATCH]
        found = outputs(values, x[chosen].expand(len(rates), -1, -1), ways, sine)
        loss = (found - y[chosen]).square().mean((1, 2)).sum()
        gradients = torch.autograd.grad(loss, values)
        cosine = 0.5 * (1 + torch.cos(math.pi * step / length))
        now = rate * (FINAL_FRACTION + (1 - FINAL_FRACTION) * cosine) * (step < length)
        with torch.no_grad():
            for index, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
                first[index].lerp_(gradient, 0.1)
                second[index].lerp_(gradient.square(), 0.001)
                mean = first[index] / (1 - 0.9 ** (step + 1))
                root = (second[index] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                value -= (now * (scale_rate if index > 7 else 1)).view(-1, 1, 1) * mean / root
    return [value.detach() for value in values]


def first_scales(values: list[Tensor], ways: Ways) -> list[Tensor]:
    """Logarithmic scales of least squared error, of layers 1 to 3."""
    scales = []
    for layer in (1, 2, 3):
        weight = values[2 * layer] @ ways.rotation
        largest = weight.abs().amax(2, True) / ways.largest_code
        best, least = largest, torch.full_like(largest, math.inf)
        for index in range(CANDIDATES):
            scale = largest * (0.1 + 0.9 * index / (CANDIDATES - 1))
            power = torch.exp2(torch.floor(torch.log2(largest)) + 1 - index % 6)
            scale = torch.where(ways.powers_of_two, power, scale)
            error = (quantized_weight(weight, scale, ways.largest_code) - weight).square()
            error = error.sum(2, True)
            best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
        # A power of two is away from where it is rounded up to the next.
        scales.append(torch.where(ways.powers_of_two, 0.84 * best, best).log())
    return scales


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", help="file, or name of a bundled picture")
    parser.add_argument("--size", type=int, default=256, help="of the longer side (%(default)s)")
    parser.add_argument("--hidden", type=int, default=256, help="width (%(default)s)")
    parser.add_argument("--float-rates", type=float, nargs="+", default=[5e-4, 1e-3, 2e-3])
    parser.add_argument("--float-steps", type=int, nargs="+", default=[3000, 6000])
    parser.add_argument("--float-rate", type=float, default=1e-3, help="of the one quantized")
    parser.add_argument("--rates", type=float, nargs="+", default=[5e-5, 1e-4, 2e-4, 4e-4])
    parser.add_argument("--steps", type=int, nargs="+", default=[500, 1500, 3000])
    parser.add_argument("--bits", nargs="+", default=["8,8", "6,6", "4,8", "4,4", "2,8"])
    parser.add_argument("--scale-rate", type=float, default=40.0, help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="(%(default)s)")
    args = parser.parse_args()

    picture = load_image(args.picture, args.size)
    codes = torch.from_numpy(grid_codes(picture.shape)).float()
    samples = torch.from_numpy(picture.pixels).flatten(0, 1)
    data = ((codes * grid_step(picture.shape)).to(args.device), samples.to(args.device))
    sine = torch.compile(quantized_sine) if args.device != "cpu" else quantized_sine

    start = [
        tensor.detach()[None].to(args.device)
        for linear in Inr(InrSpec(hidden=args.hidden, layers=3)).linears
        for tensor in (linear.weight, linear.bias[None])
    ]
    fits = [(rate, steps) for rate in args.float_rates for steps in args.float_steps]
    rates, lengths = [rate for rate, _ in fits], [steps for _, steps in fits]
    values = [value.repeat(len(fits), 1, 1) for value in start]
    values = trained(values, data, None, rates, lengths, [0.0] * len(fits), sine)
    print(f"{args.picture}, {args.size}, {args.hidden} wide; float rate, steps, dB")
    for (rate, steps), quality in zip(fits, psnr(values, data, None), strict=True):
        print(f"{rate:8g} {steps:6d} {quality:6.2f}")

    chosen = fits.index((args.float_rate, args.float_steps[0]))
    kinds = [("float", args.scale_rate), ("po2", 0.0), ("po2 learned", args.scale_rate)]
    cases = [
        (*map(int, bits.split(",")), kind, speed, rate)
        for kind, speed in kinds
        for bits in args.bits
        for rate in args.rates
    ]

    def column(numbers: list[Any]) -> Tensor:
        return torch.tensor(numbers, device=args.device).view(-1, 1, 1)

    ways = Ways(
        column([2.0 ** (case[0] - 1) - 1 for case in cases]),
        column([2.0 ** (case[1] - 1) for case in cases]),
        column([case[2] != "float" for case in cases]),
        (hadamard_matrix(args.hidden) / math.sqrt(args.hidden)).to(args.device),
    )
    values = [value[chosen : chosen + 1].repeat(len(cases), 1, 1) for value in values]
    values += first_scales(values, ways)
    found = [psnr(values, data, ways)]
    for steps in args.steps:
        rates, speeds = [case[4] for case in cases], [case[3] for case in cases]
        after = trained(values, data, ways, rates, [steps] * len(cases), speeds, sine)
        found.append(psnr(after, data, ways))
    print("bits, scales, rate, dB as rounded and after", *args.steps, "steps")
    for (w, a, kind, _, rate), *qualities in zip(cases, *found, strict=True):
        print(f"W{w}A{a} {kind:12s} {rate:8g}", *(f"{quality:6.2f}" for quality in qualities))


if __name__ == "__main__":
    main()
