# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Users' float modules by one call: PyTorch, QONNX and FINN give the same codes; Verilog, too."""

import numpy as np
import pytest
import torch
from torch import nn

import dhq_brevitas as dhq
import own_networks as own
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.stitching import simulate_stitched

GRID = own.grid()


def compared(module, inputs, folder, spec=None):
    """The build, and its codes, once PyTorch = QONNX = FINN on all of ``inputs``."""
    quantized = dhq.quantize(module.eval(), inputs, spec, progress=False)
    with torch.no_grad():
        expected = quantized(inputs).numpy()
        assert np.corrcoef(expected.ravel(), module(inputs).numpy().ravel())[0, 1] > 0.98
    graph = export_qonnx(quantized, args=inputs[:1])
    found = run_qonnx(graph, inputs)
    assert np.array_equal(found, expected)
    built = build_dataflow(graph, folder, verify_inputs=inputs[:16].numpy(), progress=False)
    codes = built.host.encode(inputs.numpy())
    outputs = execute_dataflow(built.model, codes)
    assert np.array_equal(built.host.decode(outputs), found)
    return built, codes, outputs


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "network",
    [
        lambda: own.chain(nn.GELU()),
        lambda: own.normalized(nn.PReLU(16)),
        lambda: own.chain(nn.ReLU(), last=nn.Sigmoid()),
    ],
    ids=["GELU", "BatchNorm and PReLU", "sigmoid at the end"],
)
def test_chains(network, tmp_path):
    compared(network(), GRID, tmp_path / "build")


def test_fourier_features_are_a_chain(tmp_path):
    built, _, _ = compared(own.Fourier(), GRID, tmp_path / "build")
    kinds = [node.op_type.removesuffix("_rtl") for node in built.model.graph.node]
    assert kinds[:2] == ["MVAU", "LookupActivation"]


def test_siren_of_pypi_as_verilog(tmp_path):
    siren = pytest.importorskip("siren_pytorch", reason="a network of others")
    network = siren.SirenNet(2, 16, 3, 2)
    built, codes, outputs = compared(network, GRID, tmp_path / "a build")
    found, _ = simulate_stitched(
        built.model, codes[:32], folder=tmp_path / "a design", progress=False
    )
    assert np.array_equal(found, outputs[:32])
