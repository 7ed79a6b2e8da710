# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Straight-through fine-tuning: for weights of few bits, and a baseline of the benchmarks.

All weights are rounded to nearest in every step, gradients pass through the rounding, and scales
are learned. Weights of 4 bits and more are better off when they are frozen little by little
(:mod:`dhq_brevitas.quantization.fine_tuning`). With fewer codes a column's rounding error is too
large for the free columns to make up for, and freezing finds nothing better than the rounded
network it starts from (docs/results/quality.md).
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dhq_brevitas.inr.layers import fold_of, layers_of
from dhq_brevitas.inr.training import (
    Projection,
    TrainingRun,
    TrainResult,
    TrainSpec,
    check_data,
    evaluated_psnr,
    tensor_psnr,
)
from dhq_brevitas.nn.scales import learned_scales, scale_of
from dhq_brevitas.quantization.post_training import PostTrained
from dhq_brevitas.quantization.settle import write_back
from dhq_brevitas.util.states import restore

__all__ = ["quantized_groups", "straight_through", "train_quantized"]

# A scale moves all values of its tensor at once, so it learns more slowly than they do.
SCALE_RATE = 0.1


def straight_through(
    model: nn.Module,
    inputs: Tensor,
    target: Tensor,
    spec: TrainSpec,
    post: PostTrained,
    checkpoint: str | os.PathLike[str] | None = None,
    key: str = "",
    progress: bool = True,
    project: Projection | None = None,
    allowed: Callable[[], bool] = lambda: True,
) -> TrainResult:
    """Fine-tunes a network after post-training quantization, in place.

    Arguments, result and errors as for
    :func:`dhq_brevitas.quantization.fine_tuning.freeze_quantized`, but that ``evaluate_every`` of
    ``spec`` is used.
    """
    check_data(inputs, target, project)
    start_quality = evaluated_psnr(model, inputs, target, project)
    rounded = {name: value.clone() for name, value in model.state_dict().items()}
    restore(model, post.unrounded)
    result = train_quantized(model, inputs, target, spec, checkpoint, key, progress, project)
    # With settled scales, weights between two of few codes could go to the other one.
    write_back(model, inputs)
    if result.step and result.psnr >= start_quality and allowed():
        return result
    restore(model, rounded)
    return TrainResult(start_quality, 0, result.seconds, result.resumed_from)


def train_quantized(
    model: nn.Module,
    inputs: Tensor,
    target: Tensor,
    spec: TrainSpec,
    checkpoint: str | os.PathLike[str] | None = None,
    key: str = "",
    progress: bool = True,
    project: Projection | None = None,
) -> TrainResult:
    """Fine-tunes a calibrated quantized network in place (quantization-aware training).

    Arguments and errors as for :func:`dhq_brevitas.inr.training.fit_float`. The weights with the
    best PSNR in evaluation mode are kept, the calibrated ones at the start included, so training
    never makes the network worse.

    ``spec.learning_rate`` is that of the float weights: the rate of each folded weight is
    multiplied with its fold factor, because Adam's steps have the size of the rate, whatever the
    weight's.
    Float and dyadic scales are learned; power-of-two scales stay as calibrated, since a step of
    theirs is a factor of two.
    """
    check_data(inputs, target, project)
    run = TrainingRun(
        model, lambda: quantized_groups(model, inputs), spec, checkpoint, key, project
    )

    def evaluate() -> float:
        model.eval()
        with torch.no_grad():
            psnr = tensor_psnr(run.predict(inputs), target)
        model.train()
        return psnr

    run.train(inputs, target, "fine-tune", progress, evaluate)
    model.eval()
    if run.best is None:  # no steps
        return run.finish(evaluate(), 0)
    restore(model, run.best["model"])
    model.eval()
    return run.finish(run.best["psnr"], run.best["step"])


def quantized_groups(model: nn.Module, inputs: Tensor) -> list[dict[str, Any]]:
    """Adam's parameter groups; ``factor`` is the learning rate relative to the float network's."""
    groups: list[dict[str, Any]] = []
    for layer in layers_of(model, inputs[:1]):
        linear, fold = layer.linear, fold_of(layer.linear)
        if not linear.weight.requires_grad:  # an encoding
            continue
        groups.append({"params": [linear.weight], "factor": fold.weight})
        if linear.bias is not None:
            groups.append({"params": [linear.bias], "factor": fold.bias})
        weight_scales = _learned_scales(linear.weight_quant)
        groups.append({"params": weight_scales, "factor": SCALE_RATE * fold.weight})
        input_scales = _learned_scales(linear.input_quant)
        groups.append({"params": input_scales, "factor": SCALE_RATE})
    return [group for group in groups if group["params"]]


def _learned_scales(module: nn.Module) -> list[nn.Parameter]:
    return [q.scaling_impl.value for q in learned_scales(module) if scale_of(q).learned]
