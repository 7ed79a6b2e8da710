# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An INR in plain Brevitas layers, trained, exported to QONNX, mapped to FINN and compared.

    python examples/brevitas_to_finn.py --out runs/example

The signal is a ring on a 64 x 64 grid. Nothing here is specific to this package's own networks: any
Brevitas model of these layers goes the same way.
"""

import argparse
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int32Bias
from torch import nn
from tqdm import trange

from dhq_brevitas import (
    Int8DHQActPerTensorFixedPoint,
    Int8DHQWeightPerChannelFixedPoint,
    IntegerCodes,
    QuantSine,
)
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

SIZE = 64


def network(hidden: int) -> nn.Sequential:
    """2 -> hidden -> hidden -> 1 with sines; the two inner products are rotated (DHQ)."""

    def rotated(n_in: int, n_out: int) -> qnn.QuantLinear:
        return qnn.QuantLinear(
            n_in,
            n_out,
            bias=True,
            weight_quant=Int8DHQWeightPerChannelFixedPoint,
            input_quant=Int8DHQActPerTensorFixedPoint,
            input_collect_stats_steps=20,
            bias_quant=Int32Bias,
        )

    first = qnn.QuantLinear(
        2,
        hidden,
        bias=True,
        weight_quant=Int8WeightPerChannelFixedPoint,
        weight_bit_width=12,
        bias_quant=Int32Bias,
    )
    # Turns a pixel: up to 3 periods across the picture.
    nn.init.uniform_(first.weight, -3 / SIZE, 3 / SIZE)
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=IntegerCodes, bit_width=6, return_quant_tensor=True),
        first,
        QuantSine(phase_bit_width=10, period=1.0, return_quant_tensor=True),
        rotated(hidden, hidden),
        QuantSine(phase_bit_width=10, period=1.0, return_quant_tensor=True),
        rotated(hidden, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=32, help="width (default 32)")
    parser.add_argument("--steps", type=int, default=300, help="training steps (default 300)")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), help="output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    axis = torch.arange(SIZE) - SIZE // 2
    codes = torch.cartesian_prod(axis, axis).float()
    radius = codes.norm(dim=1)
    ring = torch.exp(-(((radius - 20) / 5) ** 2))[:, None]

    model = network(args.hidden).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in trange(args.steps, desc="train", leave=False):
        loss = (model(codes) - ring).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        trained = model(codes).numpy()
    error = ((trained - ring.numpy()) ** 2).mean()
    print(f"PSNR of the quantized network: {-10 * np.log10(error):.1f} dB")

    graph = export_qonnx(model, args.out / "model.onnx", args=codes[:1])
    exported = run_qonnx(graph, codes.numpy())
    result = build_dataflow(
        graph, args.out / "build", cycles_per_sample=64, verify_inputs=codes[:64].numpy()
    )
    dataflow = result.host.decode(execute_dataflow(result.model, result.host.encode(codes.numpy())))
    print("hardware layers:", " -> ".join(node.op_type for node in result.model.graph.node))
    print(f"cycles a sample (estimate): {result.report['cycles_per_sample_estimate']}")
    print(f"PyTorch and QONNX differ in {(trained != exported).sum()} of {trained.size} samples")
    print(f"QONNX and FINN differ in {(exported != dataflow).sum()} of {trained.size} samples")


if __name__ == "__main__":
    main()
