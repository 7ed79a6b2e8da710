# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What quantizing one tensor of a network costs at its output, measured one tensor at a time.

The network is any PyTorch module that computes with ``nn.Linear`` layers: one layer's weight, or
what one layer is fed with, is replaced by its quantized value, the network runs on calibration
samples, and the mean squared difference from its undisturbed output is the cost. Weights are
rounded as post-training quantization will round them (:mod:`dhq_brevitas.quantize.post_training`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.hadamard import random_signs
from dhq_brevitas.nn.proxies import Rotation, rotate, rotate_back
from dhq_brevitas.nn.scales import DyadicRestrictValue
from dhq_brevitas.quantize.calibration import SMALLEST_STEP, step_of_least_error
from dhq_brevitas.quantize.post_training import Fit, round_codes

__all__ = ["Probe", "Turn", "act_step", "quantize", "restrict_to", "weight_step"]

MAX_SEARCHED = 1 << 16


@dataclass(frozen=True)
class Turn:
    """A rotation of a layer: side, block order (1: none), and the seed of its signs or None."""

    side: Side = Side.NONE
    order: int = 1
    signs_seed: int | None = None

    def __str__(self) -> str:
        if self.side == Side.NONE:
            return "none"
        signs = "" if self.signs_seed is None else ", signs"
        return f"{self.side} {self.order}{signs}"

    def scales(self, size: int) -> tuple[float, float]:
        """Powers of two put on the weight and on the other side of the product."""
        rotation = Rotation(size, self.order, "input")
        return rotation.weight_scale, rotation.other_scale

    def signs(self, size: int) -> Tensor | None:
        """±1, float32 [size], or None."""
        return None if self.signs_seed is None else random_signs(size, self.signs_seed)


def restrict_to(scale: ScaleKind) -> Callable[[Tensor], Tensor]:
    """The map of any positive step to one that quantizers of this kind of scale can hold."""
    if scale == ScaleKind.PO2:
        return lambda step: torch.exp2(torch.ceil(torch.log2(step)))
    if scale == ScaleKind.DYADIC:
        return DyadicRestrictValue().forward
    return lambda step: step


def weight_step(rows: Tensor, bits: int, scale: ScaleKind) -> Tensor:
    """Step of least squared error of narrow ``bits``-bit codes for each row of [rows, n]."""
    high = 2 ** (bits - 1) - 1
    largest = (rows.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    return step_of_least_error(rows, largest, -high, high, restrict_to(scale))


def act_step(row: Tensor, low: int, high: int, scale: ScaleKind) -> Tensor:
    """Step of least squared error of codes low … high for [1, n], searched on a part of it."""
    searched = row[:, :: max(1, row.numel() // MAX_SEARCHED)]
    largest = (row.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    return step_of_least_error(searched, largest, low, high, restrict_to(scale))


def quantize(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """step·clip(round(x/step), low, high), rounding half to even."""
    return torch.clamp(torch.round(x / step), low, high) * step


class Probe:
    """Measures what quantizing one tensor of ``network`` costs.

    Args:
        network: float network; ``linears`` lists its linear layers in the order they are called.
        inputs: calibration samples for it, float32 [N, n].
        factors: what hardware folds into each layer's weights; it moves power-of-two scales.
        units: periods or limits of the activation that one unit of each layer's output spans.

    Attributes: ``inputs_of`` (what each layer is fed with, [N, n_in]), ``output`` [N, m].
    """

    def __init__(
        self,
        network: nn.Module,
        linears: Sequence[nn.Linear],
        inputs: Tensor,
        factors: Sequence[float] | None = None,
        units: Sequence[float] | None = None,
    ) -> None:
        self.network, self.linears, self.inputs = network, list(linears), inputs
        self.factors = [1.0] * len(self.linears) if factors is None else list(factors)
        self.units = [1.0] * len(self.linears) if units is None else list(units)
        self.inputs_of: list[Tensor] = []
        handles = [
            linear.register_forward_pre_hook(lambda module, args: self.inputs_of.append(args[0]))
            for linear in self.linears
        ]
        try:
            self.output = self._run()
        finally:
            for handle in handles:
                handle.remove()
        if len(self.inputs_of) != len(self.linears):
            raise ValueError(
                f"the network called its {len(self.linears)} linear layers {len(self.inputs_of)} "
                "times; each must be called once"
            )
        self._fits: dict[tuple[int, Turn], Fit] = {}

    def _run(self) -> Tensor:
        with torch.no_grad():
            return self.network(self.inputs)

    def _error(self) -> float:
        return float((self._run() - self.output).double().square().mean())

    # -- weights ---------------------------------------------------------------------------------

    def weight(self, index: int, turn: Turn) -> Tensor:
        """The tensor that layer ``index`` quantizes: folded, and rotated as its proxy does."""
        weight = self.linears[index].weight.detach() * self.factors[index]
        if turn.order == 1:
            return weight
        axis = 1 if turn.side.of_inputs else 0
        size = weight.shape[axis]
        return rotate(weight, turn.order, turn.signs(size), turn.scales(size)[0], axis)

    def layer_input(self, index: int, turn: Turn) -> Tensor:
        """What multiplies that weight, [N, n_in]."""
        x = self.inputs_of[index]
        if not turn.side.of_inputs:
            return x
        size = x.shape[1]
        return rotate(x, turn.order, turn.signs(size), turn.scales(size)[1])

    def fit(self, index: int, turn: Turn) -> Fit:
        """The rounding problem of the layer's weight."""
        key = (index, turn)
        if key not in self._fits:
            x, weight = self.layer_input(index, turn), self.weight(index, turn)
            self._fits[key] = Fit.of(x, x @ weight.T, weight)
        return self._fits[key]

    def weight_step(
        self, index: int, turn: Turn, bits: int, scale: ScaleKind, granularity: Granularity
    ) -> Tensor:
        """Step of :meth:`weight`'s codes, [1 or m, 1]."""
        weight = self.weight(index, turn)
        whole = granularity == Granularity.TENSOR
        return weight_step(weight.reshape(1, -1) if whole else weight, bits, scale).unsqueeze(1)

    def act_step(self, index: int, turn: Turn, bits: int, scale: ScaleKind) -> Tensor:
        """Step of the signed codes of a rotated :meth:`layer_input`, [1]."""
        half = 2 ** (bits - 1)
        return act_step(self.layer_input(index, turn).reshape(1, -1), -half, half - 1, scale)

    def quantized_weight(
        self,
        index: int,
        turn: Turn,
        bits: int,
        scale: ScaleKind,
        granularity: Granularity,
        learned: bool = True,
    ) -> Tensor:
        """:meth:`weight` on its grid; ``learned``: rounded with a view to the inputs."""
        weight = self.weight(index, turn)
        high = 2 ** (bits - 1) - 1
        step = self.weight_step(index, turn, bits, scale, granularity)
        if not learned:
            return quantize(weight, step, -high, high)
        fit, step = self.fit(index, turn), step.double()
        return (round_codes(fit.hessian, fit.best, step, -high, high, sweeps=1) * step).float()

    def weight_error(
        self,
        index: int,
        turn: Turn,
        bits: int,
        scale: ScaleKind,
        granularity: Granularity,
        learned: bool = True,
    ) -> float:
        """Mean squared output error of quantizing the weight of one layer."""
        value = self.quantized_weight(index, turn, bits, scale, granularity, learned)
        if turn.order > 1:
            axis = 1 if turn.side.of_inputs else 0
            size = value.shape[axis]
            other = turn.scales(size)[1]
            value = rotate_back(value, turn.order, turn.signs(size), other, axis)
        with _replaced(self.linears[index], value / self.factors[index]):
            return self._error()

    # -- activations -----------------------------------------------------------------------------

    def act_error(self, index: int, turn: Turn, bits: int, scale: ScaleKind) -> float:
        """Mean squared output error of quantizing what one layer is fed with.

        Unrotated, or rotated afterwards: the full range of the values' magnitude, as a table's
        output has. Rotated before: the step of least error.
        """

        def disturb(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
            return (self._quantized_input(args[0], turn, bits, scale),)

        handle = self.linears[index].register_forward_pre_hook(disturb)
        try:
            return self._error()
        finally:
            handle.remove()

    # -- tables ----------------------------------------------------------------------------------

    def table_error(self, index: int, bits: int, periodic: bool) -> float:
        """Mean squared output error of taking the activation behind a layer from a table.

        2^bits entries a period, or over the range [-limit, limit): the function at bin centres.
        """
        half = 2 ** (bits - 1)
        scale = self.units[index] * half * (2 if periodic else 1)

        def centred(module: nn.Module, args: tuple[Tensor, ...], z: Tensor) -> Tensor:
            code = torch.floor(z * scale)
            return ((code if periodic else code.clamp(-half, half - 1)) + 0.5) / scale

        handle = self.linears[index].register_forward_hook(centred)
        try:
            return self._error()
        finally:
            handle.remove()

    def _quantized_input(self, x: Tensor, turn: Turn, bits: int, scale: ScaleKind) -> Tensor:
        half = 2 ** (bits - 1)
        if turn.side != Side.INPUT:
            peak = x.abs().max().clamp_min(SMALLEST_STEP)
            if bool((x < 0).any()):
                return quantize(x, peak / half, -half, half - 1)
            return quantize(x, peak / (2 * half), 0, 2 * half - 1)
        size = x.shape[1]
        weight_scale, other_scale = turn.scales(size)
        signs = turn.signs(size)
        rotated = rotate(x, turn.order, signs, other_scale)
        step = act_step(rotated.reshape(1, -1), -half, half - 1, scale)
        return rotate_back(
            quantize(rotated, step, -half, half - 1), turn.order, signs, weight_scale, axis=-1
        )


@contextmanager
def _replaced(linear: Any, weight: Tensor) -> Iterator[None]:
    original = linear.weight.data
    linear.weight.data = weight
    try:
        yield
    finally:
        linear.weight.data = original
