# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Time of one QAT step, of DHQ and stock Brevitas quantizers and of the float network.

    python examples/benchmarks/qat_step_benchmark.py --hidden 256 --batch 4096
    python examples/benchmarks/qat_step_benchmark.py --device cuda

The network is 2-H-H-H-3 with quantized sines. "stock" has the stock quantizers of the same names at
the same places (weights and inputs of each layer); "stock, no input quantizer" relies on the sine's
output quantizer instead. Each is timed as its Brevitas modules compute it, with plain tensors
between their quantizers, and with that compiled, as long trainings do; on CUDA it is captured as a
graph instead. Scales are learned, or fixed as when ``dhq quantize`` fine-tunes. Steps are
interleaved and the medians compared, so noise of the machine falls on all alike. Freed memory is
kept, as ``dhq`` keeps it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int32Bias
from torch import Tensor, nn

from dhq_brevitas import Int8DHQActPerTensorFixedPoint, Int8DHQWeightPerChannelFixedPoint, QuantSine
from dhq_brevitas.inr.train_step import TrainStep, adam, train_step
from dhq_brevitas.nn.training_form import compiled, training_form
from dhq_brevitas.util.device import resolve_device
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.processes import keep_freed_memory

SCHEMES = {
    "stock, no input quantizer": (Int8WeightPerChannelFixedPoint, None),
    "stock": (Int8WeightPerChannelFixedPoint, Int8ActPerTensorFixedPoint),
    "dhq": (Int8DHQWeightPerChannelFixedPoint, Int8DHQActPerTensorFixedPoint),
}


def network(hidden: int, weight_quant: type, input_quant: type | None) -> nn.Sequential:
    def linear(n_in: int, n_out: int, **quantizers: object) -> qnn.QuantLinear:
        return qnn.QuantLinear(n_in, n_out, bias=True, bias_quant=Int32Bias, **quantizers)

    def sine() -> QuantSine:
        return QuantSine(period=1.0, return_quant_tensor=True)

    # Two steps of scale statistics instead of 300: what is timed is training with learned scales.
    rotated = {
        "weight_quant": weight_quant,
        "input_quant": input_quant,
        "input_collect_stats_steps": 2,
    }
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True, collect_stats_steps=2),
        linear(2, hidden, weight_quant=Int8WeightPerChannelFixedPoint),
        sine(),
        linear(hidden, hidden, **rotated),
        sine(),
        linear(hidden, hidden, **rotated),
        sine(),
        linear(hidden, 3, **rotated),
    )


class Sine(nn.Module):
    """Of the float network."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(2 * torch.pi * x)


def float_network(hidden: int) -> nn.Sequential:
    sizes = [(2, hidden), (hidden, hidden), (hidden, hidden)]
    layers = [module for size in sizes for module in (nn.Linear(*size), Sine())]
    return nn.Sequential(*layers, nn.Linear(hidden, 3))


def steps(args: argparse.Namespace, x: Tensor, y: Tensor) -> dict[str, Callable[[], Tensor]]:
    """A training step of each network, in each way, by name."""
    found: dict[str, Callable[[], Tensor]] = {}

    def add(name: str, model: nn.Module, run: Any, step: Any = TrainStep) -> None:
        def predict(x: Tensor) -> Tensor:
            outputs = run(x)
            return getattr(outputs, "value", outputs)

        taken = step(predict, adam([{"params": list(model.parameters())}], 1e-3), x, y)
        found[name] = partial(taken, None, 1e-3)

    def form_of(model: nn.Module, fixed: bool = False) -> nn.Module:
        for _ in range(3):  # steps of scale statistics
            model(x)
        if fixed:
            for module_name, parameter in model.named_parameters():
                if "scaling_impl" in module_name:
                    parameter.requires_grad_(False)
        form = training_form(model, x[:64])
        if form is None:
            raise RuntimeError("the network has no plain form that gives the same numbers")
        return form

    makers: dict[str, Callable[[], nn.Module]] = {"float": partial(float_network, args.hidden)}
    for name, quantizers in SCHEMES.items():
        makers[name] = partial(network, args.hidden, *quantizers)
    for name, make in makers.items():
        fresh = [make().to(x.device) for _ in range(4)]
        forms = [form_of(model, fixed=model is fresh[3]) for model in fresh]
        add(name, fresh[0], fresh[0])
        if name != "float":
            add(f"{name}, plain", fresh[1], forms[1])
        if args.eager:
            continue
        fast = "captured" if args.device == "cuda" else "compiled"
        for model, form, what in zip(fresh[2:], forms[2:], ("", ", fixed scales"), strict=True):
            if name != "float" or not what:
                run = form if args.device == "cuda" else compiled(form, x)
                add(f"{name}, {fast}{what}", model, run, train_step)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256, help="width (default 256)")
    parser.add_argument("--batch", type=int, default=4096, help="samples a step (default 4096)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each scheme (default 20)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(default cpu)")
    parser.add_argument("--eager", action="store_true", help="compile and capture nothing")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    try:
        resolve_device(args.device)
    except ArgumentError as error:
        raise SystemExit(str(error)) from None

    keep_freed_memory()
    torch.manual_seed(0)
    on = {"device": args.device}
    x, y = torch.rand(args.batch, 2, **on) * 2 - 1, torch.rand(args.batch, 3, **on)
    runs = steps(args, x, y)
    times: dict[str, list[float]] = {name: [] for name in runs}
    # A GPU is given several steps at a time, as a training gives them.
    at_a_time = 10 if args.device == "cuda" else 1
    for turn in range(args.steps + 3):
        for name, step in runs.items():
            start = time.perf_counter()
            for _ in range(at_a_time):
                step()
            if args.device == "cuda":
                torch.cuda.synchronize()
            if turn >= 3:  # the first steps allocate memory
                times[name].append((time.perf_counter() - start) / at_a_time)

    medians = {name: statistics.median(taken) for name, taken in times.items()}
    where = f"{torch.get_num_threads()} threads"
    print(
        f"2-{args.hidden}-{args.hidden}-{args.hidden}-3, batch {args.batch}, "
        f"{torch.cuda.get_device_name() if args.device == 'cuda' else where}, "
        f"median of {args.steps}"
    )
    fastest = "captured" if args.device == "cuda" else "compiled"
    unit = "float" if args.eager else f"float, {fastest}"
    for name, median in medians.items():
        print(
            f"{name:36s} {median * 1e3:8.2f} ms  {median / medians[unit]:5.2f} x {unit}"
            f"  {args.batch / median / 1e6:7.2f} million samples a second"
        )
    if args.json:
        args.json.write_text(json.dumps(medians, indent=2))


if __name__ == "__main__":
    main()
