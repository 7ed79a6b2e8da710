# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A float network as its author wrote it, to an accelerator: one call quantizes it.

    python examples/own_network.py --out runs/own_network

It learns a picture of rings from coordinates in [-1, 1]. Nothing in it knows of quantization.
Where FINN is installed, the graph is built twice: by ``build_dataflow``, and by FINN's own builder
with the steps of this package in a configuration of one's own.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

import dhq_brevitas as dhq
from dhq_brevitas.export import export_qonnx, run_qonnx


class Rings(nn.Module):
    """Random Fourier features, a residual block of GELUs, a sigmoid: points [N, 2] to [N, 1]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 * torch.randn(2, hidden // 2))
        self.first = nn.Linear(hidden, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, points: Tensor) -> Tensor:
        angles = 2 * torch.pi * points @ self.frequencies
        h = torch.cat([angles.sin(), angles.cos()], dim=-1)
        h = nn.functional.gelu(self.norm(self.first(h)))
        h = 0.5 * (h + nn.functional.gelu(self.inner(h)))
        return torch.sigmoid(self.last(h))


def train(network: nn.Module, points: Tensor, target: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    network.train()
    for _ in trange(steps, desc="train", leave=False):
        loss = (network(points) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


def psnr(found: np.ndarray, target: Tensor) -> float:
    return float(-10 * np.log10(((found - target.numpy()) ** 2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=64, help="side of the picture (default 64)")
    parser.add_argument("--hidden", type=int, default=32, help="width (default 32)")
    parser.add_argument("--steps", type=int, default=500, help="of training (default 500)")
    parser.add_argument("--out", type=Path, default=Path("runs/own_network"), help="output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    axis = torch.linspace(-1, 1, args.size)
    points = torch.cartesian_prod(axis, axis)
    target = 0.5 + 0.5 * torch.cos(12 * points.norm(dim=1, keepdim=True))
    network = Rings(args.hidden)
    train(network, points, target, args.steps)

    quantized = dhq.quantize(network, points, progress=False)
    with torch.no_grad():
        before, after = network(points).numpy(), quantized(points).numpy()
    print(f"float network: {psnr(before, target):.1f} dB, quantized: {psnr(after, target):.1f} dB")

    graph = export_qonnx(quantized, args.out / "model.onnx", args=points[:1], check_inputs=points)
    exported = run_qonnx(graph, points)
    print(f"PyTorch and QONNX differ in {np.count_nonzero(exported != after)} of {after.size}")
    if importlib.util.find_spec("finn") is None:
        print("FINN is not installed: the graph stays as it is")
        return
    from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

    built = build_dataflow(graph, args.out / "build", cycles_per_sample=args.hidden)
    # The host turns points into codes and codes into samples; the graph carries how.
    codes = execute_dataflow(built.model, built.host.encode(points.numpy()))
    differing = np.count_nonzero(built.host.decode(codes) != exported)
    print(f"QONNX and FINN differ in {differing} of {after.size}")
    by_finn(args.out / "model.onnx", args.out / "finn", codes, points)


def by_finn(model: Path, folder: Path, expected: np.ndarray, points: Tensor) -> None:
    """The same by FINN's builder, in a configuration of one's own: examples/finn_build.yaml."""
    # First, since it prepares what FINN's modules ask for when they are imported.
    from dhq_brevitas.finn_flow import HostAffine, execute_dataflow  # isort: skip
    from finn.builder.build_dataflow import build_dataflow_cfg
    from finn.builder.build_dataflow_config import DataflowBuildConfig
    from qonnx.core.modelwrapper import ModelWrapper

    config = DataflowBuildConfig.from_yaml(Path(__file__).with_name("finn_build.yaml").read_text())
    config.output_dir = str(folder)
    build_dataflow_cfg(str(model), config)
    last = folder / "intermediate_models" / f"{config.steps[-1]}.onnx"
    dataflow = ModelWrapper(str(last))
    # What the host computes around the hardware is in the graph, whoever built it.
    host = HostAffine.from_model(dataflow)
    assert host is not None
    found = execute_dataflow(dataflow, host.encode(points[:64].numpy()))
    print(f"FINN's own builder: {np.count_nonzero(found != expected[:64])} of 64 samples differ")


if __name__ == "__main__":
    main()
