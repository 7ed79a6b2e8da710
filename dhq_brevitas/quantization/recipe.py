# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The one way in which every network is quantized: calibrate, round, fine-tune, settle.

Fine-tuning freezes weights little by little, or trains straight through the rounding where they
have few bits: at most STRAIGHT_THROUGH_BITS on average.
"""

import os
from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
from torch import Tensor, nn

from dhq_brevitas.inr.training import Projection, TrainResult, TrainSpec
from dhq_brevitas.quantization.fine_tuning import freeze_quantized
from dhq_brevitas.quantization.post_training import PostTrained, post_train
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import straight_through
from dhq_brevitas.quantization.supported import warn_of_lost_inputs

__all__ = [
    "FINE_TUNING_BATCH",
    "FINE_TUNING_STEPS",
    "fine_tune",
    "quantize_in_place",
]

FINE_TUNING_STEPS = 500
FINE_TUNING_BATCH = 8192
STRAIGHT_THROUGH_BITS = 2.5


def quantize_in_place(
    model: nn.Module,
    inputs: Tensor,
    target: Tensor | None = None,
    training: TrainSpec | None = None,
    *,
    fit_inputs: Tensor | None = None,
    project: Projection | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    key: str = "",
    progress: bool = True,
    after_rounding: Callable[[PostTrained], None] = lambda post: None,
    allowed: Callable[[], bool] = lambda: True,
) -> TrainResult | None:
    """Quantizes ``model``, a network of Brevitas layers with unrounded weights, in place.

    Args:
        inputs: calibration samples, float32 [N, …].
        target: what the outputs shall be, float32 [N, m]; None: no fine-tuning.
        training: how to fine-tune; None: not at all.
        fit_inputs: the inputs that ``target`` belongs to; None: ``inputs``.
        after_rounding: called between rounding and fine-tuning.

    The others are those of :func:`dhq_brevitas.quantization.fine_tuning.freeze_quantized`, whose
    result is returned; None without fine-tuning.
    """
    warn_of_lost_inputs(model, inputs)
    post = post_train(model, inputs)
    after_rounding(post)
    trained = None
    if target is not None and training is not None:
        data = inputs if fit_inputs is None else fit_inputs, target
        trained = fine_tune(
            model, *data, training, post, checkpoint, key, progress, project, allowed
        )
    settle(model, inputs)
    model.eval()
    return trained


def fine_tune(model: nn.Module, *arguments: Any, **options: Any) -> TrainResult:
    """Fine-tunes a rounded network in the way that suits its bits.

    Arguments as for :func:`dhq_brevitas.quantization.fine_tuning.freeze_quantized`, but ``bounds``.
    """
    few_bits = _average_weight_bits(model) <= STRAIGHT_THROUGH_BITS
    return (straight_through if few_bits else freeze_quantized)(model, *arguments, **options)


def _average_weight_bits(model: nn.Module) -> float:
    """Bits of a weight, on average over those that are quantized; 32 where none is."""
    layers = [
        module
        for module in model.modules()
        if isinstance(module, qnn.QuantLinear) and module.weight_quant.is_quant_enabled
    ]
    sizes = [layer.weight.numel() for layer in layers]
    bits = [float(layer.weight_quant.bit_width()) for layer in layers]
    return sum(b * n for b, n in zip(bits, sizes, strict=True)) / sum(sizes) if sizes else 32.0
