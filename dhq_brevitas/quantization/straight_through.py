# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Straight-through training of a whole quantized network, its scales learned with the weights.

Everything is quantized in every step, and gradients pass straight through the rounding. At a fifth
of the float network's rate the network first becomes worse than the rounded one; the fall of the
rate along a cosine then brings it far above, the further the more steps there are. Fine-tuning does
not use it: gradual freezing (:mod:`dhq_brevitas.quantization.fine_tuning`) was 0.6 dB better at 4
bits in the one comparison made (docs/results/long_training.md).

Scales count: with scales that stay, 4 bit weights end 2 to 4 dB lower. The threshold of a weight,
which is the largest value that its scale can hold, has the weights' own rate, as it is one of them;
that of an input changes as fast as its layer's, relatively. In the last steps the scales are
settled and stay, so that the weights are trained with the scales that are exported.

What is done at a step follows from the step, so training resumes exactly.
"""

import math
import os
from collections.abc import Callable, Sequence
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
)
from dhq_brevitas.nn.scales import learned_scales, scale_of
from dhq_brevitas.quantization.fine_tuning import Rounded, keep_better
from dhq_brevitas.quantization.post_training import PostTrained
from dhq_brevitas.quantization.settle import settle_scales

__all__ = ["straight_through_groups", "train_straight_through"]

SETTLED = 0.9  # share of the steps after which scales stay


def train_straight_through(
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
    """Trains a network after post-training quantization, in place; see the module docstring.

    Arguments, result and errors as for
    :func:`dhq_brevitas.quantization.fine_tuning.freeze_quantized`.
    """
    check_data(inputs, target, project)
    before = Rounded.of(model, inputs, target, project)
    if spec.steps == 0:
        return TrainResult(before.psnr, 0, 0.0)
    model.load_state_dict(post.unrounded)
    linears = [layer.linear for layer in layers_of(model, inputs[:1])]
    run = TrainingRun(
        model, lambda: straight_through_groups(linears), spec, checkpoint, key, project
    )
    settled_at = math.ceil(SETTLED * spec.steps)

    def before_step(step: int) -> None:
        if step == settled_at:
            settle_scales(model)
        if step >= settled_at:
            for group in run.optimizer.param_groups:
                group["factor"] *= not group["of_scales"]

    run.train(inputs, target, "fine-tune", progress, before_step=before_step)
    return keep_better(run, evaluated_psnr(model, inputs, target, project), before, allowed)


def straight_through_groups(linears: Sequence[Any]) -> list[dict[str, Any]]:
    """Adam's parameter groups: weights, biases and scales, with their rates' factors."""
    groups: list[dict[str, Any]] = []
    for linear in linears:
        if not linear.weight.requires_grad:  # an encoding
            continue
        fold = fold_of(linear)
        groups.append({"params": [linear.weight], "factor": fold.weight})
        if linear.bias is not None:
            groups.append({"params": [linear.bias], "factor": fold.bias})
        relative = fold.weight / _threshold(linear.weight_quant, linear.weight)
        for proxy in (linear.weight_quant, linear.input_quant):
            for quantizer in learned_scales(proxy):
                rate = scale_of(quantizer).rate(quantizer.scaling_impl.value.detach())
                groups.append(
                    {
                        "params": [quantizer.scaling_impl.value],
                        "factor": relative * rate,
                        "of_scales": True,
                    }
                )
    return [{"of_scales": False, **group} for group in groups]


def _threshold(proxy: Any, weight: Tensor) -> float:
    """The largest value that a weight's scale can hold, its mean over channels."""
    if not proxy.is_quant_enabled:
        return 1.0
    quantizer = proxy.tensor_quant
    with torch.no_grad():
        step = quantizer(weight)[1]
        largest = quantizer.int_quant.max_int(quantizer.msb_clamp_bit_width_impl())
    return float(step.mean() * largest)
