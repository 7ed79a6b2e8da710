# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The float network of any family, built from an :class:`~dhq_brevitas.inr.spec.InrSpec`.

It maps coordinates x to samples:

    z_0 = x,  z_{i+1} = f_i(g_i (W_i z_i + b_i)),  y = W_L z_L + b_L.
"""

import torch
from torch import Tensor, nn

from dhq_brevitas.inr.families import get_family
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.util.hooks import CHUNK

__all__ = ["Inr"]


class Inr(nn.Module):
    """Float network: coordinates float32 [N, in_features] in [-1, 1] to [N, out_features].

    Initialized as its family says; ``seed`` makes it reproducible. An encoding is a first linear
    layer without gradients.
    """

    def __init__(self, spec: InrSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.activations = spec.activations
        family, encoding = get_family(spec.family), spec.encoding
        generator = torch.Generator().manual_seed(seed)
        # Without PyTorch's own initialization, which would draw from the global generator.
        linears = [nn.utils.skip_init(nn.Linear, n_in, n_out) for n_in, n_out in spec.sizes]
        trained = linears
        if encoding is not None:
            with torch.no_grad():
                linears[0].weight.copy_(encoding[0])
                linears[0].bias.copy_(encoding[1])
            linears[0].requires_grad_(False)
            trained = linears[1:]
        for index, linear in enumerate(trained):
            family.initialize(linear, index, len(trained) - 1, spec.parameters, generator)
        self.layers = nn.ModuleList(linears)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, coordinates: Tensor) -> Tensor:
        x = coordinates
        *hidden, last = self.layers
        for linear, activation in zip(hidden, self.activations, strict=True):
            x = activation(linear(x))
        return last(x)

    def measured_limits(self, coordinates: Tensor) -> list[float | None]:
        """For each activation the largest |gain · z| on ``coordinates`` [N, in_features].

        None where the activation has a period or a limit of its own.
        """
        owned = [a.period is not None or a.limit is not None for a in self.activations]
        if all(owned):
            return [None] * len(owned)
        parts = [self._largest(part) for part in coordinates.split(CHUNK)]
        largest = [max(of_layer) for of_layer in zip(*parts, strict=True)]
        return [None if own else x for own, x in zip(owned, largest, strict=True)]

    @torch.no_grad()
    def _largest(self, x: Tensor) -> list[float]:
        largest = []
        for linear, activation in zip(self.layers, self.activations, strict=False):
            z = linear(x)
            largest.append(float((activation.gain * z).abs().max()))
            x = activation(z)
        return largest
