# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How the weights and activations of a network are distributed, and what a rotation makes of them.

Works on any module made of ``nn.Linear`` layers, Brevitas's QuantLinear among them, given samples
of its input. For every layer the weight and what it is multiplied with are described by histogram,
kurtosis and class, and quantized in several ways; the SQNR says what each way keeps.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.analysis.layer_table import kurtosis
from dhq_brevitas.inr.layer_plan import MAX_BITS, MIN_BITS, check_bits
from dhq_brevitas.nn.hadamard import largest_order
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import ScaleKind
from dhq_brevitas.planning.sensitivity import Probe, act_step, weight_step
from dhq_brevitas.quantization.calibration import sqnr
from dhq_brevitas.util import figures
from dhq_brevitas.util.tables import text_table

__all__ = ["LayerAnalysis", "TensorAnalysis", "analysis_text", "analyze_layers", "classify"]

BINS = 64
BLOCK = 16
SIGNS_SEED = 1


@dataclass(frozen=True)
class TensorAnalysis:
    """One tensor as it is, or rotated.

    Attributes:
        kurtosis: normal 3, uniform 1.8; None for a constant.
        kind: see :func:`classify`.
        histogram: share of the values in each of BINS bins over [-peak, peak].
        peak: largest magnitude.
    """

    kurtosis: float | None
    kind: str
    histogram: list[float]
    peak: float


@dataclass(frozen=True)
class LayerAnalysis:
    """One linear layer.

    Attributes:
        weight, act: the tensors by rotation ("none", "input 256", …); ``act`` is what the layer is
            fed with.
        weight_sqnr: dB by rotation, then "tensor" or "channel" for the number of scales.
        act_sqnr: dB by rotation, one scale.
    """

    name: str
    in_features: int
    out_features: int
    weight_bits: int
    act_bits: int
    weight: dict[str, TensorAnalysis]
    act: dict[str, TensorAnalysis]
    weight_sqnr: dict[str, dict[str, float]]
    act_sqnr: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As JSON values; an infinite SQNR (nothing was lost) is left out."""
        values = asdict(self)
        values["weight_sqnr"] = {
            turn: {k: x for k, x in entry.items() if math.isfinite(x)}
            for turn, entry in self.weight_sqnr.items()
        }
        values["act_sqnr"] = {k: x for k, x in self.act_sqnr.items() if math.isfinite(x)}
        return values


def classify(x: Tensor) -> str:
    """The shape of a distribution in a word.

    "constant"; "one-sided" (all values on one side of zero); by kurtosis then "heavy-tailed" (above
    4.5), "bell" (2.1 to 4.5), and below that "U-shaped" where the outermost tenths of the range are
    the fullest, "bimodal" where its middle third holds less than two thirds of its due, else
    "uniform". (Kurtosis: arcsine 1.5, uniform 1.8, triangle 2.4, normal 3, Laplace 6.)
    """
    value = kurtosis(x)
    if value is None:
        return "constant"
    flat = x.flatten()
    if bool((flat >= 0).all()) or bool((flat <= 0).all()):
        return "one-sided"
    if value > 4.5:
        return "heavy-tailed"
    if value > 2.1:
        return "bell"
    place = (flat - flat.min()) / (flat.max() - flat.min())
    tenths = torch.histc(place, bins=10, min=0, max=1)
    middle = float(((place > 1 / 3) & (place < 2 / 3)).float().mean())
    if middle < 2 / 9:
        return "U-shaped" if min(tenths[0], tenths[-1]) >= tenths[1:-1].max() else "bimodal"
    return "uniform" if value > 1.65 else "U-shaped"


def analyze_layers(
    model: nn.Module,
    inputs: Tensor,
    weight_bits: int = 8,
    act_bits: int = 8,
    names: Sequence[str] | None = None,
) -> list[LayerAnalysis]:
    """Analyzes every linear layer of ``model`` on ``inputs``, float32 [N, …].

    ``names`` are for the layers in their order, by default those of the modules. Rotations: none,
    input side (plain, with random signs, in blocks of 16), output side; a weight with one scale or
    one a channel, but one only when its outputs are rotated. Each scale is that of least squared
    error. Raises ValueError for inputs that hold NaN or do not fit the model, for bits out of
    range, and for a model without linear layers or with layers that cannot be rotated.
    """
    for argument, bits in (("weight_bits", weight_bits), ("act_bits", act_bits)):
        check_bits(argument, bits, MIN_BITS, MAX_BITS)
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("inputs: the calibration data hold NaN or infinity")
    _check_layers(model)
    try:
        probe = Probe(model, inputs)
    except RuntimeError as error:
        raise ValueError(
            f"inputs: calibration data of shape {tuple(inputs.shape)} do not fit the model: {error}"
        ) from error
    titles = [name or "model" for name in probe.names] if names is None else list(names)
    return [
        _analyze(probe, index, name, weight_bits, act_bits) for index, name in enumerate(titles)
    ]


def _check_layers(model: nn.Module) -> None:
    """ValueError unless all that has a weight is a linear layer, and there is one."""
    linear = False
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            linear = True
        elif isinstance(getattr(module, "weight", None), nn.Parameter):
            raise ValueError(
                f"{name or 'model'}: a {type(module).__name__} cannot be analyzed, only linear "
                "layers can; analyze the part of the model that is made of those"
            )
    if not linear:
        raise ValueError(f"{type(model).__name__} has no linear layer to analyze")


def _analyze(probe: Probe, index: int, name: str, weight_bits: int, act_bits: int) -> LayerAnalysis:
    linear = probe.linears[index]
    n_in, n_out = linear.in_features, linear.out_features
    weights: dict[str, TensorAnalysis] = {}
    acts: dict[str, TensorAnalysis] = {}
    weight_sqnr: dict[str, dict[str, float]] = {}
    act_sqnr: dict[str, float] = {}
    high, half = 2 ** (weight_bits - 1) - 1, 2 ** (act_bits - 1)
    for turn in _turns(probe, index):
        weight = probe.weight(index, turn)
        weights[str(turn)] = _describe(weight)
        kept = {}
        for scales, rows in (("tensor", weight.reshape(1, -1)), ("channel", weight)):
            if scales == "channel" and turn.side == Side.OUTPUT:
                continue
            kept[scales] = sqnr(rows, weight_step(rows, weight_bits, ScaleKind.FLOAT), -high, high)
        weight_sqnr[str(turn)] = kept
        if turn.side == Side.OUTPUT:
            continue
        x = probe.layer_input(index, turn).reshape(1, -1)
        acts[str(turn)] = _describe(x)
        low, top = (0, 2 * half - 1) if bool((x >= 0).all()) else (-half, half - 1)
        act_sqnr[str(turn)] = sqnr(x, act_step(x, low, top, ScaleKind.FLOAT), low, top)
    return LayerAnalysis(
        name, n_in, n_out, weight_bits, act_bits, weights, acts, weight_sqnr, act_sqnr
    )


def _turns(probe: Probe, index: int) -> list[Rotation]:
    turns = [Rotation()]
    order = largest_order(probe.linears[index].in_features)
    if order > 1:
        turns.append(probe.rotation(index, Side.INPUT, order))
        turns.append(probe.rotation(index, Side.INPUT, order, SIGNS_SEED))
    if order > BLOCK:
        turns.append(probe.rotation(index, Side.INPUT, BLOCK))
    order = largest_order(probe.linears[index].out_features)
    return turns if order == 1 else [*turns, probe.rotation(index, Side.OUTPUT, order)]


def _describe(x: Tensor) -> TensorAnalysis:
    peak = float(x.abs().max())
    counts, _ = np.histogram(x.cpu().numpy(), bins=BINS, range=(-peak, peak) if peak else (-1, 1))
    shares = (counts / counts.sum()).round(6).tolist()
    return TensorAnalysis(kurtosis(x), classify(x), shares, peak)


def analysis_text(layers: Sequence[LayerAnalysis]) -> str:
    """The distributions before and after rotation, and the SQNR of every alternative, as tables."""
    rows = [["tensor", "class", "kurtosis", "rotated", "kurtosis"]]
    for layer in layers:
        for kind, tensors in (("weight", layer.weight), ("input", layer.act)):
            before = tensors["none"]
            turned = [key for key in tensors if key != "none"]
            after = tensors[turned[0]] if turned else None
            rows.append(
                [
                    f"{layer.name} {kind}",
                    before.kind,
                    _number(before.kurtosis),
                    f"{after.kind}, {turned[0]}" if after else "",
                    _number(after.kurtosis) if after else "",
                ]
            )
    parts = [text_table(rows)]
    for layer in layers:
        table = [[layer.name, "weight, one scale", "one a channel", "input"]]
        for turn, kept in layer.weight_sqnr.items():
            cells = [kept.get("tensor"), kept.get("channel"), layer.act_sqnr.get(turn)]
            table.append([turn, *(_number(cell) for cell in cells)])
        title = f"SQNR in dB, weights {layer.weight_bits} bits, inputs {layer.act_bits} bits"
        parts.append(f"{title}\n{text_table(table)}")
    return "\n\n".join(parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def save_pictures(layers: Sequence[LayerAnalysis], folder: Path) -> list[str]:
    """Writes analysis_<layer>.png, histograms before and after rotation; returns the names."""
    names = []
    for layer in layers:
        figure = figures.new_figure((8, 5))
        for row, (kind, tensors) in zip(
            figure.subplots(2, 2), (("weight", layer.weight), ("input", layer.act)), strict=True
        ):
            shown = ["none", *[key for key in tensors if key != "none"][:1]]
            for axes, key in zip(row, [*shown, None][:2], strict=True):
                if key is None:
                    axes.set_axis_off()
                    continue
                tensor = tensors[key]
                edges = np.linspace(-tensor.peak, tensor.peak, BINS + 1)
                axes.stairs(tensor.histogram, edges, fill=True)
                title = "before" if key == "none" else key
                axes.set_title(f"{kind}, {title}: {tensor.kind}, {_number(tensor.kurtosis)}")
        figure.suptitle(f"{layer.name}: distributions and their kurtosis")
        name = f"analysis_{layer.name.replace('/', '_')}.png"
        figures.save(figure, folder / name, dpi=100)
        names.append(name)
    return names
