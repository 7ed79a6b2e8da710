# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""DiscQuant: rounding by gradient steps that push each weight to one of its two nearest codes.

A weight is s (⌊w/s⌋ + x) with x in [0, 1]; y is the x of the float weight w. Steps of Adam, each
followed by a projection on [0, 1], minimize

    LOSS_WEIGHT · error / (error of y rounded)  -  Σ (2y - 1) x,

whose second part takes every x to the end that is nearest to y, unless the error stands against it.
What is at no end afterwards is rounded (Chee et al., "DiscQuant: a quantization method for neural
networks inspired by discrepancy theory", 2025, arXiv:2501.06417). As in its code the gradient of
the first part is clipped at 1; here the error is that of the signal rather than the distance to the
float network, and the first layer's weights and all biases are trained, too.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bit_switching import grid_of
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.train_step import TrainStep, adam
from dhq_brevitas.inr.training import TrainSpec, batch_indices
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.quantization.fine_tuning import freezing_groups
from dhq_brevitas.quantization.post_training import damped_hessian, freeze_columns
from dhq_brevitas.util.hooks import hooked, pre_hooked

# The best of 100, 1000 and 10000 on one picture; rates of 0.03 and 0.1 gave the same.
LOSS_WEIGHT, X_RATE = 1000.0, 0.03
AT_AN_END = 0.01


class DiscQuant:
    """The relaxed weights of a calibrated network, as the module docstring states them."""

    def __init__(self, model: QuantInr, codes: Tensor) -> None:
        self.model, self.codes, self.layers = model, codes, model.linears[1:]
        self.rotations = [weight_rotation(layer) for layer in self.layers]
        self.low, self.x, self.steps = [], [], []
        for layer, rotation in zip(self.layers, self.rotations, strict=True):
            step, low, high = (torch.as_tensor(value).detach() for value in grid_of(layer))
            layer.weight.requires_grad_(False)
            weight = rotation.rotate_weight(layer.weight).double() / step
            self.low.append(torch.clamp(torch.floor(weight), low, high - 1))
            self.x.append(torch.clamp(weight - self.low[-1], 0, 1).float().requires_grad_())
            self.steps.append(step)

    def weights(self) -> list[Tensor]:
        parts = zip(self.rotations, self.low, self.x, self.steps, strict=True)
        return [turn.unrotate_weight(((low + x) * s).float()) for turn, low, x, s in parts]

    def train(self, target: Tensor, spec: TrainSpec) -> None:
        with torch.no_grad():
            nearest = (self.model(self.codes) - target).square().mean().item()
        for x in self.x:
            x.register_hook(partial(pulled, LOSS_WEIGHT / nearest, 2 * x.detach() - 1))
        names = {module: f"{name}.weight" for name, module in self.model.named_modules()}
        names = [names[layer] for layer in self.layers]

        def predict(inputs: Tensor) -> Tensor:
            weights = dict(zip(names, self.weights(), strict=True))
            return torch.func.functional_call(self.model, weights, (inputs,))

        groups = [
            *freezing_groups(self.model.linears),
            {"params": self.x, "factor": X_RATE / spec.learning_rate},
        ]
        take = TrainStep(predict, adam(groups, spec.learning_rate), self.codes, target)
        self.model.train()
        with weights_as_they_are(self.layers):
            for step in range(spec.steps):
                chosen = batch_indices(len(self.codes), spec, step)
                take(chosen, spec.learning_rate * spec.rate_fraction(step))
                for x in self.x:
                    x.data.clamp_(0, 1)
        self.model.eval()

    @torch.no_grad()
    def unrounded(self) -> QuantInr:
        for layer, weight in zip(self.layers, self.weights(), strict=True):
            layer.weight.copy_(weight).requires_grad_(True)
        return self.model

    @torch.no_grad()
    def rounded(self, ours: bool) -> QuantInr:
        """Weights at an end stay there; the others are rounded, ``ours`` with a view to inputs."""

        def round_layer(index: int, layer: Any, args: tuple[Any, ...]) -> None:
            low, x, step = self.low[index], self.x[index], self.steps[index]
            nearest = torch.round(x)
            fixed = ((x - nearest).abs() <= AT_AN_END) | (not ours)
            bounds = [torch.where(fixed, low + nearest, low + end) for end in (0, 1)]
            hessian, _ = damped_hessian(layer.input_quant(args[0]).value)
            columns = torch.arange(len(hessian))
            weight, _ = freeze_columns(
                hessian, (low + x) * step, step, *bounds, columns, len(columns)
            )
            layer.weight.copy_(self.rotations[index].unrotate_weight(weight.float()))

        hooks = [(layer, partial(round_layer, index)) for index, layer in enumerate(self.layers)]
        with pre_hooked(hooks):
            self.model(self.codes)
        return self.model


def pulled(factor: float, linear: Tensor, gradient: Tensor) -> Tensor:
    return torch.clamp(factor * gradient, -1, 1) - linear


def weights_as_they_are(layers: list[Any]) -> AbstractContextManager[None]:
    def hook(module: Any, args: tuple[Tensor, ...], out: tuple[Tensor, ...]) -> Any:
        return args[0], *out[1:]

    return hooked([(layer.weight_quant.tensor_quant, hook) for layer in layers])
