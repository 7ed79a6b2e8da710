# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Post-training calibration: learned scales of Brevitas quantizers from torch.ao observers.

Every quantizer is observed at its own ``tensor_quant``, the module that rounds, so a DHQ quantizer
is calibrated on the rotated tensor and an activation quantizer on the output of its function. One
forward pass in evaluation mode does it: a quantizer's scale is set when its first tensor arrives
and before it is rounded, so later layers see the quantized values of earlier ones. Brevitas's own
statistics, and the number of steps they run for, play no part.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjectorBase
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import Tensor, nn
from torch.ao.quantization.observer import (
    HistogramObserver,
    MinMaxObserver,
    PerChannelMinMaxObserver,
)

from dhq_brevitas.inr.layers import called, check_network
from dhq_brevitas.nn.scales import LEARNED, scale_of, set_scale
from dhq_brevitas.util.hooks import evaluating, pre_hooked

__all__ = ["Calibration", "calibrate", "sqnr", "step_of_least_error"]

# Fractions of the observed range tried by the search. The best clip of a normal distribution is
# 1/5 of its observed maximum at 2 bits and 9/10 at 10.
CLIP_FRACTIONS = torch.linspace(0.12, 1.08, 97)
MAX_SEARCHED_VALUES = 1 << 17
SMALLEST_STEP = 2.0**-30  # Brevitas keeps scales above 1e-10


@dataclass(frozen=True)
class Calibration:
    """What :func:`calibrate` did to one quantizer.

    ``step`` is the quantizer's scale (one value, or one a channel), ``sqnr`` its
    signal-to-quantization-noise ratio in dB on the observed tensor.
    """

    name: str
    kind: str
    step: Tensor
    sqnr: float


def calibrate(model: nn.Module, inputs: Tensor, refine: bool = True) -> list[Calibration]:
    """Sets every learned scale of ``model`` from its weights and from one pass over ``inputs``.

    Weights: MinMaxObserver or PerChannelMinMaxObserver, as the scale has one value or one a
    channel; activations: HistogramObserver, whose range minimizes the squared error of its
    histogram. With ``refine`` the step of least squared error on the tensor itself is taken (see
    :func:`step_of_least_error`); power-of-two and dyadic scales only take steps they can hold.

    Scales that are constant, or computed anew from the weights at each step, are left alone. The
    model comes back in the mode it was in. Returns one record a calibrated quantizer, in the order
    of execution. Raises ValueError if a tensor holds NaN or infinity, and for inputs on which the
    model fails.

    >>> import brevitas.nn as qnn
    >>> from dhq_brevitas import Int8DHQActPerTensorFloat, Int8DHQWeightPerChannelFloatMSE
    >>> layer = qnn.QuantLinear(
    ...     16, 4, bias=True, weight_quant=Int8DHQWeightPerChannelFloatMSE,
    ...     input_quant=Int8DHQActPerTensorFloat,
    ... )
    >>> [(record.name, len(record.step)) for record in calibrate(layer, torch.randn(64, 16))]
    [('input_quant', 1), ('weight_quant', 4)]
    """
    check_network(model, inputs)
    records: list[Calibration] = []
    hooks = [
        (quantizer, partial(_calibrate_one, name, kind, refine, records))
        for name, kind, quantizer in _learned_quantizers(model)
    ]
    with evaluating(model), torch.no_grad(), pre_hooked(hooks):
        called(model, inputs)
    return records


def _learned_quantizers(model: nn.Module) -> Iterator[tuple[str, str, Any]]:
    """(name, "weight" or "act", tensor_quant) of every quantizer with a learned scale."""
    for name, module in model.named_modules():
        if isinstance(module, WeightQuantProxyFromInjectorBase):
            kind, quantizer = "weight", module.tensor_quant
        elif isinstance(module, ActQuantProxyFromInjectorBase):
            fused = module.fused_activation_quant_proxy
            kind, quantizer = "act", getattr(fused, "tensor_quant", None)
        else:
            continue
        if module.is_quant_enabled and isinstance(
            getattr(quantizer, "scaling_impl", None), LEARNED
        ):
            yield name, kind, quantizer


def _calibrate_one(
    name: str,
    kind: str,
    refine: bool,
    records: list[Calibration],
    quantizer: Any,
    args: tuple[Tensor, ...],
) -> None:
    """A forward pre-hook once the first four arguments are bound."""
    x = args[0].detach()
    # Brevitas also calls a quantizer with a scalar, to read its scale.
    if x.ndim == 0 or any(record.name == name for record in records):
        return
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name}: the tensor to calibrate on holds NaN or infinity")
    scaling = quantizer.scaling_impl
    bit_width = quantizer.msb_clamp_bit_width_impl()
    low = int(quantizer.int_quant.min_int(bit_width))
    high = int(quantizer.int_quant.max_int(bit_width))
    channels = scaling.value.numel() > 1
    step = _observed_step(x, kind, low, high, channels)
    rows = x.flatten(1) if channels else x.reshape(1, -1)
    restrict = scale_of(quantizer).held
    if refine:
        step = step_of_least_error(_sample(rows), step, low, high, restrict)
    step = restrict(step)
    set_scale(quantizer, step.reshape(scaling.value.shape))
    records.append(Calibration(name, kind, step.flatten(), sqnr(rows, step, low, high)))


def _observed_step(x: Tensor, kind: str, low: int, high: int, channels: bool) -> Tensor:
    """The observer's scale, float32 [rows]."""
    options: dict[str, Any] = {
        "dtype": torch.qint8 if high < 128 and low >= -128 else torch.qint32,
        "quant_min": low,
        "quant_max": high,
        "qscheme": torch.per_channel_symmetric if channels else torch.per_tensor_symmetric,
        "eps": SMALLEST_STEP,
    }
    if channels:
        observer: Any = PerChannelMinMaxObserver(ch_axis=0, **options)
    elif kind == "weight":
        observer = MinMaxObserver(**options)
    else:
        observer = HistogramObserver(**options)
        # It searches for 8 bits unless told otherwise.
        observer.dst_nbins = high - low + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        observer.to(x.device)(x)
        step, _ = observer.calculate_qparams()
    return step.to(torch.float32).reshape(-1).clamp_min(SMALLEST_STEP)


def _sample(rows: Tensor) -> Tensor:
    """At most MAX_SEARCHED_VALUES values, evenly spaced over the columns of [rows, n]."""
    stride = math.ceil(rows.numel() / MAX_SEARCHED_VALUES)
    return rows[:, ::stride] if rows.shape[0] == 1 else rows


def sqnr(rows: Tensor, step: Tensor, low: int, high: int) -> float:
    """10·log10(Σx² / Σ(x - Q(x))²) in dB, Q(x) = step·clip(round(x/step), low, high).

    ``rows``: float [rows, n]; ``step``: one value or one a row; rounding half to even. Infinite
    when nothing is lost.
    """
    rows, step = rows.double(), step.double().reshape(-1, 1)
    noise = (rows - torch.clamp(torch.round(rows / step), low, high) * step).square().sum().item()
    return math.inf if noise == 0 else 10 * math.log10(rows.square().sum().item() / noise)


def step_of_least_error(
    rows: Tensor,
    step: Tensor,
    low: int,
    high: int,
    restrict: Callable[[Tensor], Tensor] = lambda step: step,
) -> Tensor:
    """The step of least squared error for each row, among ``restrict(f · step)``, f in 0.12 … 1.08.

    Args:
        rows: float32 [rows, n], each row a tensor with its own step.
        step: float32 [rows], the step at which ``high`` is about the largest magnitude.
        low, high: integer range of the quantizer.
        restrict: maps a step to the nearest one that can be used.

    Returns float32 [rows]. Ties go to the larger step.
    """
    best_step = restrict(step)
    best_error = torch.full_like(step, math.inf)
    tried: set[bytes] = set()
    for fraction in CLIP_FRACTIONS.flip(0).tolist():
        candidate = restrict(step * fraction)
        key = candidate.cpu().numpy().tobytes()
        if key in tried:
            continue
        tried.add(key)
        scale = candidate.unsqueeze(1)
        quantized = torch.clamp(torch.round(rows / scale), low, high) * scale
        error = (rows - quantized).square().mean(dim=1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_step = torch.where(better, candidate, best_step)
    return best_step
