# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What quantizing one tensor of a network costs at its output, measured one tensor at a time.

The network is any PyTorch module that computes with ``nn.Linear`` layers, Brevitas's among them:
one layer's weight, or what one layer is fed with, is replaced by its quantized value, the network
runs on calibration samples without its own quantizers, and the mean squared difference from its
undisturbed output is the cost. Weights are rounded as post-training quantization will round them
(:mod:`dhq_brevitas.quantization.post_training`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import SCALES, Granularity, ScaleKind
from dhq_brevitas.quantization.calibration import SMALLEST_STEP, step_of_least_error
from dhq_brevitas.quantization.post_training import Fit, round_codes
from dhq_brevitas.util.hooks import evaluating, pre_hooked

__all__ = ["Probe", "act_step", "quantize", "weight_step"]

MAX_SEARCHED = 1 << 16


def weight_step(rows: Tensor, bits: int, scale: ScaleKind) -> Tensor:
    """Step of least squared error of narrow ``bits``-bit codes for each row of [rows, n]."""
    high = 2 ** (bits - 1) - 1
    largest = (rows.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    return step_of_least_error(rows, largest, -high, high, SCALES[scale]().held)


def act_step(row: Tensor, low: int, high: int, scale: ScaleKind) -> Tensor:
    """Step of least squared error of codes low … high for [1, n], searched on a part of it."""
    searched = row[:, :: max(1, row.numel() // MAX_SEARCHED)]
    largest = (row.abs().amax(dim=1) / high).clamp_min(SMALLEST_STEP)
    return step_of_least_error(searched, largest, low, high, SCALES[scale]().held)


def quantize(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """step·clip(round(x/step), low, high), rounding half to even."""
    return torch.clamp(torch.round(x / step), low, high) * step


class Probe:
    """Measures what quantizing one tensor of ``model`` costs.

    Args:
        model: float network, or one of Brevitas layers, whose weights are not rounded.
        inputs: calibration samples for it, float32 [N, …].

    Attributes: ``names`` and ``linears`` (the linear layers in the order they are called),
    ``inputs_of`` (what each is fed with, [N, n_in]), ``output`` [N, …].

    Raises ValueError, naming it, for a layer that is called twice.
    """

    def __init__(self, model: nn.Module, inputs: Tensor) -> None:
        self.model, self.inputs = model, inputs
        self.names: list[str] = []
        self.linears: list[Any] = []
        self.inputs_of: list[Tensor] = []
        self.output = self._run(
            [
                (module, partial(self._note, name))
                for name, module in model.named_modules()
                if isinstance(module, nn.Linear)
            ]
        )
        self._fits: dict[tuple[int, Rotation], Fit] = {}

    def _note(self, name: str, linear: Any, args: tuple[Any, ...]) -> None:
        if name in self.names:
            raise ValueError(f"{name}: the network calls this layer twice; give each call its own")
        x = getattr(args[0], "value", args[0]).detach()
        self.names.append(name)
        self.linears.append(linear)
        self.inputs_of.append(x.reshape(-1, linear.in_features))

    def _run(self, pre_hooks: list[tuple[nn.Module, Callable[..., Any]]]) -> Tensor:
        model = self.model
        with evaluating(model), unquantized(model), torch.no_grad(), pre_hooked(pre_hooks):
            output = model(self.inputs)
        return getattr(output, "value", output)

    def _error(self, *pre_hooks: tuple[nn.Module, Callable[..., Any]]) -> float:
        return float((self._run(list(pre_hooks)) - self.output).double().square().mean())

    # -- weights ---------------------------------------------------------------------------------

    def rotation(self, index: int, side: Side, order: int, seed: int | None = None) -> Rotation:
        """A rotation of layer ``index``."""
        linear = self.linears[index]
        size = linear.in_features if side.of_inputs else linear.out_features
        return Rotation.seeded(side, order, size, seed)

    def weight(self, index: int, turn: Rotation) -> Tensor:
        """The tensor that layer ``index`` quantizes, rotated as its proxy does."""
        return turn.rotate_weight(self.linears[index].weight.detach())

    def layer_input(self, index: int, turn: Rotation) -> Tensor:
        """What multiplies that weight, [N, n_in]."""
        return turn.rotate_input(self.inputs_of[index])

    def fit(self, index: int, turn: Rotation) -> Fit:
        """The rounding problem of the layer's weight."""
        key = (index, turn)
        if key not in self._fits:
            x, weight = self.layer_input(index, turn), self.weight(index, turn)
            self._fits[key] = Fit.of(x, x @ weight.T, weight)
        return self._fits[key]

    def quantized_weight(
        self,
        index: int,
        turn: Rotation,
        bits: int,
        scale: ScaleKind,
        granularity: Granularity,
        learned: bool = True,
    ) -> Tensor:
        """:meth:`weight` on its grid; ``learned``: rounded with a view to the inputs."""
        weight = self.weight(index, turn)
        high = 2 ** (bits - 1) - 1
        rows = weight.reshape(1, -1) if granularity == Granularity.TENSOR else weight
        step = weight_step(rows, bits, scale).unsqueeze(1)
        if not learned:
            return quantize(weight, step, -high, high)
        fit, step = self.fit(index, turn), step.double()
        return (round_codes(fit.hessian, fit.best, step, -high, high, sweeps=1) * step).float()

    def weight_error(
        self,
        index: int,
        turn: Rotation,
        bits: int,
        scale: ScaleKind,
        granularity: Granularity,
        learned: bool = True,
    ) -> float:
        """Mean squared output error of quantizing the weight of one layer."""
        value = self.quantized_weight(index, turn, bits, scale, granularity, learned)
        with _replaced(self.linears[index], turn.unrotate_weight(value)):
            return self._error()

    # -- activations -----------------------------------------------------------------------------

    def act_error(self, index: int, turn: Rotation, bits: int, scale: ScaleKind) -> float:
        """Mean squared output error of quantizing what one layer is fed with.

        Unrotated, or rotated afterwards: the full range of the values' magnitude, as a table's
        output has. Rotated before: the step of least error.
        """

        def disturb(module: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
            x = getattr(args[0], "value", args[0])
            return (_quantized_input(x, turn, bits, scale),)

        return self._error((self.linears[index], disturb))

    # -- tables ----------------------------------------------------------------------------------

    def table_error(self, activation: QuantLookupActivation, bits: int) -> float:
        """Mean squared output error of taking an activation from a table.

        2^bits entries a period, or over the range [-limit, limit): the function at bin centers.
        """
        half, periodic = 2 ** (bits - 1), activation.period is not None
        scale = half * (2 if periodic else 1) / activation.unit

        def centered(module: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
            code = torch.floor(getattr(args[0], "value", args[0]) * scale)
            return (((code if periodic else code.clamp(-half, half - 1)) + 0.5) / scale,)

        return self._error((activation, centered))


def _quantized_input(x: Tensor, turn: Rotation, bits: int, scale: ScaleKind) -> Tensor:
    half = 2 ** (bits - 1)
    if turn.side != Side.INPUT:
        peak = x.abs().max().clamp_min(SMALLEST_STEP)
        if bool((x < 0).any()):
            return quantize(x, peak / half, -half, half - 1)
        return quantize(x, peak / (2 * half), 0, 2 * half - 1)
    rotated = turn.rotate_input(x)
    step = act_step(rotated.reshape(1, -1), -half, half - 1, scale)
    return turn.unrotate_input(quantize(rotated, step, -half, half - 1))


@contextmanager
def _replaced(linear: Any, weight: Tensor) -> Iterator[None]:
    original = linear.weight.data
    linear.weight.data = weight
    try:
        yield
    finally:
        linear.weight.data = original
