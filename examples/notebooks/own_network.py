# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# %% [markdown]
# # Your own network
#
# A float network with a skip connection, as one writes it in PyTorch, becomes hardware layers.
# Nothing in it knows of quantization. Needs `pip install 'dhq-brevitas[finn]'`.
#
# `jupytext --to ipynb own_network.py` makes a file for Jupyter.

# %%
import tempfile

import numpy as np
import torch
from torch import nn

import dhq_brevitas as dhq
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

# %% tags=["parameters"]
SIZE, HIDDEN, STEPS = 48, 32, 600
WIDTHS = [6, 4]

# %% [markdown]
# ## The network
#
# Points of the plane to a height: two layers, a residual block, a sigmoid.


# %%
class Heights(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, HIDDEN)
        self.inner = nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1)

    def forward(self, points):
        h = torch.sin(6 * self.first(points))
        h = h + torch.sin(self.inner(h))
        return torch.sigmoid(self.last(h))


axis = torch.linspace(-1, 1, SIZE)
points = torch.cartesian_prod(axis, axis)
radius = points.norm(dim=1, keepdim=True)
heights = 0.5 + 0.4 * torch.cos(9 * radius) * torch.exp(-radius)

torch.manual_seed(0)
network = Heights()
optimizer = torch.optim.Adam(network.parameters(), 3e-3)
for _ in range(STEPS):
    loss = (network(points) - heights).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def decibels(outputs):
    return float(-10 * (outputs - heights).square().mean().log10())


with torch.no_grad():
    print(f"float network: {decibels(network(points)):.1f} dB")

# %% [markdown]
# ## Quantized
#
# One call traces the module, folds what can be folded, and rebuilds the rest from Brevitas
# layers. The result is called as the network was. Print it to see what became of each part.

# %%
quantized = dhq.quantize(network, points, progress=False)
with torch.no_grad():
    print(f"8 bits: {decibels(quantized(points)):.1f} dB")
print([type(module).__name__ for module in quantized.children()])

# %% [markdown]
# With `target` the quantized network is trained a little more. Fewer bits need that.

# %%
for bits in WIDTHS:
    spec = dhq.QuantSpec(weight_bits=bits)
    smaller = dhq.quantize(network, points, spec, target=heights, steps=STEPS // 4, progress=False)
    with torch.no_grad():
        print(f"weights of {bits} bits: {decibels(smaller(points)):.1f} dB")

# %% [markdown]
# ## To hardware
#
# The sum of the two branches stays exact: each branch ends in a quantizer, and the codes are
# added as integers.

# %%
with tempfile.TemporaryDirectory() as folder:
    graph = export_qonnx(quantized, args=points[:1], check_inputs=points)
    built = build_dataflow(graph, folder, cycles_per_sample=HIDDEN, progress=False)
print([node.op_type for node in built.model.graph.node])

codes, outputs = run_qonnx(graph, points, codes=True)
received = execute_dataflow(built.model, built.host.encode(points.numpy()), progress=False)
with torch.no_grad():
    differing = np.count_nonzero(quantized(points).numpy() != outputs)
print(f"PyTorch and QONNX differ in {differing} of {outputs.size}")
print(f"QONNX and FINN differ in {np.count_nonzero(received != codes)} of {codes.size}")

# %% [markdown]
# Which parts of a network are taken, and what is refused: `docs/networks.md`.
