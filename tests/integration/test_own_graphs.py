# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Float modules that are no chain, by one call: the same codes from PyTorch to Verilog."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import dhq_brevitas as dhq
import own_networks as own
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.stitching import simulate_stitched

SAMPLES = 64


def scattered(channels: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(SAMPLES, channels, generator=generator) - 1


NETWORKS = {
    "residual": (own.Residual, (own.grid(),)),
    "NeRF": (own.Nerf, (scattered(3, 1), scattered(3, 2))),
    "DeepSDF": (own.DeepSdf, (scattered(3, 3),)),
    "filters": (own.Filters, (own.grid(),)),
    "FiLM": (own.Conditioned, (scattered(2, 4), scattered(5, 5))),
    "octaves": (own.Positional, (own.grid(),)),
}


def arrays(values: Any) -> list[np.ndarray]:
    """Tensors or arrays of any structure, one after the other."""
    return [np.asarray(value) for value in pytree.tree_flatten(values)[0]]


def build(name: str, folder: Any) -> tuple[Any, Any, list[np.ndarray]]:
    """The build, the codes of its inputs and outputs; PyTorch, QONNX and FINN were compared."""
    torch.manual_seed(0)
    kind, inputs = NETWORKS[name]
    module = kind(hidden=8).eval()
    quantized = dhq.quantize(module, inputs, progress=False)
    with torch.no_grad():
        expected, wanted = arrays(quantized(*inputs)), arrays(module(*inputs))
    for ours, original in zip(expected, wanted, strict=True):
        assert np.corrcoef(ours.ravel(), original.ravel())[0, 1] > 0.98
    graph = export_qonnx(quantized, args=inputs)
    given = [x.numpy() for x in inputs] if len(inputs) > 1 else inputs[0].numpy()
    found = arrays(run_qonnx(graph, given))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    built = build_dataflow(graph, folder, cycles_per_sample=64, progress=False)
    codes = built.host.encode(given)
    outputs = execute_dataflow(built.model, codes)
    decoded = arrays(built.host.decode(outputs))
    assert all(np.array_equal(*pair) for pair in zip(decoded, found, strict=True))
    return built, codes, arrays(outputs)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "residual"])
def test_pytorch_qonnx_and_finn_agree(name, tmp_path):
    build(name, tmp_path / "build")


@pytest.mark.parametrize(
    "name",
    ["residual", *(pytest.param(n, marks=pytest.mark.exhaustive) for n in list(NETWORKS)[1:])],
)
def test_verilog_agrees_at_rate(name, tmp_path):
    built, codes, outputs = build(name, tmp_path / "build")
    found, stats = simulate_stitched(
        built.model, codes, folder=tmp_path / "design", stalls=(0, 0), progress=False
    )
    assert all(np.array_equal(*pair) for pair in zip(arrays(found), outputs, strict=True))
    assert stats.cycles_per_sample <= 64
