# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
# %% [markdown]
# # Exploring
#
# Which network gives the best picture for this part and this rate? `dhq explore` tries designs and
# keeps those that no other one beats. Here its folder is read, one design is chosen and built, and
# what was promised is compared with what was built. Needs
# `pip install 'dhq-brevitas[explore,finn]'`.
#
# `jupytext --to ipynb exploring.py` makes a file for Jupyter.

# %%
import csv
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from dhq_brevitas import load_run


def dhq(command):
    """Runs a command of ``dhq``, and shows what it prints."""
    words = [sys.executable, "-m", "dhq_brevitas", *shlex.split(command)]
    print(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


# %% tags=["parameters"]
SIZE, STEPS, TRIALS = 32, 500, 16
WIDTHS = "8-32:8"

# %% [markdown]
# ## The search
#
# A part, a rate, and what may vary; `dhq explore --help` has all of it. The command may be stopped
# and repeated at any time: it goes on where it was.

# %%
folder = Path("runs/exploring")
dhq(
    f"explore camera --size {SIZE} --steps {STEPS} --qat-steps {STEPS // 5} --trials {TRIALS}"
    f" --part xc7z020clg400-1 --target-fps 60 --hidden {WIDTHS} --layers 1-2 --family siren"
    f" --out {folder / 'search'}"
)

# %% [markdown]
# ## All designs, and the front
#
# Designs that were given up early have no PSNR.


# %%
def read(name):
    with (folder / "search" / name).open() as stream:
        return list(csv.DictReader(stream))


front = read("front.csv")
tried = [row for row in read("trials.csv") if row["psnr"] and row["lut"]]

figure, ax = plt.subplots(figsize=(6, 4))
for label, rows in {"tried": tried, "front": front}.items():
    luts, psnr = ([float(row[key]) for row in rows] for key in ("lut", "psnr"))
    ax.plot(luts, psnr, "o", label=label)
ax.legend()
ax.set_xlabel("LUTs, estimated")
ax.set_ylabel("PSNR in dB")

# %% [markdown]
# ## One of them, built
#
# The design with the most PSNR for a LUT, say. `dhq run --from` makes what is left of it: graph,
# hardware layers, comparison.

# %%
best = max(front, key=lambda row: float(row["psnr"]) / float(row["lut"]))
dhq(f"run --from {folder / 'search'}:{best['trial']} --out {folder / 'run'}")

# %%
summary = load_run(folder / "run").summary
promised, built = float(best["psnr"]), summary["psnr_quant"]
print(f"promised: {promised:.2f} dB, {best['lut']} LUTs")
print(f"built: {built:.2f} dB, {summary['lut_estimate']} LUTs")

compared = summary["samples_compared"]
print(f"PyTorch and QONNX differ in {summary['mismatch_quant_qonnx']} of {compared} pixels")
print(f"QONNX and FINN differ in {summary['mismatch_qonnx_finn']} of {compared} pixels")

# %% [markdown]
# The LUTs are estimates; `dhq synth --out` counts them after synthesis.
