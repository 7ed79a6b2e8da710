# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# %% [markdown]
# # Choosing bits
#
# How many bits does each layer need, and should it be rotated? First by hand, the same for every
# layer; then by a plan, which measures. `docs/planning.md` says how plans are made.
#
# `jupytext --to ipynb choosing_bits.py` makes a file for Jupyter.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data, transform

import dhq_brevitas as dhq
from dhq_brevitas.planning.plan_text import plan_to_text

# %% tags=["parameters"]
SIZE, HIDDEN, STEPS, FINE_TUNING = 48, 32, 800, 100
WIDTHS = [8, 6, 4]

# %% [markdown]
# The network is a SIREN that `dhq.fit` trains. A trained network of your own does as well: what
# follows needs its inputs and the outputs wanted.

# %%
picture = transform.resize(data.astronaut(), (SIZE, SIZE), anti_aliasing=True)
points = np.argwhere(np.ones((SIZE, SIZE), bool))
fitted = dhq.fit(
    points, picture.reshape(-1, 3), hidden=HIDDEN, layers=2, steps=STEPS, progress=False
)
network = fitted.network
inputs = torch.from_numpy(fitted.codes).float() * fitted.grid.step
target = torch.from_numpy(fitted.target)  # colors, from -1 to 1


def psnr(model):
    with torch.no_grad():
        error = (model(inputs) - target).square().mean()
    return float(10 * torch.log10(4 / error))


def quantized_psnr(spec):
    return psnr(
        dhq.quantize(network, inputs, spec, target=target, steps=FINE_TUNING, progress=False)
    )


print(f"float network: {psnr(network):.2f} dB")

# %% [markdown]
# ## By hand
#
# Each curve rotates the layers in one way: not at all, before the activations are quantized, or
# after.

# %%
curves = {
    rotation: [quantized_psnr(dhq.QuantSpec(weight_bits=b, rotation=rotation)) for b in WIDTHS]
    for rotation in ("none", "input", "after")
}
for rotation, values in curves.items():
    print(rotation, [f"{value:.2f}" for value in values])

figure, ax = plt.subplots(figsize=(6, 4))
for rotation, values in curves.items():
    ax.plot(WIDTHS, values, "o-", label=rotation)
ax.axhline(psnr(network), linestyle="--", label="float")
ax.set_xlabel("bits of a weight")
ax.set_ylabel("PSNR in dB")
ax.legend()

# %% [markdown]
# ## By a plan
#
# A plan has as many bits of weights to give as the uniform network, and gives them where they
# help most. It measures each layer alone, solves an integer program, and tries the best solutions
# in earnest. The text has the reasons.

# %%
plan = dhq.plan(network, inputs, dhq.QuantSpec(weight_bits=WIDTHS[-1]), progress=False)
print(plan_to_text(plan))

# %%
uniform = max(values[-1] for values in curves.values())
print(f"{WIDTHS[-1]} bits, uniform: {uniform:.2f} dB, planned: {quantized_psnr(plan):.2f} dB")

# %% [markdown]
# A plan is a file, too: `dhq plan` writes it, you edit it, and `dhq quantize --plan` takes it.
