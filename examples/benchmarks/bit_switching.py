# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One set of 8 bit weights whose upper bits are networks of 6, 5 and 4 bits: what sharing costs.

    OMP_NUM_THREADS=1 python examples/benchmarks/bit_switching.py astronaut chelsea
    OMP_NUM_THREADS=1 python examples/benchmarks/bit_switching.py astronaut --out runs/switching

A code q of 8 bits stands for round(q / 2^(8-b)) at b bits, with the step 2^(8-b) times as large, so
one accelerator runs all of them: at b bits its weight memories hold the rounded codes, moved up.
PSNR in dB of six ways to have them, from the same float network, first layer 12 bits throughout:

* ``own``: a network for each width, fine-tuned by itself;
* ``own, as many steps``: the 8 bit one, fine-tuned for as many steps as all of ``refined``;
* ``cut``: the fine-tuned 8 bit network's codes, rounded;
* ``refined``: fewest bits first: the 4 bit network is fine-tuned, then each wider one starts from
  it and may choose only among codes that round to its. Biases are each width's own;
* ``ends``: the 4 bit network, the 8 bit one refined from it at once, and this one's codes rounded;
* ``together``: from ``ends`` on, one set of weights trained straight through the rounding of all
  widths at once, for the sum of their logarithmic errors, in as many steps as all of ``refined``,
  at the fit's rate; the best sum, looked at every hundred steps, is kept.

With --out the accelerator of the last of these is built for 8 bits, and its Verilog simulated with
the memories of each width in turn; there biases of all widths are in steps of the 8 bit network.
"""

import argparse
import copy
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

import dhq_brevitas as dhq
from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.layers import fold_of
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.training import TrainSpec, evaluated_psnr
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.nn.scales import set_scale
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate, freeze_quantized
from dhq_brevitas.quantization.post_training import PostTrained, code_grid, drawn, post_train
from quality.pictures import fit_picture

WIDTHS = (4, 5, 6, 8)
BATCH = 4096
SIMULATED = 64
EVALUATE_EVERY = 100


class Shared:
    """Networks of several widths from one float network."""

    def __init__(self, fitted: dhq.Fitted, act_bits: int, steps: int, rotation: str) -> None:
        self.fitted, self.act_bits, self.steps, self.rotation = fitted, act_bits, steps, rotation
        self.codes = torch.from_numpy(fitted.codes).float()
        self.target = torch.from_numpy(fitted.target)

    def spec(self, bits: int) -> dhq.QuantSpec:
        return dhq.QuantSpec(
            weight_bits=bits, act_bits=self.act_bits, rotation=self.rotation, scale="float"
        )

    def empty(self, bits: int) -> QuantInr:
        grid = self.fitted.grid
        return QuantInr.from_float(
            self.fitted.network, self.spec(bits), grid.step, grid.bits, self.codes
        )

    def fine_tuned(
        self, model: QuantInr, bits: int, post: PostTrained, steps: int, **options: Any
    ) -> QuantInr:
        rate = fine_tuning_rate(self.fitted.learning_rate, self.spec(bits), steps)
        spec = TrainSpec(steps, BATCH, rate)
        freeze_quantized(model, self.codes, self.target, spec, post, progress=False, **options)
        return model.eval()

    def own(self, bits: int, steps: int) -> QuantInr:
        """A network of ``bits`` by itself."""
        model = self.empty(bits)
        return self.fine_tuned(model, bits, post_train(model, self.codes), steps)

    def cut(self, model: QuantInr, bits: int) -> QuantInr:
        """The upper ``bits`` of an 8 bit network's codes."""
        other = self.widened(model, 8, bits)
        with torch.no_grad():
            for layer, q in zip(other.linears[1:], integers(model)[1:], strict=True):
                step, low, high = grid_of(layer)
                upper = rounded_to(q, 8, bits).clamp(low, high) * step
                layer.weight.copy_(weight_rotation(layer).unrotate_weight(upper.float()))
        return other.eval()

    def widened(self, model: QuantInr, bits: int, to: int) -> QuantInr:
        """The same weights, in steps of ``to`` bits."""
        other = self.empty(to)
        other.load_state_dict(model.state_dict())
        for old, new in zip(model.linears[1:], other.linears[1:], strict=True):
            step = grid_of(old)[0] * 2.0 ** (bits - to)
            set_scale(new.weight_quant.tensor_quant, step.float())
        return other

    def refined(self, model: QuantInr, found: dict[int, list[Tensor]], to: int) -> QuantInr:
        """A network of ``to`` bits whose codes round to all those that were ``found`` before."""
        bits = max(found)
        other = self.widened(model, bits, to)
        bounds = [(found[bits][0],) * 2]  # the first layer's weights are those of all
        for index, layer in enumerate(other.linears[1:], 1):
            _, low, high = grid_of(layer)
            lows, highs = torch.tensor(float(low)), torch.tensor(float(high))
            for width, codes in found.items():
                size = 2 ** (to - width)
                least = codes[index] * size - size // 2
                lows = torch.maximum(least, lows)
                highs = torch.minimum(least + size - 1, highs)
            bounds.append((lows, highs))
        state = {name: value.clone() for name, value in other.state_dict().items()}
        post = PostTrained([], state, self.codes[:: max(1, len(self.codes) // 8192)])
        return self.fine_tuned(other, to, post, self.steps, bounds=bounds)

    def all_refined(self, model: QuantInr, widths: Sequence[int]) -> dict[int, QuantInr]:
        """From a network of 4 bits, the first of ``widths``, those of the others."""
        models, codes = {4: model}, {4: integers(model)}
        for bits, to in itertools.pairwise(widths):
            models[to] = self.refined(models[bits], codes, to)
            codes[to] = integers(models[to])
        check_nested(codes)
        return models

    def together(self, models: dict[int, QuantInr], steps: int) -> dict[int, QuantInr]:
        """Networks of all widths whose weights are the upper bits of one set, trained at once."""
        models = copy.deepcopy(models)
        shared = _UpperBits(models)
        groups = shared.groups(self.fitted.learning_rate)
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        generator = torch.Generator().manual_seed(0)
        best, kept = -math.inf, models
        for step in range(steps + 1):
            if step % EVALUATE_EVERY == 0 or step == steps:
                shared.write()
                total = sum(self.psnr(model.eval()) for model in models.values())
                if total > best:
                    best, kept = total, copy.deepcopy(models)
            if step == steps:
                break
            chosen = torch.randint(len(self.codes), (BATCH,), generator=generator)
            loss = torch.zeros(())
            for bits, model in models.items():
                outputs = functional_call(model.train(), shared.weights(bits), self.codes[chosen])
                loss = loss + (outputs - self.target[chosen]).square().mean().log()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        for bits in WIDTHS[:-1]:
            check_nested({width: integers(kept[width]) for width in (bits, 8)})
        return kept

    def psnr(self, model: QuantInr) -> float:
        return evaluated_psnr(model, self.codes, self.target, None)


class _UpperBits:
    """The weights behind the first layer of networks of several widths, all made of 8 bit codes."""

    def __init__(self, models: dict[int, QuantInr]) -> None:
        self.models = models
        self.layers = models[8].linears[1:]
        self.steps = [grid_of(layer)[0].float() for layer in self.layers]
        self.free = [
            weight_rotation(layer).rotate_weight(layer.weight.detach()).requires_grad_()
            for layer in self.layers
        ]
        # Codes beyond these would be clipped at the fewest bits.
        size, (_, low, high) = 2 ** (8 - min(models)), grid_of(models[min(models)].linears[1])
        self.range = low * size - size // 2, high * size + size // 2 - 1

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Adam's: the weights of all, and each network's biases."""
        weights = [
            {"params": [free], "lr": rate * fold_of(layer).weight}
            for free, layer in zip(self.free, self.layers, strict=True)
        ]
        linears = [layer for model in self.models.values() for layer in model.linears]
        return weights + [{"params": [x.bias], "lr": rate * fold_of(x).bias} for x in linears]

    def weights(self, bits: int) -> dict[str, Tensor]:
        """What a network of ``bits`` computes with, by the names of its parameters."""
        found = {}
        for index, (free, step) in enumerate(zip(self.free, self.steps, strict=True), 1):
            codes = torch.clamp(torch.round(free / step), *self.range)
            upper = rounded_to(codes, 8, bits) * (step * 2 ** (8 - bits))
            straight_through = free + (upper - free).detach()
            turned = weight_rotation(self.layers[index - 1]).unrotate_weight(straight_through)
            found[f"linear{index}.weight"] = turned
        return found

    @torch.no_grad()
    def write(self) -> None:
        """Gives each network its weights."""
        for bits, model in self.models.items():
            for name, weight in self.weights(bits).items():
                model.get_parameter(name).copy_(weight)


def grid_of(layer: Any) -> tuple[Tensor, int, int]:
    """Step, lowest and highest code of a layer's weights."""
    weight = weight_rotation(layer).rotate_weight(layer.weight.detach())
    return code_grid(layer.weight_quant.tensor_quant, weight)


def integers(model: QuantInr) -> list[Tensor]:
    """The codes of each layer's weights, float64."""
    return [
        torch.from_numpy(layer.weight).double()
        for layer in layer_codes(model, torch.zeros(1, model.linears[0].in_features))
    ]


def rounded_to(codes: Tensor, bits: int, to: int) -> Tensor:
    """The upper ``to`` of ``bits`` bits, rounded half up: floor(q / 2^(bits - to) + 1/2)."""
    return torch.floor(codes / 2 ** (bits - to) + 0.5)


def check_nested(found: dict[int, list[Tensor]]) -> None:
    """ValueError if the codes of a width are not the upper bits of a wider one's."""
    for width, wider in itertools.combinations(sorted(found), 2):
        for few, many in zip(found[width][1:], found[wider][1:], strict=True):
            if not torch.equal(rounded_to(many, wider, width), few):
                raise ValueError(f"{width} bits are not the upper bits of {wider}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a name or a file")
    parser.add_argument("--size", type=int, default=128, help="longer side (default 128)")
    parser.add_argument("--hidden", type=int, default=128, help="width (default 128)")
    parser.add_argument("--steps", type=int, default=3000, help="of the fit (default 3000)")
    parser.add_argument("--qat-steps", type=int, default=500, help="of fine-tuning (default 500)")
    parser.add_argument("--rotation", default="none", help="none, input, after (default none)")
    parser.add_argument("--out", type=Path, help="folder of accelerators (none are built)")
    parser.add_argument("--cycles", type=int, default=1024, help="a sample (default 1024)")
    args = parser.parse_args()

    print("| picture | weights |" + "".join(f" {bits} bits |" for bits in WIDTHS))
    print("|---|---|" + "---|" * len(WIDTHS))
    for picture in args.pictures:
        fitted = fit_picture(
            picture, args.size, hidden=args.hidden, steps=args.steps, progress=False
        )
        shared = Shared(fitted, 8, args.qat_steps, args.rotation)
        own = {bits: shared.own(bits, args.qat_steps) for bits in WIDTHS}
        cut = {bits: shared.cut(own[8], bits) for bits in WIDTHS[:-1]} | {8: own[8]}
        longer = {8: shared.own(8, len(WIDTHS) * args.qat_steps)}
        rows = {"own": own, "own, as many steps": longer, "cut": cut}
        rows["refined"] = shared.all_refined(own[4], WIDTHS)
        ends = shared.all_refined(own[4], (4, 8))
        rows["ends"] = ends | {bits: shared.cut(ends[8], bits) for bits in WIDTHS[1:-1]}
        rows["together"] = shared.together(rows["ends"], len(WIDTHS) * args.qat_steps)
        for name, models in rows.items():
            cells = (f" {shared.psnr(models[b]):.2f} |" if b in models else " |" for b in WIDTHS)
            print(
                f"| {Path(picture).stem}, {fitted.psnr:.2f} | {name} |" + "".join(cells), flush=True
            )
        if args.out is not None:
            from quality.reloading import differing_codes  # imports FINN, which takes seconds

            wide = {b: shared.widened(m, b, 8).eval() for b, m in rows["together"].items()}
            codes = shared.codes[drawn(len(shared.codes), SIMULATED)]
            found = differing_codes(wide, codes, args.out / Path(picture).stem, args.cycles)
            codes_of_all = SIMULATED * shared.target.shape[1]
            cells = (f" {found[bits]} of {codes_of_all} |" for bits in WIDTHS)
            print(f"| {Path(picture).stem} | loaded, codes differing |" + "".join(cells))


if __name__ == "__main__":
    main()
