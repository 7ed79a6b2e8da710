# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# %% [markdown]
# # From a picture to an accelerator
#
# A picture becomes a small network, the network becomes integers, and the integers become
# hardware layers. After every step the results are compared. Needs `pip install
# 'dhq-brevitas[finn]'`, `g++`, `make` and `perl`.
#
# This notebook is kept as text. `jupytext --to ipynb picture_to_accelerator.py` makes a file for
# Jupyter.

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data, transform

import dhq_brevitas as dhq
from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow import execute_dataflow
from dhq_brevitas.finn_flow.stitching import simulate_stitched

# %% tags=["parameters"]
SIZE, HIDDEN, STEPS, FINE_TUNING = 64, 32, 800, 200
SAMPLES = 256  # that the Verilog is simulated on

# %% [markdown]
# ## The picture
#
# One row of `points` for each pixel: its row and its column. One row of `colors`: red, green,
# blue.

# %%
picture = transform.resize(data.astronaut(), (SIZE, SIZE), anti_aliasing=True)
points = np.argwhere(np.ones((SIZE, SIZE), bool))
colors = picture.reshape(-1, 3)

# %% [markdown]
# ## A float network
#
# `fit` trains a SIREN: linear layers with sines between them. It takes any array, not only
# pictures.

# %%
fitted = dhq.fit(points, colors, hidden=HIDDEN, layers=2, steps=STEPS, progress=False)
print(f"float network: {fitted.psnr:.2f} dB")

# %% [markdown]
# ## Why rotate?
#
# The outputs of a sine are U-shaped; the rotation makes a bell of them (a kurtosis of 3).
# `analyze` looks at the inputs of each layer, and says what a quantizer of 8 bits keeps of them:
# SQNR in dB, where 6 dB are one bit. Bells need not be better: look at the numbers.

# %%
inputs = torch.from_numpy(fitted.codes).float() * fitted.grid.step
layer = dhq.analyze(fitted.network, inputs)[1]
for rotation, sqnr in layer.act_sqnr.items():
    print(f"{rotation}: kurtosis {layer.act[rotation].kurtosis:.1f}, {sqnr:.1f} dB")

figure, axes = plt.subplots(1, len(layer.act), figsize=(9, 2), squeeze=False)
for ax, (rotation, tensor) in zip(axes[0], layer.act.items(), strict=True):
    ax.stairs(tensor.histogram, fill=True)
    ax.set_title(rotation)

# %% [markdown]
# ## Integers
#
# Weights and activations of 8 bits. `rotation` may be "input", "after", "output" or "none";
# "input" is DHQ as published.

# %%
spec = dhq.QuantSpec(weight_bits=8, act_bits=8)
quantized = fitted.quantize(spec, steps=FINE_TUNING, progress=False)
print(f"quantized: {quantized.psnr:.2f} dB")

figure, axes = plt.subplots(1, 3, figsize=(9, 3))
for ax, (title, values) in zip(
    axes,
    {"picture": colors, "float": fitted(points), "8 bits": quantized(points)}.items(),
    strict=True,
):
    ax.imshow(values.reshape(SIZE, SIZE, 3).clip(0, 1))
    ax.set_title(title)
    ax.axis("off")

# %% [markdown]
# ## The graph
#
# QONNX is ONNX with quantizers. `codes=True` gives the integers of the last layer beside the
# outputs.

# %%
graph = quantized.export()
print([node.op_type for node in graph.graph.node])

codes, outputs = run_qonnx(graph, quantized.inputs(points), codes=True)
with torch.no_grad():
    trained = quantized.model(quantized.inputs(points)).numpy()
print(f"PyTorch and QONNX differ in {np.count_nonzero(trained != outputs)} of {outputs.size}")

# %% [markdown]
# ## The hardware layers
#
# FINN folds each layer so that a sample takes at most the cycles asked for: fewer cycles, more
# hardware.

# %%
with tempfile.TemporaryDirectory() as folder:
    built = quantized.build(folder, cycles_per_sample=64, progress=False)
print([node.op_type for node in built.model.graph.node])
print({name: built.report[name] for name in ("cycles_per_sample_estimate", "lut_estimate")})

sent = built.host.encode(quantized.inputs(points).numpy())
received = execute_dataflow(built.model, sent, progress=False)
print(f"QONNX and FINN differ in {np.count_nonzero(received != codes)} of {codes.size}")

# %% [markdown]
# ## The Verilog
#
# The whole accelerator, compiled by Verilator and simulated clock by clock. `stats` has what was
# measured.

# %%
simulated, stats = simulate_stitched(built.model, sent[:SAMPLES], progress=False)
differing = np.count_nonzero(simulated != received[:SAMPLES])
print(f"FINN and Verilog differ in {differing} of {simulated.size}")
print(f"{stats.cycles_per_sample:.2f} cycles a sample, latency {stats.latency_cycles} cycles")

# %% [markdown]
# From here, `dhq synth` counts LUTs and `dhq place` routes the design, in a folder that `dhq run`
# made.
