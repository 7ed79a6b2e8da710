# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The one way in which every network is quantized: calibrate, round, fine-tune, settle."""

import os
from collections.abc import Callable

import brevitas.nn as qnn
from torch import Tensor, nn

from dhq_brevitas.inr.training import Projection, TrainResult, TrainSpec
from dhq_brevitas.quantization.fine_tuning import LONG_STEPS, freeze_quantized
from dhq_brevitas.quantization.post_training import PostTrained, post_train
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import train_straight_through

__all__ = ["FINE_TUNING_BATCH", "FINE_TUNING_STEPS", "quantize_in_place"]

FINE_TUNING_STEPS = 500
FINE_TUNING_BATCH = 8192
# Of the coarsest weights up to which a long training goes straight through the rounding. Finer ones
# are rounded by gradual freezing, which looks at the inputs; see docs/results/long_training.md.
COARSE_BITS = 4


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
    result is returned; None without fine-tuning. A network with weights of at most 4 bits is
    trained for 1000 steps and more by
    :func:`dhq_brevitas.quantization.straight_through.train_straight_through` instead.
    """
    post = post_train(model, inputs)
    after_rounding(post)
    trained = None
    if target is not None and training is not None:
        train = train_straight_through if _goes_straight(model, training) else freeze_quantized
        trained = train(
            model,
            inputs if fit_inputs is None else fit_inputs,
            target,
            training,
            post,
            checkpoint,
            key,
            progress,
            project,
            allowed,
        )
    settle(model, inputs)
    model.eval()
    return trained


def _goes_straight(model: nn.Module, training: TrainSpec) -> bool:
    """Whether the training goes straight through the rounding, rather than freeze gradually."""
    quantizers = [
        module.weight_quant.tensor_quant
        for module in model.modules()
        if isinstance(module, qnn.QuantLinear) and module.weight_quant.is_quant_enabled
    ]
    bits = [int(quantizer.msb_clamp_bit_width_impl()) for quantizer in quantizers]
    return training.steps >= LONG_STEPS and min(bits, default=COARSE_BITS + 1) <= COARSE_BITS
