# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Quantization methods of others, for the quality benchmark. They take the float SIREN as it is.

python examples/benchmarks/quality_benchmark.py --out runs/quality --schemes k-means torch.ao
"""

import copy
import warnings
from typing import Any
from unittest.mock import patch

import brevitas.nn as qnn
import torch
from brevitas.graph.equalize import LayerwiseActivationRotation
from brevitas.nn import equalized_layer
from brevitas.nn.equalized_layer import RotatedModule
from brevitas.quant.scaled_int import Int8ActPerTensorFloatMSE, Int8WeightPerChannelFloatMSE
from torch import Tensor, nn
from torch.ao.quantization import (
    FakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    QConfig,
    disable_observer,
    prepare_qat,
)

from dhq_brevitas.inr.training import TrainSpec, batch_indices, tensor_psnr
from dhq_brevitas.nn.hadamard import hadamard_transform

LLOYD_STEPS = 50


class Sine(nn.Module):
    """sin(ω x), by itself a module, so that tools which look for modules see its output."""

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega * x)


def sequence(network: Any) -> nn.Sequential:
    """The float SIREN as a plain sequence of copies of its layers."""
    layers: list[nn.Module] = []
    for linear, activation in zip(network.linears, [*network.activations, None], strict=True):
        layers.append(copy.deepcopy(linear))
        if activation is not None:
            layers.append(Sine(activation.gain))
    return nn.Sequential(*layers)


def bits_of(network: Any, bits: int) -> dict[str, Any]:
    """Every weight with ``bits``."""
    return {"weight_bits": float(bits)}


def k_means(run: Any) -> dict[str, Any]:
    """2^W shared values a layer, the rest float."""
    network = copy.deepcopy(run.network)
    with torch.no_grad():
        for linear in network.linears:
            linear.weight.copy_(clustered(linear.weight, 2**run.weight_bits))
    quality = run.quality(network, run.data.coordinates)
    return bits_of(network, run.weight_bits) | {"ptq": quality}


def clustered(weight: Tensor, clusters: int) -> Tensor:
    """Each value replaced by its cluster's mean: Lloyd's algorithm, started at the quantiles."""
    values = weight.flatten()
    if values.numel() <= clusters:
        return weight
    centers = torch.quantile(values, (torch.arange(clusters) + 0.5) / clusters)
    for _ in range(LLOYD_STEPS):
        nearest = torch.bucketize(values, (centers[1:] + centers[:-1]) / 2)
        count = torch.zeros(clusters).index_add_(0, nearest, torch.ones_like(values))
        total = torch.zeros(clusters).index_add_(0, nearest, values)
        centers = torch.where(count > 0, total / count.clamp_min(1), centers).sort().values
    nearest = torch.bucketize(values, (centers[1:] + centers[:-1]) / 2)
    return centers[nearest].reshape(weight.shape)


def torch_ao(run: Any) -> dict[str, Any]:
    """Eager-mode fake quantization: PTQ after observing all samples, QAT with Adam."""
    half, act_half = 2 ** (run.weight_bits - 1), 2 ** (run.act_bits - 1)
    weight = FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver,
        quant_min=-half,
        quant_max=half - 1,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
    )
    act = FakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver,
        quant_min=-act_half,
        quant_max=act_half - 1,
        dtype=torch.qint8,
        qscheme=torch.per_tensor_affine,
    )
    model = sequence(run.network).train()
    for module in model:
        # A linear layer's output enters a sine, for which 8 bits of radians would be too few.
        outputs = nn.Identity if isinstance(module, nn.Linear) else act
        module.qconfig = QConfig(activation=outputs, weight=weight)  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepare_qat(model, inplace=True)
    for index, module in enumerate(model):
        if isinstance(module, Sine):
            model[index] = nn.Sequential(module, act())
    with torch.no_grad():
        model(run.data.coordinates)
    cell = {"ptq": run.quality(model.eval().apply(disable_observer), run.data.coordinates)}
    if run.qat:
        fine_tune(run, model)
        cell["qat"] = run.quality(model.eval(), run.data.coordinates)
    return bits_of(run.network, run.weight_bits) | cell


def brevitas_rotation(run: Any) -> dict[str, Any]:
    """Brevitas's activation rotation before each layer but the first, then its quantizers.

    Its transform is replaced by ours, with the same values but for rounding, or fine-tuning would
    take twice as long.
    """
    with patch.object(equalized_layer, "matmul_hadU", hadamard_transform):
        return _brevitas_rotation(run)


def _brevitas_rotation(run: Any) -> dict[str, Any]:
    model = sequence(run.network)
    model = LayerwiseActivationRotation(blacklist_layer=["0"]).apply(model)
    for index, module in enumerate(model):
        if isinstance(module, RotatedModule):
            module.layer = _quant_linear(module.layer, run, quantize_input=True)
        elif isinstance(module, nn.Linear):
            model[index] = _quant_linear(module, run, quantize_input=False)
    with torch.no_grad():
        model.train()(run.data.coordinates)  # sets the scales
    cell = {"ptq": run.quality(model.eval(), run.data.coordinates)}
    if run.qat:
        fine_tune(run, model)
        cell["qat"] = run.quality(model.eval(), run.data.coordinates)
    return bits_of(run.network, run.weight_bits) | cell


def _quant_linear(linear: nn.Linear, run: Any, quantize_input: bool) -> qnn.QuantLinear:
    options: dict[str, Any] = {}
    if quantize_input:
        options = {
            "input_quant": Int8ActPerTensorFloatMSE,
            "input_bit_width": run.act_bits,
            "input_collect_stats_steps": 1,  # on all samples, then learned
        }
    quantized = qnn.QuantLinear(
        linear.in_features,
        linear.out_features,
        bias=True,
        weight_quant=Int8WeightPerChannelFloatMSE,
        weight_bit_width=run.weight_bits,
        **options,
    )
    quantized.load_state_dict(linear.state_dict(), strict=False)
    return quantized


def fine_tune(run: Any, model: nn.Module) -> None:
    """Adam with a cosine schedule on the minibatches all schemes see; the best state stays."""
    spec = TrainSpec(run.qat, run.batch, run.rate)
    optimizer = torch.optim.Adam(model.parameters(), lr=spec.learning_rate)
    inputs, target = run.data.coordinates, run.data.target
    best, best_state = -1.0, copy.deepcopy(model.state_dict())
    for step in range(spec.steps + 1):
        if step % 100 == 0 or step == spec.steps:
            model.eval()
            with torch.no_grad():
                quality = tensor_psnr(model(inputs), target)
            if quality > best:
                best, best_state = quality, copy.deepcopy(model.state_dict())
            model.train()
        if step == spec.steps:
            break
        chosen = batch_indices(len(inputs), spec, step)
        x, y = (inputs, target) if chosen is None else (inputs[chosen], target[chosen])
        optimizer.param_groups[0]["lr"] = spec.learning_rate * spec.rate_fraction(step)
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.load_state_dict(best_state)
