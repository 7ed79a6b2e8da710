# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The quantization schemes that the quality benchmark compares, each from the same float network.

Names and what they are:

* ``stock tensor``, ``stock channel``: Brevitas's quantizers, every layer with the same bits, scales
  of least squared error, weights rounded to nearest;
* ``stock channel, W0 12``: the same with 12 bits for the first layer, as all that follow have;
* ``DHQ``: every layer but the first rotated; ``DHQ, learned rounding`` and ``stock, learned
  rounding``: the uniform schemes with the planner's rounding, to tell its share; ``DHQ after,
  learned rounding``: rotated after the activation quantizers;
* ``k-means``: weights shared, 2^W values a layer (Gordon et al., "On Quantizing Implicit Neural
  Representations", 2022, arXiv:2209.01019), activations float, no fine-tuning;
* ``torch.ao``: PyTorch's eager-mode fake quantization, weights per channel, sines per tensor;
* ``Brevitas rotation``: a Hadamard matrix before every layer from ``brevitas.graph.equalize``;
* ``plan``: our planner, float scales; ``plan, po2`` and ``plan, dyadic``: the same with scales that
  are powers of two, or have mantissas of 2 or 3 bits. Plans are kept in OUT/plans, as files that
  ``dhq quantize --plan`` takes;
* ``plan, narrowed``: the planner, within the same bits of all weights in total, and of all inputs,
  on the network with 21 of 32 neurons kept in its first hidden layer
  (:mod:`dhq_brevitas.quantization.narrowing`);
* ``float`` (bits ``W32A32``): the float network, and the better of two that were trained for as
  many steps as the others in total. Fine-tuning is also more training, and this tells how much of a
  gain that is.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import structural_similarity
from skimage.transform import resize
from torch import Tensor

from dhq_brevitas.inr.families import get_family
from dhq_brevitas.inr.layer_plan import LayerPlan, weight_bits
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.packed import pack_network
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.nn.scales import ScaleKind
from dhq_brevitas.planning.alternatives import Budget
from dhq_brevitas.planning.plan_file import plan_to_json, read_plan
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.planning.widths import candidate_widths, same_bits
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate
from dhq_brevitas.quantization.narrowing import narrowed
from dhq_brevitas.quantization.post_training import PostTrained, post_train
from dhq_brevitas.quantization.recipe import fine_tune
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import train_quantized
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.pictures import load_image
from dhq_brevitas.util.files import atomic_path, check_writable_folder, write_json
from quality import baselines

Quality = dict[str, float]


@dataclass(frozen=True)
class Data:
    """A picture: codes and coordinates [N, 2], samples [N, C], side in pixels."""

    codes: Tensor
    coordinates: Tensor
    target: Tensor
    side: int

    def quality(self, outputs: Tensor) -> Quality:
        """PSNR in dB and SSIM of outputs [N, C] on the whole picture."""
        shape = (self.side, self.side, -1)
        picture, other = (x.cpu().numpy().reshape(shape) for x in (self.target, outputs))
        ssim = structural_similarity(picture, other, channel_axis=2, data_range=2.0)
        return {"psnr": psnr(picture, other), "ssim": float(ssim)}


@dataclass(frozen=True)
class Job:
    """A float network and the picture it was fitted to."""

    network_file: Path
    picture: str
    size: int
    hidden: int
    layers: int
    steps: int
    device: str = "cpu"

    @property
    def training(self) -> TrainSpec:
        """How the float network was fitted."""
        family = get_family(InrSpec(self.hidden).family)
        return TrainSpec(self.steps, learning_rate=family.rate(self.hidden))

    def data(self) -> Data:
        """The central square of the picture, ``size`` pixels a side."""
        shape = (self.size, self.size)
        pixels = load_image(self.picture).pixels
        height, width, channels = pixels.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        if side != self.size:
            square = resize(
                square,
                shape,
                order=1,
                mode="reflect",
                anti_aliasing=side > self.size,
            )
        codes = torch.from_numpy(grid_codes(shape)).float()
        target = torch.from_numpy(square.astype(np.float32)).reshape(-1, channels)
        tensors = (x.to(self.device) for x in (codes, codes * grid_step(shape), target))
        return Data(*tensors, self.size)

    def network(self, channels: int) -> Inr:
        """The fitted float network."""
        network = Inr(InrSpec(self.hidden, self.layers, out_features=channels))
        network.load_state_dict(torch.load(self.network_file, weights_only=True))
        return network.to(self.device).eval()


@dataclass(frozen=True)
class Run:
    """What a scheme works with."""

    job: Job
    data: Data
    network: Inr
    weight_bits: int
    act_bits: int
    qat: int
    batch: int
    plan_file: Path
    packed_file: Path

    @property
    def rate(self) -> float:
        """Learning rate of every scheme's fine-tuning, as ``dhq quantize`` takes it."""
        family = get_family(self.network.spec.family)
        bits = min(self.weight_bits, 8)  # 32: the float network is trained on as with 8
        rate = family.rate(self.network.spec.hidden)
        return fine_tuning_rate(rate, QuantSpec(weight_bits=bits), self.qat)

    def build(self, spec: QuantSpec) -> QuantInr:
        step, codes = grid_step((self.data.side, self.data.side)), self.data.codes
        bits = code_bits(codes.cpu().numpy())
        return QuantInr.from_float(self.network, spec, step, bits, codes).to(codes.device)

    def post_trained(self, spec: QuantSpec, learned: bool = True) -> tuple[QuantInr, PostTrained]:
        """The network after post-training quantization, and what that returned."""
        model = self.build(spec)
        return model, post_train(model, self.data.codes, learned)

    def keep(self, model: QuantInr) -> None:
        """Writes the network that a cell ends with, from which quality_in_finn.py goes on."""
        check_writable_folder(self.packed_file.parent)
        with atomic_path(self.packed_file) as temporary:
            temporary.write_bytes(pack_network(model, {}))

    def quality(self, model: Callable[[Tensor], Tensor], inputs: Tensor) -> Quality:
        with torch.no_grad():
            return self.data.quality(model(inputs))


@dataclass(frozen=True)
class QualityScheme:
    """A way to quantize: ``run`` gives the cell's entries; ``applies`` says for which bits."""

    run: Callable[[Run], dict[str, Any]]
    applies: Callable[[str], bool] = lambda bits: bits != "W32A32"


def run_cell(job: Job, bits: str, scheme: str, qat: int) -> dict[str, Any]:
    """One cell of the table, as JSON values."""
    run = prepare(job, bits, scheme, qat)
    cell = {
        "picture": Path(job.picture).stem,
        "scheme": scheme,
        "bits": bits,
        "qat_steps": qat,
        "qat_batch": BATCH,
        "psnr_float": run.quality(run.network, run.data.coordinates)["psnr"],
    }
    return cell | SCHEMES[scheme].run(run)


def prepare(job: Job, bits: str, scheme: str, qat: int) -> Run:
    """What a scheme works with, in a process that computes the same numbers every time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weights, acts = parse_bits(bits)
    data = job.data()
    network = job.network(data.target.shape[1])
    packed = packed_file(job, bits, scheme, qat)
    plan_file = job.network_file.parents[1] / "plans" / f"{file_stem(job, bits, scheme)}.json"
    return Run(job, data, network, weights, acts, qat, BATCH, plan_file, packed)


def file_stem(job: Job, bits: str, scheme: str) -> str:
    return re.sub(r"\W+", "-", f"{job.network_file.stem} {bits} {scheme}")


def packed_file(job: Job, bits: str, scheme: str, qat: int) -> Path:
    """Where a cell leaves its quantized network."""
    name = f"{file_stem(job, bits, scheme)}-qat{qat}.dhq"
    return job.network_file.parents[1] / "networks" / name


def parse_bits(text: str) -> tuple[int, int]:
    """``W4A8`` as (4, 8)."""
    match = re.fullmatch(r"W(\d+)A(\d+)", text)
    if match is None:
        raise ValueError(f"bits={text!r} is not like W8A8")
    return int(match[1]), int(match[2])


def quantized(run: Run, spec: QuantSpec, learned: bool) -> dict[str, Any]:
    """PTQ and QAT of a QuantInr: learned rounding and freezing, or nearest and straight-through."""
    model, post = run.post_trained(spec, learned)
    codes, target = run.data.codes, run.data.target
    cell: dict[str, Any] = {
        "weight_bits": weight_bits(model.plans) / sum(plan.weights for plan in model.plans),
        "layers": [
            [str(p.rotation), p.order, p.weight_bits, p.act_bits, p.sine_bits] for p in model.plans
        ],
        "ptq": run.quality(model.eval(), codes),
    }
    if run.qat:
        if learned:
            fine_tuned(run, model, post)
        else:
            training = TrainSpec(run.qat, run.batch, run.rate, evaluate_every=100)
            train_quantized(model, codes, target, training, progress=False)
        cell["qat"] = run.quality(model.eval(), codes)
    settle(model, codes)
    run.keep(model.eval().cpu())
    return cell


def fine_tuned(run: Run, model: QuantInr, post: PostTrained) -> None:
    """Our fine-tuning, of a network whose rounding was learned."""
    training = TrainSpec(run.qat, run.batch, run.rate)
    fine_tune(model, run.data.codes, run.data.target, training, post, progress=False)


def uniform(run: Run, learned: bool = False, first: int | None = 12, **options: Any) -> Any:
    """The same bits everywhere, but for the first layer's ``first`` (None: these, too)."""
    spec = QuantSpec(
        weight_bits=run.weight_bits,
        act_bits=run.act_bits,
        first_weight_bits=first or run.weight_bits,
        **options,
    )
    return quantized(run, spec, learned)


def planned(run: Run, narrow: bool = False, **options: Any) -> Any:
    """Our planner, with the bits of the uniform scheme whose first layer has 12."""
    base = QuantSpec(weight_bits=run.weight_bits, act_bits=run.act_bits, **options)
    budget = None
    if narrow:
        whole, width = run.build(base).plans, min(candidate_widths(run.job.hidden))
        run = replace(run, network=narrowed(run.network, run.data.coordinates, width))
        budget = Budget(weight_bits(whole), run.act_bits)
        budget = same_bits(budget, whole, run.build(base).plans)
    if not run.plan_file.exists():
        model = run.build(QuantSpec(scheme=Scheme.STOCK))
        plan = make_plan(model, run.data.codes, base, budget, progress=False)
        check_writable_folder(run.plan_file.parent)
        write_json(run.plan_file, plan_to_json(plan))
    layers = read_plan(run.plan_file)
    cell = quantized(run, QuantSpec(layers=layers), True)
    if options["scale"] == "po2":
        cell["ptq_float_scales"] = {
            layer.name: float_scales_in(run, layers, layer.name) for layer in layers
        }
    return cell


def float_scales_in(run: Run, layers: tuple[LayerPlan, ...], name: str) -> float:
    """PSNR of a plan after post-training quantization with float scales in one layer."""
    changed = [replace(x, scale=ScaleKind.FLOAT) if x.name == name else x for x in layers]
    model, _ = run.post_trained(QuantSpec(layers=tuple(changed)))
    return run.quality(model.eval(), run.data.codes)["psnr"]


def floating(run: Run) -> dict[str, Any]:
    """The float network as it is, and the better of two with as many steps as others in total.

    One was trained on at the rate of fine-tuning, the other anew, for all steps in one go.
    """
    cell: dict[str, Any] = {
        "weight_bits": 32.0,
        "ptq": run.quality(run.network, run.data.coordinates),
    }
    if run.qat:
        fitted = run.job.training
        anew = Inr(run.network.spec).to(run.data.codes.device)
        trained = {
            "continued": (copy.deepcopy(run.network), TrainSpec(run.qat, run.batch, run.rate)),
            "anew": (anew, replace(fitted, steps=fitted.steps + run.qat)),
        }
        for name, (network, training) in trained.items():
            fit_float(network, run.data.coordinates, run.data.target, training, progress=False)
            cell[name] = run.quality(network, run.data.coordinates)
        cell["qat"] = max((cell[name] for name in trained), key=lambda found: found["psnr"])
    return cell


BATCH = 8192
STOCK: dict[str, Any] = {"scheme": Scheme.STOCK, "scale": "float"}
DHQ: dict[str, Any] = {"scheme": Scheme.DHQ, "scale": "float"}
SCHEMES: dict[str, QualityScheme] = {
    "float": QualityScheme(floating, lambda bits: bits == "W32A32"),
    "stock tensor": QualityScheme(partial(uniform, first=None, granularity="tensor", **STOCK)),
    "stock channel": QualityScheme(partial(uniform, first=None, **STOCK)),
    "stock channel, W0 12": QualityScheme(partial(uniform, **STOCK)),
    "DHQ": QualityScheme(partial(uniform, **DHQ)),
    "stock, learned rounding": QualityScheme(partial(uniform, learned=True, **STOCK)),
    "DHQ, learned rounding": QualityScheme(partial(uniform, learned=True, **DHQ)),
    "DHQ after, learned rounding": QualityScheme(
        partial(uniform, learned=True, rotation="after", **DHQ)
    ),
    "k-means": QualityScheme(baselines.k_means),
    "torch.ao": QualityScheme(baselines.torch_ao, lambda bits: max(parse_bits(bits)) <= 8),
    "Brevitas rotation": QualityScheme(baselines.brevitas_rotation),
    "plan": QualityScheme(partial(planned, scale="float")),
    "plan, narrowed": QualityScheme(partial(planned, scale="float", narrow=True)),
    "plan, po2": QualityScheme(partial(planned, scale="po2")),
    "plan, dyadic": QualityScheme(partial(planned, scale="dyadic")),
}
