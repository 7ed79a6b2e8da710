# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The integers of a network of Brevitas layers: the one view of a layer that all levels share.

Hardware estimates, reference codes and the check for float32 all follow from :class:`LayerCodes`.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from dhq_brevitas.inr.layers import Layer, layers_of
from dhq_brevitas.inr.planned import rotation_of
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.hadamard import hadamard_transform_int
from dhq_brevitas.nn.proxies import weight_rotation
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.util.hooks import CHUNK, evaluated, evaluating

__all__ = [
    "LayerCodes",
    "Reference",
    "accumulator_bits",
    "evaluate",
    "exact_in_float32",
    "layer_codes",
]


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """A linear layer and the table behind it as integers.

    Attributes:
        name: of the layer.
        x: codes that it multiplies, int64 [N, n], rotated where the layer rotates them.
        input_bits, input_signed: datatype of the stream that comes in, ahead of a rotation.
        rotation: on its side, with its signs.
        requant: for an input rotation, what its unnormalized integers are multiplied with before
            they are rounded to ``act_bits`` signed bits; None for the others.
        weight: codes as they are stored, int64 [m, n], rotated where the layer rotates them.
        weight_bits: their width.
        scale, bias: float64 [1 or m] and [m]: the output is accumulator · scale + bias, with the
            accumulator behind an output rotation.
        table: codes of the activation, int64 [2^P]; None where there is no table.
        periodic: the position wraps around; else the table's middle is position 0, and it clips.
        entries_per_unit: table entries that one unit of the output spans.
        output_bits, output_signed: datatype of the table.
    """

    name: str
    x: np.ndarray
    input_bits: int
    input_signed: bool
    rotation: Rotation
    requant: float | None
    act_bits: int
    weight: np.ndarray
    weight_bits: int
    scale: np.ndarray
    bias: np.ndarray
    table: np.ndarray | None = None
    periodic: bool = True
    entries_per_unit: float = 1.0
    output_bits: int = 0
    output_signed: bool = True

    @property
    def signs(self) -> np.ndarray | None:
        """Signs of the rotation, int64 ±1 [size], or None."""
        signs = self.rotation.signs
        return None if signs is None else signs.cpu().numpy().astype(np.int64)

    @property
    def bias_codes(self) -> np.ndarray:
        """The bias on the scale of the accumulator, int64 [m]."""
        return np.rint(self.bias / self.scale).astype(np.int64)

    @property
    def multiplied(self) -> np.ndarray:
        """Weight whose product with x is the accumulator, int64 [m, n]."""
        if self.rotation.side != Side.OUTPUT or self.rotation.order == 1:
            return self.weight
        turned = hadamard_transform_int(self.weight.T, order=self.rotation.order).T
        return turned if self.signs is None else turned * self.signs[:, None]

    def accumulators(self) -> np.ndarray:
        """x Wᵀ as int64 [N, m]; exact, since float64 carries 53 bits."""
        return (self.x.astype(np.float64) @ self.multiplied.T.astype(np.float64)).astype(np.int64)

    def bound(self) -> np.ndarray:
        """A bound of every partial sum, whatever its order, and the bias; float64 [m], an output.

        The smaller of Σ|w|·max|x| and |w|₂·max|x|₂ (Cauchy-Schwarz), plus |bias|. The second is
        the better one for rotated integers, few of which are large at a time.
        """
        weight, x = self.multiplied.astype(np.float64), self.x.astype(np.float64)
        largest = np.abs(weight).sum(axis=1) * np.abs(x).max()
        longest = np.linalg.norm(weight, axis=1) * np.linalg.norm(x, axis=1).max()
        return np.minimum(largest, longest) + np.abs(self.bias_codes)

    def float32_units(self) -> float:
        """Largest bound in units of the power of two that divides its scale."""
        mantissa = (np.frexp(self.scale)[0] * 2.0**53).astype(np.int64)
        odd_part = mantissa // (mantissa & -mantissa)
        return float((self.bound() * odd_part).max())


def layer_codes(model: nn.Module, inputs: Tensor) -> list[LayerCodes]:
    """Integers of every layer that a calibrated network calls on ``inputs``.

    The model is evaluated, and left in the mode it was in. Raises ValueError, naming the layer,
    for one whose input or weight is not quantized to integers.
    """
    layers = layers_of(model, inputs)
    with evaluating(model), torch.no_grad():
        return [codes_of(layer) for layer in layers]


def codes_of(layer: Layer) -> LayerCodes:
    """Those of one layer in evaluation mode."""
    linear, given = layer.linear, layer.given
    taken, proxy = linear.input_quant(given), linear.weight_quant
    weight = weight_rotation(linear).rotate_weight(linear.weight.detach())
    rotation = rotation_of(linear)
    if not isinstance(taken, IntQuantTensor) or not proxy.is_quant_enabled:
        raise ValueError(
            f"{layer.name}: its input or its weight is not quantized; let the layer before it "
            "return a quant tensor (return_quant_tensor=True), or give it quantizers"
        )
    # A layer that quantizes values itself, unrotated, takes its own codes from the host.
    stream = given if isinstance(given, IntQuantTensor) else taken
    scale, requant = taken.scale.double(), None
    if rotation.side == Side.OUTPUT:
        scale = scale * rotation.other_scale
    if rotation.side == Side.INPUT and isinstance(given, IntQuantTensor):
        requant = float(given.scale.double() * rotation.other_scale / scale)
    value, step, _, bit_width = proxy.tensor_quant(weight)
    bias = torch.zeros(linear.out_features, dtype=torch.float64)
    if linear.bias is not None:
        bias = linear.bias_quant(linear.bias, taken, linear.quant_weight(taken))
        bias = getattr(bias, "value", bias).double()
    return LayerCodes(
        name=layer.name,
        x=_integers(taken.value, taken.scale),
        input_bits=int(stream.bit_width),
        input_signed=bool(stream.signed),
        rotation=rotation,
        requant=requant,
        act_bits=int(stream.bit_width if rotation.side != Side.INPUT else taken.bit_width),
        weight=_integers(value, step),
        weight_bits=int(bit_width),
        scale=(scale * step.double()).cpu().numpy().reshape(-1),
        bias=bias.cpu().numpy(),
        **({} if layer.activation is None else _table_codes(layer.activation)),
    )


def _table_codes(activation: QuantLookupActivation) -> dict[str, Any]:
    """What :class:`LayerCodes` says of the table."""
    bits, periodic = activation.table_bit_width, activation.period is not None
    table = activation.lookup.table
    positions = torch.arange(2**bits, dtype=torch.float32, device=table.device) * 2.0**-bits
    output: Any = activation((positions if periodic else 2 * positions - 1) * activation.unit)
    return {
        "table": _integers(output.value, output.scale),
        "periodic": periodic,
        "entries_per_unit": 2.0 ** (bits if periodic else bits - 1) / activation.unit,
        "output_bits": int(output.bit_width),
        "output_signed": bool(output.signed),
    }


def _integers(value: Tensor, step: Tensor) -> np.ndarray:
    return torch.round(value.double() / step.double()).cpu().numpy().astype(np.int64)


def accumulator_bits(model: nn.Module, inputs: Tensor) -> list[int]:
    """Signed bits that hold every partial sum and the bias of each linear layer."""
    bounds = [
        [float(codes.bound().max()) for codes in layers] for layers in _in_chunks(model, inputs)
    ]
    return [int(max(of_layer)).bit_length() + 1 for of_layer in zip(*bounds, strict=True)]


def exact_in_float32(model: nn.Module, inputs: Tensor) -> bool:
    """Whether float32 evaluates a network exactly on ``inputs``, whatever the order of its sums.

    A sum is exact if its bound, in units of the power of two that divides its scale, is at most
    2^24. Power-of-two scales leave accumulators of 25 bits, dyadic scales fewer by the bits of
    their mantissas, float scales none.
    """
    return all(_exact(layers) for layers in _in_chunks(model, inputs))


def _in_chunks(model: nn.Module, inputs: Tensor) -> Iterator[list[LayerCodes]]:
    """:func:`layer_codes` of some of the samples at a time: all would not fit into memory."""
    return (layer_codes(model, part) for part in inputs.split(CHUNK))


def _exact(layers: Sequence[LayerCodes]) -> bool:
    return all(codes.float32_units() <= 2**24 for codes in layers)


@dataclass(frozen=True)
class Reference:
    """Evaluation of a quantized network on a whole signal.

    Attributes:
        accumulators: output codes, int64 [N, m]: the integer sums of the last layer before bias and
            scale, which is what the hardware emits.
        outputs: float32 [N, m].
        dtype: "float32", or "float64" where float32 would round: with float scales, or with sums
            beyond 24 bits.
    """

    accumulators: np.ndarray
    outputs: np.ndarray
    dtype: str


def evaluate(model: nn.Module, inputs: Tensor) -> Reference:
    """Exact evaluation of a network that is settled (:mod:`dhq_brevitas.quantization.settle`).

    Every later level, QONNX to hardware, is compared with these integers, code for code.
    """
    exact, accumulators = True, list[np.ndarray]()
    for layers in _in_chunks(model, inputs):
        exact = exact and _exact(layers)
        if not exact:
            break
        accumulators.append(layers[-1].accumulators())
    if not exact:
        model, inputs = copy.deepcopy(model).double(), inputs.double()
        accumulators = [layers[-1].accumulators() for layers in _in_chunks(model, inputs)]
    outputs = evaluated(model, inputs).to(torch.float32).cpu().numpy()
    return Reference(np.concatenate(accumulators), outputs, "float32" if exact else "float64")
