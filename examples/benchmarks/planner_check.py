# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Which sensitivities choose the better bits? All choices of a small network tell.

    python examples/benchmarks/planner_check.py camera chelsea

A small SIREN is fitted to each picture. Every choice of weight bits (2 to 7) for the layers behind
the first is quantized in earnest (:func:`dhq_brevitas.quantization.post_training.post_train`, no
rotations), and its error at the output measured: the truth. Then each kind of sensitivities
predicts these errors as a sum over layers:

* ``measured``: what quantizing this layer alone costs at the output, rounded with a view to the
  inputs, as ``dhq plan`` measures it (:mod:`dhq_brevitas.planning.sensitivity`);
* ``measured, nearest``: the same, each weight rounded to its nearest code;
* ``Hessian trace``: mean diagonal of the loss's Hessian times the squared rounding error, by
  Hutchinson's estimator (HAWQ-V2, arXiv:1911.03852);
* ``error``: the squared rounding error of the weights alone.

Printed: rank correlation of prediction and truth (Spearman's), and by how many dB the best choice
by each prediction is behind the best there is, with at most ``--budget`` bits a weight on average.
``dhq plan`` is what :func:`dhq_brevitas.planning.search.make_plan` chooses within the same budget:
it may rotate, too, and change the first layer's bits, and it tries its choices in earnest.
"""

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from scipy.stats import spearmanr

import dhq_brevitas as dhq
from dhq_brevitas.inr.layer_plan import LayerPlan, weight_bits
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.rotation import Rotation
from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.quantization.post_training import post_train
from quality.pictures import fit_picture

WIDTHS = range(2, 8)
DRAWS = 64  # of Hutchinson's estimator
SPEC = QuantSpec(scheme="stock", scale="float")
Bits = tuple[int, ...]


def unrounded(net: dhq.Fitted, layers: tuple[LayerPlan, ...] | None = None) -> QuantInr:
    """The network with quantizers, its weights not rounded yet."""
    codes = torch.from_numpy(net.codes).float()
    spec = replace(SPEC, layers=layers)
    return QuantInr.from_float(net.network, spec, net.grid.step, net.grid.bits, codes)


def with_bits(plans: list[LayerPlan], bits: Bits) -> tuple[LayerPlan, ...]:
    """``plans`` with these weight bits behind the first layer."""
    changed = [replace(p, weight_bits=b) for p, b in zip(plans[1:], bits, strict=True)]
    return (plans[0], *changed)


def true_error(net: dhq.Fitted, layers: tuple[LayerPlan, ...]) -> float:
    """Mean squared error at the output of the network quantized so, against the float network."""
    codes = torch.from_numpy(net.codes).float()
    model = unrounded(net, layers)
    post_train(model, codes)
    with torch.no_grad():
        expected = net.network(codes * net.grid.step)
        return float((model.eval()(codes) - expected).double().square().mean())


def hessian_traces(net: dhq.Fitted, probe: Probe) -> list[float]:
    """Mean diagonal of the loss's Hessian for each layer's weight as the model has it."""
    model, target = probe.model, torch.from_numpy(net.target)
    weights = [linear.weight for linear in probe.linears]
    traces = [0.0] * len(weights)
    generator = torch.Generator().manual_seed(0)
    with unquantized(model):
        for _ in range(DRAWS):
            loss = (model(probe.inputs) - target).square().mean()
            gradients = torch.autograd.grad(loss, weights, create_graph=True)
            signs = [torch.randint(0, 2, w.shape, generator=generator) * 2.0 - 1 for w in weights]
            products = torch.autograd.grad(gradients, weights, signs)
            for index, (sign, product) in enumerate(zip(signs, products, strict=True)):
                traces[index] += float((sign * product).mean()) / DRAWS
    return traces


def predictions(net: dhq.Fitted) -> dict[str, Callable[[Bits], float]]:
    """What each kind of sensitivities predicts for a choice of bits."""
    probe = Probe(unrounded(net), torch.from_numpy(net.codes).float())
    traces = hessian_traces(net, probe)
    turn, last = Rotation(), len(probe.linears)
    way = (ScaleKind.FLOAT, Granularity.CHANNEL)
    tables: dict[str, dict[tuple[int, int], float]] = {name: {} for name in NAMES}
    for index, bits in itertools.product(range(1, last), WIDTHS):
        weight = probe.weight(index, turn)
        nearest = probe.quantized_weight(index, turn, bits, *way, learned=False)
        lost = float((weight - nearest).double().square().sum())
        costs = [
            probe.weight_error(index, turn, bits, *way),
            probe.weight_error(index, turn, bits, *way, learned=False),
            traces[index] * lost,
            lost,
        ]
        for name, cost in zip(NAMES, costs, strict=True):
            tables[name][index, bits] = cost
    return {
        name: lambda bits, table=table: sum(table[i, b] for i, b in enumerate(bits, start=1))
        for name, table in tables.items()
    }


NAMES = ("measured", "measured, nearest", "Hessian trace", "error")


def check(net: dhq.Fitted, budget_bits: float) -> list[list[str]]:
    """Rows: sensitivities, rank correlation, dB behind the best, bits chosen."""
    plans = unrounded(net).plans
    choices = list(itertools.product(WIDTHS, repeat=len(plans) - 1))
    truth = {bits: true_error(net, with_bits(plans, bits)) for bits in choices}
    behind_first = sum(plan.weights for plan in plans[1:])
    budget = round(budget_bits * behind_first) + plans[0].weight_bits * plans[0].weights
    fitting = [b for b in choices if weight_bits(with_bits(plans, b)) <= budget]
    best = min(fitting, key=truth.__getitem__)

    def row(name: str, correlation: str, bits: Bits, error: float) -> list[str]:
        behind = 10 * math.log10(error / truth[best])
        return [name, correlation, f"{behind:.2f}", " ".join(map(str, bits))]

    rows = [row("all tried", "", best, truth[best])]
    for name, predict in predictions(net).items():
        correlation = spearmanr([predict(b) for b in choices], list(truth.values())).statistic
        chosen = min(fitting, key=predict)
        rows.append(row(name, f"{correlation:.3f}", chosen, truth[chosen]))
    chosen_plan = planned(net, Budget(budget, SPEC.act_bits))
    bits = tuple(plan.weight_bits for plan in chosen_plan[1:])
    return [*rows, row("dhq plan", "", bits, true_error(net, chosen_plan))]


def planned(net: dhq.Fitted, budget: Budget) -> tuple[LayerPlan, ...]:
    """What the planner chooses."""
    codes = torch.from_numpy(net.codes).float()
    return make_plan(unrounded(net), codes, SPEC, budget, progress=False).layers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a name or a file")
    parser.add_argument("--size", type=int, default=48, help="longer side (default 48)")
    parser.add_argument("--hidden", type=int, default=32, help="width (default 32)")
    parser.add_argument("--steps", type=int, default=1500, help="of the fit (default 1500)")
    parser.add_argument("--budget", type=float, default=4.0, metavar="BITS", help="default 4")
    args = parser.parse_args()

    head = ["picture", "sensitivities", "rank correlation", "dB behind the best", "bits"]
    for line in (head, ["---"] * len(head)):
        print("| " + " | ".join(line) + " |")
    for picture in args.pictures:
        shape = {"hidden": args.hidden, "steps": args.steps}
        net = fit_picture(picture, args.size, **shape, progress=False)
        for row in check(net, args.budget):
            print("| " + " | ".join([picture, *row]) + " |", flush=True)


if __name__ == "__main__":
    main()
