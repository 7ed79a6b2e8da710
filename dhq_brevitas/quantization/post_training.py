# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Post-training rounding that looks at what a layer is fed with, rather than at its weights alone.

A layer with quantized inputs X [N, n] shall give the pre-activations T [N, m] of the float network.
With centerd X and T, H = XᵀX/N and C = TᵀX/N, the best unrounded weights are W* = C H⁻¹, and codes
Q on a grid of step s cost

    |X (sQ - W*)ᵀ|² / N  =  tr (sQ - W*) H (sQ - W*)ᵀ.

Two steps look for good Q, all output channels at once, since H is common to them:

1. column by column in order of falling H_jj, each column rounded and its error passed on to the
   columns not yet rounded (optimal brain quantization with one order for all rows; Frantar et al.,
   "GPTQ", 2022, arXiv:2210.17323, algorithm 1);
2. coordinate descent: column by column, the code of least cost given all the others, until nothing
   changes or a few sweeps are done. It never raises the cost.

Both go on in blocks of columns: within one, what a column changes reaches the columns of the block;
behind it, all others, as one matrix product (as in GPTQ's algorithm).

T comes from the float network and X from the quantized one, so a layer also makes up, as far as a
linear map can, for what was lost before it; the bias b = mean(T) - mean(X) W is the bias correction
of Nagel et al., 2019, arXiv:1906.04721. INR activations are functions of two coordinates, so H is
far from diagonal, and the gain over rounding each weight to its nearest code is large.

It works on the tensor a layer quantizes: a DHQ layer is rounded on its rotated weights and inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from dhq_brevitas.inr.layers import called, check_network
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle_scales
from dhq_brevitas.util.hooks import evaluating, hooked, pre_hooked

__all__ = [
    "Fit",
    "PostTrained",
    "RoundedLayer",
    "check_finite",
    "code_grid",
    "correct_bias",
    "damped_hessian",
    "drawn",
    "float_targets",
    "freeze_columns",
    "post_train",
    "round_codes",
    "round_weights",
]

# Weight, relative to the mean of H's diagonal, of staying at the float weights where the inputs say
# nothing. Chosen once on one picture; 1e-5 to 1e-2 give the same within 0.1 dB.
DAMPING = 1e-4
SMALLEST_DAMPING = 1e-12
SWEEPS = 3
# Columns after which what they change reaches the others, as one matrix product.
BLOCK = 64
MAX_SAMPLES = 16384


@dataclass(frozen=True)
class RoundedLayer:
    """Mean squared pre-activation error a sample: rounded to nearest, and as left.

    Both without what no weights could avoid.
    """

    name: str
    nearest: float
    rounded: float


@dataclass(frozen=True)
class Fit:
    """The least-squares problem of one layer, as the module docstring states it.

    Attributes:
        hessian: H plus damping, float64 [n, n].
        best: W*, float64 [m, n]; with damping d, (C + d·W)(H + d·I)⁻¹.
    """

    hessian: Tensor
    best: Tensor

    @classmethod
    def of(cls, x: Tensor, target: Tensor, weight: Tensor) -> "Fit":
        """From inputs [N, n], wanted pre-activations [N, m] and float weights [m, n]."""
        hessian, damping = damped_hessian(x)
        x, target, weight = x.double(), target.double(), weight.double()
        # What is taken off one factor needs no taking off the other.
        cross = (target - target.mean(dim=0)).T @ x / len(x)
        return cls(hessian, torch.linalg.solve(hessian, (cross + damping * weight).T).T)

    def cost(self, weight: Tensor) -> float:
        """Mean squared pre-activation error a sample of ``weight``, less that of W*."""
        error = weight.double() - self.best
        return ((error @ self.hessian) * error).sum().item()


def damped_hessian(x: Tensor) -> tuple[Tensor, float]:
    """H + d·I, float64 [n, n], and the damping d for inputs [N, n]; see the module docstring."""
    x = x.double()
    x = x - x.mean(dim=0)
    hessian = x.T @ x / len(x)
    damping = max(DAMPING * hessian.diagonal().mean().item(), SMALLEST_DAMPING)
    return hessian + damping * torch.eye(len(hessian)).to(hessian), damping


def round_codes(
    hessian: Tensor, target: Tensor, step: Tensor, low: int, high: int, sweeps: int = SWEEPS
) -> Tensor:
    """Codes Q of least tr (sQ - W) H (sQ - W)ᵀ found as the module docstring says.

    Args:
        hessian: H, float64 [n, n], symmetric, positive definite.
        target: W, float64 [m, n].
        step: s, float64 [1, 1] or [m, 1]; low, high: integer range of the codes.
        sweeps: of the coordinate descent.

    Returns float64 [m, n] of integers. Rounding of a single value is half to even.
    """
    columns = torch.arange(len(hessian), device=hessian.device)
    start, _ = freeze_columns(hessian, target, step, low, high, columns, len(columns))
    codes = torch.round(start / step)
    gradient = (codes * step - target) @ hessian
    for _ in range(sweeps):
        before = codes.clone()
        for first in range(0, len(hessian), BLOCK):
            block = slice(first, first + BLOCK)
            _descend(hessian[block, block], codes[:, block], gradient[:, block], step, low, high)
            gradient += (codes - before)[:, block] * step @ hessian[block]
        if torch.equal(codes, before):
            break
    return codes


def _descend(
    hessian: Tensor, codes: Tensor, gradient: Tensor, step: Tensor, low: int, high: int
) -> None:
    """One sweep over the columns of a block, whose codes it changes in place."""
    gradient = gradient.clone()
    for j in range(len(hessian)):
        column = codes[:, j : j + 1]
        best = column - gradient[:, j : j + 1] / (step * hessian[j, j])
        change = torch.clamp(torch.round(best), low, high) - column
        if bool(change.any()):
            column += change
            gradient += change * step * hessian[j : j + 1]


def freeze_columns(
    hessian: Tensor,
    weight: Tensor,
    step: Tensor,
    low: int | Tensor,
    high: int | Tensor,
    free: Tensor,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Rounds ``count`` of the ``free`` columns and lets the other free ones make up for it.

    Arguments as for :func:`round_codes`, with ``free`` the int64 indices of the columns that may
    change; ``low`` and ``high`` may be of each code, [m, n]. Returns the changed weight [m, n] and
    the indices of the columns rounded, those with the largest H_jj.
    """
    columns = free[torch.argsort(hessian.diagonal()[free], descending=True)]
    ranges = (torch.as_tensor(x).to(weight).expand_as(weight) for x in (low, high))
    low, high = (codes[:, columns] for codes in ranges)
    inverse = torch.linalg.inv(hessian[columns][:, columns])
    # Row j of the upper Cholesky factor of H⁻¹ holds what column j's error does to later columns.
    factor = torch.linalg.cholesky((inverse + inverse.T) / 2, upper=True)
    remaining = weight[:, columns]
    for first in range(0, count, BLOCK):
        stop = min(first + BLOCK, count)
        errors = torch.empty_like(remaining[:, first:stop])
        for j in range(first, stop):
            value = remaining[:, j : j + 1].clone()
            codes = torch.round(value / step)
            rounded = torch.clamp(codes, low[:, j : j + 1], high[:, j : j + 1]) * step
            error = errors[:, j - first : j - first + 1] = (value - rounded) / factor[j, j]
            remaining[:, j:stop] -= error * factor[j : j + 1, j:stop]
            remaining[:, j : j + 1] = rounded
        remaining[:, stop:] -= errors @ factor[first:stop, stop:]
    changed = weight.clone()
    changed[:, columns] = remaining
    return changed, columns[:count]


def round_weights(
    model: nn.Module, inputs: Tensor, targets: Mapping[str, Tensor]
) -> list[RoundedLayer]:
    """Rounds the weights of a calibrated network's QuantLinear layers, first to last, in place.

    Args:
        model: a network whose scales are set.
        inputs: calibration samples, float32 [N, …].
        targets: for each layer to round, by its name in ``named_modules()``, float [N, …, m]: the
            pre-activations wanted of it, bias included (:func:`float_targets`).

    The weights become the values of their codes, so the quantizers reproduce them, and biases are
    corrected; layers see inputs from the rounded layers before them. Returns one record a layer, in
    the order of their calls. Raises ValueError if a target does not fit its layer.
    """
    records: list[RoundedLayer] = []
    hooks = []
    for name, target in targets.items():
        layer: Any = model.get_submodule(name)
        if target.shape[-1] != layer.out_features or len(target) != len(inputs):
            raise ValueError(
                f"{name}: its target is {tuple(target.shape)}, but {len(inputs)} samples give "
                f"{(len(inputs), layer.out_features)}"
            )
        if layer.weight_quant.is_quant_enabled:
            hooks.append((layer, partial(_round_layer, name, target, records)))
    with evaluating(model), torch.no_grad(), pre_hooked(hooks):
        model(inputs)
    return records


def _round_layer(
    name: str, target: Tensor, records: list[RoundedLayer], layer: Any, args: tuple[Any, ...]
) -> None:
    """A forward pre-hook once the first three arguments are bound."""
    quantized = layer.input_quant(args[0])
    x = getattr(quantized, "value", quantized).reshape(-1, layer.in_features)
    target = target.reshape(-1, layer.out_features)
    proxy, weight = layer.weight_quant, layer.weight.detach()
    rotation = weight_rotation(layer)
    weight = rotation.rotate_weight(weight)
    step, low, high = code_grid(proxy.tensor_quant, weight)
    fit = Fit.of(x, rotation.rotate_output(target), weight)
    nearest = torch.clamp(torch.round(weight.double() / step), low, high) * step
    rounded = round_codes(fit.hessian, fit.best, step, low, high) * step
    records.append(RoundedLayer(name, fit.cost(nearest), fit.cost(rounded)))
    layer.weight.copy_(rotation.unrotate_weight(rounded))
    if layer.bias is not None:
        correct_bias(layer, quantized, target)


def correct_bias(layer: Any, quantized: Any, target: Tensor) -> None:
    """Gives the layer's output on its quantized input [N, n] the mean of ``target`` [N, m]."""
    x = getattr(quantized, "value", quantized).reshape(-1, layer.in_features)
    # As the layer multiplies them: rotated together on the input side.
    weight = layer.quant_weight(quantized)
    product = x.double().mean(dim=0) @ getattr(weight, "value", weight).double().T
    layer.bias.copy_(target.double().mean(dim=0) - product)


def code_grid(quantizer: Any, weight: Tensor) -> tuple[Tensor, int, int]:
    """Step, float64 [1, 1] or [m, 1], and integer range of a ``tensor_quant`` for a weight."""
    step = quantizer(weight)[1].double().reshape(-1, 1)
    bit_width = quantizer.msb_clamp_bit_width_impl()
    integers = quantizer.int_quant
    return step, int(integers.min_int(bit_width)), int(integers.max_int(bit_width))


def float_targets(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Pre-activations of each QuantLinear without any quantizer, by name, in order of the calls.

    float64 [N, …, m] each, bias included, for ``inputs`` float32 [N, …]. The weights must not have
    been rounded yet. Raises ValueError for a layer that is called twice.
    """
    seen: dict[str, Tensor] = {}

    def note(name: str, layer: Any, args: Any, output: Any) -> None:
        if name in seen:
            raise ValueError(f"{name}: the network calls this layer twice; give each call its own")
        seen[name] = getattr(output, "value", output).double()

    layers = [(m, partial(note, n)) for n, m in model.named_modules() if _is_linear(m)]
    with evaluating(model), unquantized(model), torch.no_grad(), hooked(layers):
        called(model, inputs)
    return seen


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, qnn.QuantLinear)


@dataclass(frozen=True)
class PostTrained:
    """What :func:`post_train` did.

    Attributes:
        rounded: one record a layer, empty without learned rounding.
        unrounded: the network's state with the same scales, and weights and biases as they were.
        inputs: calibration samples, float32 [N, …].
    """

    rounded: list[RoundedLayer]
    unrounded: dict[str, Tensor]
    inputs: Tensor


def post_train(model: nn.Module, inputs: Tensor, learned_rounding: bool = True) -> PostTrained:
    """Post-training quantization, in place: scales, then rounding with bias correction.

    ``model`` is any network of Brevitas layers whose weights are not rounded yet; without its
    quantizers it is the float network that it shall be like. ``inputs`` are calibration samples,
    float32 [N, …], at most MAX_SAMPLES of which, evenly drawn, are used. Float scales are rounded
    as :func:`dhq_brevitas.quantization.settle.settle_scales` does, before the weights are, so that
    nothing moves afterwards. Raises ValueError for samples of no use or with NaN, and for weights
    that are not finite, naming them.
    """
    check_network(model, inputs)
    check_finite(model)
    inputs = inputs[drawn(len(inputs), MAX_SAMPLES).to(inputs.device)]
    targets = float_targets(model, inputs) if learned_rounding else {}
    calibrate(model, inputs[: MAX_SAMPLES // 2])
    settle_scales(model)
    unrounded = {name: value.clone() for name, value in model.state_dict().items()}
    return PostTrained(round_weights(model, inputs, targets), unrounded, inputs)


def drawn(samples: int, at_most: int) -> Tensor:
    """Indices of at most so many samples, drawn without order from all of them, always the same."""
    return torch.randperm(samples, generator=torch.Generator().manual_seed(0))[:at_most]


def check_finite(model: nn.Module, scales: bool = False) -> None:
    """ValueError, naming it, if one of a model's weights and biases is not finite.

    ``scales``: nor one of the scales, which before calibration may hold anything.
    """
    for name, parameter in model.named_parameters():
        own = scales or name.rpartition(".")[2] in ("weight", "bias")
        if own and not bool(torch.isfinite(parameter).all()):
            raise ValueError(
                f"{name} holds NaN or infinity, as after a training that diverged; train it anew "
                "with a smaller learning rate"
            )
