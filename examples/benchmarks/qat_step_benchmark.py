# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Time of one QAT step: DHQ quantizers against stock Brevitas quantizers in the same network.

    python examples/benchmarks/qat_step_benchmark.py --hidden 256 --batch 4096

The network is 2-H-H-H-3 with quantized sines. "stock" has the stock quantizers of the same names at
the same places (weights and inputs of each layer); "stock, no input quantizer" relies on the sine's
output quantizer instead. Steps are interleaved and the medians compared, so noise of the machine
falls on all alike.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int32Bias
from torch import nn

from dhq_brevitas import Int8DHQActPerTensorFixedPoint, Int8DHQWeightPerChannelFixedPoint, QuantSine

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256, help="width (default 256)")
    parser.add_argument("--batch", type=int, default=4096, help="samples a step (default 4096)")
    parser.add_argument("--steps", type=int, default=20, help="steps of each scheme (default 20)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()

    torch.manual_seed(0)
    x, y = torch.rand(args.batch, 2) * 2 - 1, torch.rand(args.batch, 3)
    runs = {}
    for name, quantizers in SCHEMES.items():
        model = network(args.hidden, *quantizers)
        runs[name] = (model, torch.optim.Adam(model.parameters()), [])
    for step in range(args.steps + 3):
        for model, optimizer, times in runs.values():
            start = time.perf_counter()
            output = model(x)
            loss = (getattr(output, "value", output) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step >= 3:  # the first steps set up scales and allocate memory
                times.append(time.perf_counter() - start)

    medians = {name: statistics.median(times) for name, (_, _, times) in runs.items()}
    print(
        f"2-{args.hidden}-{args.hidden}-{args.hidden}-3, batch {args.batch}, "
        f"{torch.get_num_threads()} threads, median of {args.steps}"
    )
    for name, median in medians.items():
        print(f"{name:27s} {median * 1e3:8.1f} ms  {median / medians['stock']:5.2f} x stock")
    if args.json:
        args.json.write_text(json.dumps(medians, indent=2))


if __name__ == "__main__":
    main()
