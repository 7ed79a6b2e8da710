# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A module of one's own, planned, quantized, exported to QONNX and, where FINN is, mapped to it.

    python examples/own_model.py --out runs/arm

The network learns where the hand of a robot arm is, from the 8 bit codes of its two joints. It is
any module of Brevitas layers: without its quantizers it is the float network that is trained first.
"""

import argparse
import importlib.util
import math
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

import dhq_brevitas as dhq
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.nn.float_mode import unquantized

CODES = 256  # of a joint, one turn


class Arm(nn.Module):
    """Codes [N, 2] of shoulder and elbow, -128 to 127, to the hand's place [N, 2]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.codes = qnn.QuantIdentity(
            act_quant=dhq.IntegerCodes, bit_width=8, return_quant_tensor=True
        )
        self.joints = qnn.QuantLinear(2, hidden, bias=True)
        self.first = dhq.QuantSine(period=1.0, return_quant_tensor=True)
        self.mix = qnn.QuantLinear(hidden, hidden, bias=True)
        self.second = dhq.QuantLookupActivation(torch.tanh, limit=4.0, return_quant_tensor=True)
        self.hand = qnn.QuantLinear(hidden, 2, bias=True)
        # Phases are in turns, so that every scale is a power of two: up to one a turn of a joint.
        nn.init.uniform_(self.joints.weight, -1 / CODES, 1 / CODES)

    def forward(self, codes: Tensor) -> Tensor:
        waves = self.first(self.joints(self.codes(codes)))
        return self.hand(self.second(self.mix(waves)))


def train(model: nn.Module, codes: Tensor, target: Tensor, steps: int) -> None:
    """Trains the float network that ``model`` stands for."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with unquantized(model):
        for _ in trange(steps, desc="train", leave=False):
            loss = (model(codes) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=32, help="width (default 32)")
    parser.add_argument("--steps", type=int, default=1000, help="of training (default 1000)")
    parser.add_argument("--weight-bits", type=int, default=6, help="on average (default 6)")
    parser.add_argument("--out", type=Path, default=Path("runs/arm"), help="output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    axis = torch.arange(-CODES // 2, CODES // 2, 4)
    codes = torch.cartesian_prod(axis, axis).float()
    turned = (codes * (2 * math.pi / CODES)).cumsum(dim=1)  # of the upper arm, of the forearm
    target = torch.stack([turned.cos().mean(dim=1), turned.sin().mean(dim=1)], dim=1)

    model = Arm(args.hidden)
    train(model, codes, target, args.steps)
    plan = dhq.plan(model, codes, dhq.QuantSpec(weight_bits=args.weight_bits, act_bits=8))
    for layer in plan.layers:
        print(f"{layer.name}: W{layer.weight_bits}A{layer.act_bits}, rotated: {layer.rotation}")
    quantized = dhq.quantize(model, codes, plan, target=target, steps=args.steps // 4)
    with torch.no_grad(), unquantized(model):
        print(f"float network: off by {(model(codes) - target).norm(dim=1).mean():.4f}")
    reference = evaluate(quantized, codes)
    miss = np.linalg.norm(reference.outputs - target.numpy(), axis=1).mean()
    print(f"quantized: off by {miss:.4f}")

    graph = export_qonnx(quantized, args.out / "model.onnx", args=codes[:1])
    exported, _ = run_qonnx(graph, codes, codes=True)
    total = exported.size
    differing = np.count_nonzero(reference.accumulators != exported)
    print(f"PyTorch and QONNX differ in {differing} of {total} codes")
    if importlib.util.find_spec("finn") is None:
        print("FINN is not installed: the graph stays as it is")
        return
    from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

    built = build_dataflow(graph, args.out / "build", cycles_per_sample=args.hidden)
    found = execute_dataflow(built.model, built.host.encode(codes.numpy()))
    print(f"QONNX and FINN differ in {np.count_nonzero(found != exported)} of {total} codes")


if __name__ == "__main__":
    main()
