# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Time of one QAT step, of DHQ and stock Brevitas quantizers and of the float network.

    python examples/benchmarks/qat_step_benchmark.py --hidden 256 --batch 4096

The network is 2-H-H-H-3 with quantized sines. "stock" has the stock quantizers of the same names at
the same places (weights and inputs of each layer); "stock, no input quantizer" relies on the sine's
output quantizer instead. Each is timed as its Brevitas modules compute it, with plain tensors
between their quantizers, and with that compiled, as long trainings do. Steps are interleaved and
the medians compared, so noise of the machine falls on all alike. Freed memory is kept, as ``dhq``
keeps it.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int32Bias
from torch import Tensor, nn

from dhq_brevitas import Int8DHQActPerTensorFixedPoint, Int8DHQWeightPerChannelFixedPoint, QuantSine
from dhq_brevitas.nn.training_form import compiled, training_form
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


def ways(args: argparse.Namespace, x: Tensor) -> dict[str, tuple[nn.Module, Any]]:
    """By name, the networks and what computes their outputs."""
    model = float_network(args.hidden)
    found: dict[str, tuple[nn.Module, Any]] = {"float": (model, model)}
    if not args.eager:
        model = float_network(args.hidden)
        found["float, compiled"] = model, compiled(model, x)
    for name, quantizers in SCHEMES.items():
        models = [network(args.hidden, *quantizers) for _ in range(2 + (not args.eager))]
        for model in models:
            for _ in range(3):  # steps of scale statistics
                model(x)
        found[name] = models[0], models[0]
        form = training_form(models[1], x[:64])
        assert form is not None
        found[f"{name}, plain"] = models[1], form
        if not args.eager:
            form = training_form(models[2], x[:64])
            assert form is not None
            found[f"{name}, compiled"] = models[2], compiled(form, x)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256, help="width (default 256)")
    parser.add_argument("--batch", type=int, default=4096, help="samples a step (default 4096)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each scheme (default 20)")
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    x, y = torch.rand(args.batch, 2) * 2 - 1, torch.rand(args.batch, 3)
    runs: dict[str, tuple[Any, torch.optim.Adam, list[float]]] = {
        name: (run, torch.optim.Adam(model.parameters()), [])
        for name, (model, run) in ways(args, x).items()
    }
    for step in range(args.steps + 3):
        for run, optimizer, times in runs.values():
            start = time.perf_counter()
            output = run(x)
            loss = (getattr(output, "value", output) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step >= 3:  # the first steps allocate memory
                times.append(time.perf_counter() - start)

    medians = {name: statistics.median(times) for name, (_, _, times) in runs.items()}
    print(
        f"2-{args.hidden}-{args.hidden}-{args.hidden}-3, batch {args.batch}, "
        f"{torch.get_num_threads()} threads, median of {args.steps}"
    )
    unit = "float" if args.eager else "float, compiled"
    for name, median in medians.items():
        print(f"{name:36s} {median * 1e3:8.1f} ms  {median / medians[unit]:5.2f} x {unit}")
    if args.json:
        args.json.write_text(json.dumps(medians, indent=2))


if __name__ == "__main__":
    main()
