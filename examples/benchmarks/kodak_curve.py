# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Bits a pixel against PSNR of packed quantized networks, beside what others publish for Kodak.

    OMP_NUM_THREADS=1 python examples/benchmarks/kodak_curve.py kodim06.png --out runs/kodak

Each network of ``--networks`` is fitted to each picture, then quantized in each of ``--ways``. A
quantized network is written to OUT as a packed file, and bits a pixel are the bits of that file.
Networks and rows are kept in OUT, so an interrupted command goes on where it was: with
``timeout 290 python …``, repeated, it runs in pieces.

The networks are COIN's, 5 x 20 to 10 x 40 (layers x width), and F3x32, three sine layers behind
frequencies of base 1.4, nearly those of Strümpler et al. (:mod:`quality.kodak`). PSNR is of outputs
cut off at the ends of their range, in float, as COIN's is. OUT/table.md and OUT/curve.png show what
there is; the curves of others are means of all 24 pictures, trained otherwise.
"""

import argparse
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dhq_brevitas.fitting import Fitted, Quantized
from dhq_brevitas.inr.families import register_family
from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.planning.plan_file import plan_to_json, read_plan
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate
from dhq_brevitas.quantization.post_training import post_train
from dhq_brevitas.quantization.recipe import quantize_in_place
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import train_quantized
from dhq_brevitas.signals.grid import CoordinateGrid, grid_codes
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.pictures import load_image
from dhq_brevitas.util.files import check_writable_folder, read_json, write_json
from dhq_brevitas.util.hooks import evaluated
from quality.baselines import clustered
from quality.kodak import FREQUENCIES, write_curve, write_table

register_family(FREQUENCIES)
NETWORKS = {
    "5x20": InrSpec(hidden=20, layers=5),
    "5x30": InrSpec(hidden=30, layers=5),
    "10x28": InrSpec(hidden=28, layers=10),
    "10x40": InrSpec(hidden=40, layers=10),
    "F3x32": InrSpec(hidden=32, layers=3, family=FREQUENCIES.name),
}
# By the number of layers. At 3e-3 a network of five collapsed on kodim06 within 20 000 steps, and
# deeper ones diverge at less.
RATES = {3: 3e-3, 5: 1.5e-3, 10: 7e-4}
DHQ: dict[str, Any] = {"rotation": "after", "scale": "float"}
WIDE: dict[str, Any] = {**DHQ, "act_bits": 12, "phase_bits": 16}
STOCK = QuantSpec(scheme="stock", scale="float", first_weight_bits=8)
WAYS = {
    "stock W8A8": STOCK,
    "DHQ W8A8": QuantSpec(**DHQ),
    "plan W8A8": QuantSpec(**DHQ),
    "plan W6A8": QuantSpec(**DHQ, weight_bits=6),
    "plan W5A8": QuantSpec(**DHQ, weight_bits=5),
    "plan W4A8": QuantSpec(**DHQ, weight_bits=4),
    "DHQ W8A12": QuantSpec(**WIDE),
    "DHQ W4A12": QuantSpec(**WIDE, weight_bits=4),
}
SHARED_BITS = (6, 4)
PLANNED = 6  # plans that are tried in earnest
#: Of biases in the file, in periods: 2^-9 cost a 10 x 28 network 0.003 dB.
BIAS_STEP = 2.0**-10


@dataclass(frozen=True)
class Case:
    """A network and a picture, and how it is trained."""

    picture: Path
    network: str
    arguments: argparse.Namespace

    @property
    def name(self) -> str:
        return f"{self.picture.stem}-{self.network}-{self.arguments.steps}"

    def file(self, kind: str, name: str, ending: str) -> Path:
        return self.arguments.out / kind / f"{self.name}{name}{ending}"

    @property
    def rate(self) -> float:
        """Learning rate of the float fit."""
        return RATES[NETWORKS[self.network].layers]

    @property
    def pixels(self) -> np.ndarray:
        """Float32 [height, width, 3] in [-1, 1]."""
        return load_image(self.picture, self.arguments.size).pixels


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", type=Path, help="files")
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--size", type=int, help="longer side; as it is, unless given")
    parser.add_argument("--steps", type=int, default=4000, help="of the float fit (%(default)s)")
    parser.add_argument("--batch", type=int, default=2048, help="pixels a step (%(default)s)")
    parser.add_argument("--qat-steps", type=int, default=500, help="fine-tuning (%(default)s)")
    return parser.parse_args()


def fitted(case: Case) -> Fitted:
    """The float network, from its file or trained."""
    file, arguments = case.file("floats", "", ".pt"), case.arguments
    if file.exists():
        return Fitted.load(file)
    pixels = case.pixels
    codes, target = grid_codes(pixels.shape[:2]), pixels.reshape(-1, pixels.shape[2])
    grid = CoordinateGrid.of(codes)
    inputs, network = torch.from_numpy(codes).float() * grid.step, Inr(NETWORKS[case.network])
    training = TrainSpec(arguments.steps, arguments.batch, case.rate)
    part = case.file("floats", "", ".part")
    fit_float(network, inputs, torch.from_numpy(target), training, part, case.name, progress=False)
    fit = Fitted(network, grid, -1.0, 1.0, codes, target, float("nan"), case.rate)
    fit = replace(fit, psnr=quality(network, inputs, fit))
    fit.save(file)
    return fit


def quality(model: torch.nn.Module, inputs: torch.Tensor, fit: Fitted) -> float:
    """PSNR in dB, over the whole picture, of outputs cut off at -1 and 1."""
    return psnr(fit.target, evaluated(model, inputs).clamp(-1, 1).numpy())


def quantized(case: Case, fit: Fitted, way: str) -> dict[str, Any]:
    """Writes the packed network of a way; returns its row."""
    file, arguments = case.file("packed", f"-{way.replace(' ', '-')}", ".dhq"), case.arguments
    codes, target = torch.from_numpy(fit.codes).float(), torch.from_numpy(fit.target)

    def built(quant: QuantSpec) -> QuantInr:
        return QuantInr.from_float(fit.network, quant, fit.grid.step, fit.grid.bits, codes)

    quant, plan = WAYS[way], file.with_suffix(".json")
    if way.startswith("plan"):
        if not plan.exists():
            network = built(QuantSpec(scheme="stock"))
            chosen = make_plan(network, codes, quant, progress=False, max_trials=PLANNED)
            write_json(plan, plan_to_json(chosen))
        quant = QuantSpec(layers=read_plan(plan))
    model, part = built(quant), file.with_suffix(".part")
    rate = fine_tuning_rate(case.rate, quant, arguments.qat_steps)
    training = TrainSpec(arguments.qat_steps, arguments.batch, rate)
    if way.startswith("stock"):
        post_train(model, codes, learned_rounding=False)
        training = replace(training, evaluate_every=max(training.steps, 1))
        train_quantized(model, codes, target, training, part, way, progress=False)
        settle(model, codes)
    else:
        quantize_in_place(model, codes, target, training, checkpoint=part, key=way, progress=False)
    shorten_biases(model, codes)
    found = quality(model, codes, fit)
    Quantized(model, fit.grid, -1.0, 1.0, float("nan")).pack(file)
    return {"psnr": found, "file": str(file.relative_to(arguments.out))}


def shorten_biases(model: QuantInr, codes: torch.Tensor) -> None:
    """Rounds biases to multiples 2^k of the accumulator's unit, near BIAS_STEP, in place.

    An activation's table distinguishes 2^12 phases, an accumulator many more.
    """
    with torch.no_grad():
        for linear, layer in zip(model.linears, layer_codes(model, codes[:1]), strict=True):
            unit = 2.0 ** max(0, np.floor(np.log2(BIAS_STEP / np.median(layer.scale))))
            rounded = np.rint(layer.bias_codes / unit) * unit * layer.scale
            linear.bias.copy_(torch.from_numpy(rounded))


def others(case: Case, fit: Fitted) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of what is not packed: the float network, in float16, and with shared weights."""
    inputs = torch.from_numpy(fit.codes).float() * fit.grid.step
    trained = [p for p in fit.network.parameters() if p.requires_grad]
    count = sum(p.numel() for p in trained)
    yield "float32", {"psnr": fit.psnr, "bits": 32 * count}
    halved = changed(fit, lambda p: p.half().float(), inputs)
    yield "float16", {"psnr": halved, "bits": 16 * count}
    for bits in SHARED_BITS:
        shared = partial(clustered, clusters=2**bits)
        found = changed(fit, lambda p, of=shared: of(p) if p.ndim == 2 else p, inputs)
        size = sum(
            bits * p.numel() + 16 * 2**bits
            if p.ndim == 2 and p.numel() > 2**bits
            else 16 * p.numel()
            for p in trained
        )
        yield f"k-means W{bits}", {"psnr": found, "bits": size}


def changed(fit: Fitted, change: Callable[[torch.Tensor], torch.Tensor], inputs: Any) -> float:
    """PSNR in dB of the float network whose trained tensors are changed."""
    network = copy.deepcopy(fit.network)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.copy_(change(parameter))
    return quality(network, inputs, fit)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    for kind in ("floats", "packed"):
        check_writable_folder(arguments.out / kind)
    rows_file = arguments.out / "rows.json"
    rows = read_json(rows_file) if rows_file.exists() else {}
    for picture, network in itertools.product(arguments.pictures, arguments.networks):
        case = Case(picture, network, arguments)
        missing = [way for way in arguments.ways if f"{case.name} {way}" not in rows]
        if not missing and f"{case.name} float32" in rows:
            continue
        fit = fitted(case)
        same = {"picture": picture.stem, "network": network, "pixels": len(fit.codes)}
        for way, row in itertools.chain(
            others(case, fit), ((way, quantized(case, fit, way)) for way in missing)
        ):
            rows[f"{case.name} {way}"] = {**same, "way": way, **row}
            write_json(rows_file, rows)
            print(case.name, way, f"{row['psnr']:.2f}", flush=True)
    print(write_table(arguments.out, list(rows.values())))
    pixels = [Case(picture, "", arguments).pixels for picture in arguments.pictures]
    title = (
        f"Ours: {len(pixels)} pictures, {arguments.steps} steps of {arguments.batch} pixels, "
        f"{arguments.qat_steps} of fine-tuning. Others: 24 pictures, as published"
    )
    write_curve(arguments.out, list(rows.values()), pixels, title)


if __name__ == "__main__":
    main()
