# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Users' float modules by one call: PyTorch, QONNX and FINN give the same codes; Verilog, too."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import dhq_brevitas as dhq
import own_networks as own
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.stitching import simulate_stitched

GRID = own.grid()
SAMPLES = 64


def scattered(channels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(SAMPLES, channels, generator=generator) - 1


#: Networks that are no chain, with their inputs.
GRAPHS = {
    "residual": (own.Residual, (GRID,)),
    "NeRF": (own.Nerf, (scattered(3, 1), scattered(3, 2))),
    "DeepSDF": (own.DeepSdf, (scattered(3, 3),)),
    "filters": (own.Filters, (GRID,)),
    "FiLM": (own.Conditioned, (scattered(2, 4), scattered(5, 5))),
    "octaves": (own.Positional, (GRID,)),
}


def arrays(values: Any) -> list[np.ndarray]:
    """Tensors or arrays of any structure, one after the other."""
    return [np.asarray(value) for value in pytree.tree_flatten(values)[0]]


def compared(
    module: nn.Module, inputs: Sequence[Tensor], folder: Any, **options: Any
) -> tuple[Any, Any, list[np.ndarray]]:
    """The build, the codes of its inputs and its outputs, once PyTorch = QONNX = FINN on all."""
    quantized = dhq.quantize(module.eval(), tuple(inputs), progress=False)
    with torch.no_grad():
        expected, wanted = arrays(quantized(*inputs)), arrays(module(*inputs))
    for ours, original in zip(expected, wanted, strict=True):
        assert np.corrcoef(ours.ravel(), original.ravel())[0, 1] > 0.98
    graph = export_qonnx(quantized, args=tuple(x[:1] for x in inputs))
    given = [x.numpy() for x in inputs]
    found = arrays(run_qonnx(graph, given))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    built = build_dataflow(
        graph, folder, verify_inputs=[x[:16] for x in given], progress=False, **options
    )
    codes = built.host.encode(given if len(given) > 1 else given[0])
    outputs = execute_dataflow(built.model, codes)
    decoded = arrays(built.host.decode(outputs))
    assert all(np.array_equal(*pair) for pair in zip(decoded, found, strict=True))
    return built, codes, arrays(outputs)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "network",
    [
        lambda: own.normalized(nn.PReLU(16)),
        lambda: own.chain(nn.ReLU(), last=nn.Sigmoid()),
    ],
    ids=["BatchNorm and PReLU", "sigmoid at the end"],
)
def test_chains(network, tmp_path):
    compared(network(), [GRID], tmp_path / "build")


def test_a_network_behind_a_hash_grid(tmp_path):
    """The grid is the host's, and the network is quantized for the features that it gives."""
    points = 2 * torch.rand(500, 2) - 1
    grid, network = own.HashGrid(), nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    with pytest.raises(ValueError, match=r"grid \(HashGrid\): .* leave it to the host"):
        dhq.quantize(nn.Sequential(OrderedDict(grid=grid, network=network)), points)
    with torch.no_grad():
        compared(network, [grid(points)], tmp_path / "build")


def test_fourier_features_are_a_chain(tmp_path):
    built, _, _ = compared(own.Fourier(), [GRID], tmp_path / "build")
    kinds = [node.op_type.removesuffix("_rtl") for node in built.model.graph.node]
    assert kinds[:2] == ["MVAU", "LookupActivation"]


def test_siren_of_pypi_as_verilog(tmp_path):
    siren = pytest.importorskip("siren_pytorch", reason="a network of others")
    network = siren.SirenNet(2, 16, 3, 2)
    built, codes, (outputs,) = compared(network, [GRID], tmp_path / "a build")
    found, _ = simulate_stitched(
        built.model, codes[:32], folder=tmp_path / "a design", progress=False
    )
    assert np.array_equal(found, outputs[:32])


def graph(name: str, folder: Any) -> tuple[Any, Any, list[np.ndarray]]:
    kind, inputs = GRAPHS[name]
    return compared(kind(hidden=8), inputs, folder, cycles_per_sample=64)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.exhaustive] if name == "filters" else [])
        for name in GRAPHS
        if name != "residual"
    ],
)
def test_graphs(name, tmp_path):
    graph(name, tmp_path / "build")


@pytest.mark.parametrize(
    "name",
    ["residual", *(pytest.param(n, marks=pytest.mark.exhaustive) for n in list(GRAPHS)[1:])],
)
def test_graphs_as_verilog_at_their_rate(name, tmp_path):
    built, codes, outputs = graph(name, tmp_path / "build")
    found, stats = simulate_stitched(built.model, codes, folder=tmp_path / "design", progress=False)
    assert all(np.array_equal(*pair) for pair in zip(arrays(found), outputs, strict=True))
    assert stats.cycles_per_sample <= 64
