# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Fine-tuning that rounds the weights little by little, while those not yet rounded make up for it.

Straight-through training moves weights to where their unrounded values are best and rounds each to
its nearest code, which throws away what rounding with a view to the inputs gains
(:mod:`dhq_brevitas.quantization.post_training`): on INRs it ends below the post-training result.
Here a weight is either frozen at its code or not quantized at all, activations are quantized
throughout, and Adam trains the free weights and the biases on the signal:

* first with no weight frozen, which gets back what quantizing the activations cost and, where the
  float network was not trained to its end, more;
* then layer by layer, from the first to the last, more and more input columns are frozen; a
  column's rounding error is passed on to the layer's free columns through their correlations
  (:func:`dhq_brevitas.quantization.post_training.freeze_columns`), so that the pre-activations
  hardly move;
* in the last steps all weights are frozen, and the biases alone are trained.

Freezing shares of the weights in turn is Zhou et al., "Incremental network quantization", 2017,
arXiv:1702.03044; passing on the errors is that of GPTQ.

Scales stay as calibrated: choosing them anew ahead of a layer's freezing, by the cost that the
rounding has, was worth 0.00 to 0.13 dB. The target is the signal rather than the float network's
output (distillation), which at 4 bits came to the same and at 8 gave up the 2 dB that a float
network not trained to its end still has to gain. (All of SIREN, 256 wide, single pictures.)

What is frozen at step s follows from s, so training resumes exactly, as in
:mod:`dhq_brevitas.inr.training`.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dhq_brevitas.inr.layer_plan import weight_bits
from dhq_brevitas.inr.layers import fold_of, layers_of
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.train_step import captured
from dhq_brevitas.inr.training import (
    Projection,
    TrainingRun,
    TrainResult,
    TrainSpec,
    check_data,
    evaluated_psnr,
)
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.quantization.post_training import (
    PostTrained,
    code_grid,
    damped_hessian,
    freeze_columns,
)
from dhq_brevitas.util.hooks import evaluating, hooked, pre_hooked
from dhq_brevitas.util.states import restore

__all__ = ["fine_tuning_rate", "freeze_quantized", "windows"]

CodeBounds = tuple[Tensor, Tensor]

EVENTS = 16  # freezings a layer
FREE, HIDDEN_FROZEN, LAST_FROZEN = 0.4, 0.85, 0.97  # shares of the training
CALIBRATION_SAMPLES = 4096
# Of the float network's learning rate, for 500 steps with weights of 8 bits; and at most
# (docs/results/quality.md).
LEAST_SHARE, LARGEST_SHARE = 0.05, 0.4
SHARE_STEPS = 500


def fine_tuning_rate(learning_rate: float, quant: QuantSpec, steps: int = SHARE_STEPS) -> float:
    """The learning rate of fine-tuning a network that was fitted with ``learning_rate``.

    A twentieth of it for weights of 8 bits and at most 500 steps, twice as much for every two bits
    less, since what coarser rounding changes takes larger steps to make up for; with the square
    root of the number of steps beyond 500; two fifths at most.
    """
    bits = float(quant.weight_bits)
    if quant.layers is not None:
        bits = weight_bits(quant.layers) / sum(plan.weights for plan in quant.layers)
    share = LEAST_SHARE * 2 ** ((8 - bits) / 2) * max(steps / SHARE_STEPS, 1.0) ** 0.5
    return min(max(share, LEAST_SHARE), LARGEST_SHARE) * learning_rate


def windows(layers: int) -> list[tuple[float, float]]:
    """For each layer the shares of the training between which it is frozen.

    The first layer, whose few weights are finely quantized, is frozen at once, and the layers after
    it one after the other: whatever a rounded layer loses, the layers behind it, not yet rounded,
    can make up for. (Overlapping shares were 1 dB worse at 4 bits, all layers together 5 dB.)
    """
    if layers <= 2:
        return [(FREE, FREE), (FREE, LAST_FROZEN)][:layers]
    share = (HIDDEN_FROZEN - FREE) / (layers - 2)
    starts = [FREE + index * share for index in range(layers - 1)]
    return [(FREE, FREE), *pairwise(starts), (HIDDEN_FROZEN, LAST_FROZEN)]


def freeze_quantized(
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
    bounds: Sequence[CodeBounds] | None = None,
) -> TrainResult:
    """Fine-tunes a network after post-training quantization, in place, by gradual freezing.

    Args:
        model: the network with rounded weights; they are what remains if training finds no better.
        post: what :func:`dhq_brevitas.quantization.post_training.post_train` returned; training
            starts from the unrounded weights in it.
        spec: ``learning_rate`` is that of the float network, times the factor folded into each
            weight; ``evaluate_every`` is not used, since only the end is a quantized network.
        allowed: whether ``model`` may be as it is after training; else the rounded weights remain.
        bounds: for each quantized layer, first to last, the lowest and highest code that each
            weight may take, [m, n] each, where a layer's quantizer alone does not say.

    Other arguments and errors as for :func:`dhq_brevitas.inr.training.fit_float`. Returns the PSNR
    of what was kept and its step, 0 for the rounded network.
    """
    check_data(inputs, target, project)
    linears = [
        layer.linear
        for layer in layers_of(model, inputs[:1])
        if layer.linear.weight_quant.is_quant_enabled
    ]
    start_quality = evaluated_psnr(model, inputs, target, project)
    if spec.steps == 0:
        return TrainResult(start_quality, 0, 0.0)
    rounded = {name: value.clone() for name, value in model.state_dict().items()}
    restore(model, post.unrounded)
    with _marked(linears):
        # A checkpoint that is read replaces the quantizers, so they are changed after that.
        run = TrainingRun(model, lambda: freezing_groups(linears), spec, checkpoint, key, project)
        with _partly_quantized(linears), _learning(model, freezing_groups(linears)):
            freezer = _Freezer(model, linears, post.inputs[:CALIBRATION_SAMPLES], bounds)
            run.train(
                inputs,
                target,
                "fine-tune",
                progress,
                before_step=lambda step: freezer.advance(step / spec.steps),
                after_step=freezer.restore,
            )
            freezer.advance(1.0)
    end_quality = evaluated_psnr(model, inputs, target, project)
    if end_quality >= start_quality and allowed():
        return run.finish(end_quality, spec.steps)
    restore(model, rounded)
    return run.finish(start_quality, 0)


def freezing_groups(linears: Sequence[Any]) -> list[dict[str, Any]]:
    """Adam's parameter groups: weights and biases, each at the float network's rate."""
    groups: list[dict[str, Any]] = []
    for linear in linears:
        fold = fold_of(linear)
        groups.append({"params": [linear.weight], "factor": fold.weight})
        if linear.bias is not None:
            groups.append({"params": [linear.bias], "factor": fold.bias})
    return [group for group in groups if group["params"][0].requires_grad]


@contextmanager
def _marked(linears: Sequence[Any]) -> Iterator[None]:
    """Gives each layer buffers, part of checkpoints: ``frozen`` [n] and the values ``held`` there.

    Both are of the tensor that is quantized, rotated where the layer rotates it.
    """
    for layer in linears:
        device = layer.weight.device
        layer.register_buffer(
            "frozen", torch.zeros(layer.in_features, dtype=torch.bool, device=device)
        )
        layer.register_buffer("held", torch.zeros_like(layer.weight))
    try:
        yield
    finally:
        for layer in linears:
            del layer.frozen, layer.held


@contextmanager
def _partly_quantized(linears: Sequence[Any]) -> Iterator[None]:
    """Lets every layer quantize only its frozen columns."""

    def hook(layer: Any, quantizer: Any, args: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> Any:
        value, *rest = out
        return torch.where(layer.frozen, value, args[0]), *rest

    with hooked([(layer.weight_quant.tensor_quant, partial(hook, layer)) for layer in linears]):
        yield


@contextmanager
def _learning(model: nn.Module, groups: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Lets nothing but these groups have gradients: those of scales take a part of each step."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    learned = {parameter for group in groups for parameter in group["params"]}
    for parameter, _ in before:
        parameter.requires_grad_(parameter in learned)
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)


class _AllFrozen(Exception):
    """Nothing is left to do in a pass through the model."""


class _Freezer:
    """Freezes the columns of a model's layers as training goes on."""

    def __init__(
        self,
        model: nn.Module,
        linears: Sequence[Any],
        samples: Tensor,
        bounds: Sequence[CodeBounds] | None,
    ) -> None:
        self.model, self.linears, self.samples = model, linears, samples
        self.windows = windows(len(linears))
        self.grids = {
            layer: _Grid.of(layer, bounds[index] if bounds else None)
            for index, layer in enumerate(linears)
        }
        # Kept here, too: to ask a GPU in every step would stall it.
        self.frozen = {layer: int(layer.frozen.sum()) for layer in linears}

    @torch.no_grad()
    def advance(self, share: float) -> None:
        """Freezes what is due after this share of the training, in one pass through the model.

        A layer is frozen just before it is called, on what the layers before it, frozen as they
        are by then, hand on. The weights of one that is frozen as a whole learn no more; where a
        step is replayed from a graph they do, and are taken back.
        """
        missing: dict[nn.Module, int] = {}
        for layer, window in zip(self.linears, self.windows, strict=True):
            size = layer.in_features
            due = size if not layer.weight.requires_grad else _due(size, window, share)
            if (count := due - self.frozen[layer]) > 0:
                missing[layer] = count
            elif self.frozen[layer] == size and self.samples.device.type != "cuda":
                layer.weight.requires_grad_(False)
        if not missing:
            return

        def freeze(layer: Any, args: tuple[Any, ...]) -> None:
            if layer in missing:  # in the first of several calls
                self._freeze(layer, layer.input_quant(args[0]), missing.pop(layer))
            if not missing:
                raise _AllFrozen

        hooks = pre_hooked([(layer, freeze) for layer in missing])
        with evaluating(self.model), hooks, suppress(_AllFrozen):
            self.model(self.samples)

    def _freeze(self, layer: Any, quantized: Any, count: int) -> None:
        x = getattr(quantized, "value", quantized).reshape(-1, layer.in_features)
        weight = weight_rotation(layer).rotate_weight(layer.weight.detach()).double()
        hessian, _ = damped_hessian(x)
        grid, free = self.grids[layer], torch.nonzero(~layer.frozen).flatten()
        changed, frozen = freeze_columns(
            hessian, weight, grid.step, grid.low, grid.high, free, count
        )
        layer.frozen[frozen] = True
        self.frozen[layer] += len(frozen)
        layer.held.copy_(changed)
        layer.weight.copy_(weight_rotation(layer).unrotate_weight(changed.float()))

    def restore(self) -> None:
        """After an optimizer step takes frozen columns back to their codes, others into range."""
        if self._graph is None:
            self._restore()
        else:
            self._graph.replay()

    @cached_property
    def _graph(self) -> torch.cuda.CUDAGraph | None:
        return captured(self._restore) if self.samples.device.type == "cuda" else None

    @torch.no_grad()
    def _restore(self) -> None:
        for layer in self.linears:
            if layer.weight.requires_grad:
                rotation, grid = weight_rotation(layer), self.grids[layer]
                free = rotation.rotate_weight(layer.weight.detach())
                free = torch.clamp(free, grid.lowest, grid.highest)
                held = torch.where(layer.frozen, layer.held, free)
                layer.weight.copy_(rotation.unrotate_weight(held))


@dataclass(frozen=True)
class _Grid:
    """What a layer's weights may become: a step, codes, and the values that round to them.

    A weight beyond them would be clipped when it is frozen, more than what is left free can make up
    for. Kept within, 4 bit networks that are not rotated end 3 dB higher after 1000 steps (SIREN,
    256 wide, one picture).
    """

    step: Tensor
    low: int | Tensor
    high: int | Tensor
    lowest: Tensor
    highest: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, layer: Any, bounds: CodeBounds | None) -> "_Grid":
        weight = weight_rotation(layer).rotate_weight(layer.weight.detach())
        step, *code_range = code_grid(layer.weight_quant.tensor_quant, weight)
        low, high = bounds or code_range
        return cls(step, low, high, ((low - 0.5) * step).float(), ((high + 0.5) * step).float())


def _due(size: int, window: tuple[float, float], share: float) -> int:
    """Columns of ``size`` that are frozen after ``share`` of the training, in EVENTS portions."""
    start, end = window
    if share >= end:
        return size
    if share <= start:
        return 0
    passed = (share - start) / (end - start)
    # A hair above, so that rounding of the shares does not put an event off.
    return size * math.floor(passed * EVENTS + 1e-9) // EVENTS
