# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Small quantized networks whose branches meet, or end apart, as a user would write them."""

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
)
from brevitas.quant.scaled_int import Int8ActPerTensorFloat, Int32Bias
from torch import Tensor, nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.nn.activations import QuantLookupActivation, QuantSine
from networks import INPUT_BITS, grid_codes

FIXED: dict[str, Any] = {"act_quant": Int8ActPerTensorFixedPoint}
FLOAT: dict[str, Any] = {"act_quant": Int8ActPerTensorFloat}


def codes_in(bits: int = INPUT_BITS) -> nn.Module:
    """The input quantizer: integers of ``bits`` bits as they are."""
    return qnn.QuantIdentity(act_quant=q.IntegerCodes, bit_width=bits, return_quant_tensor=True)


def linear(n_in: int, n_out: int, gain: float = 1.0) -> qnn.QuantLinear:
    layer = qnn.QuantLinear(
        n_in,
        n_out,
        bias=True,
        weight_quant=Int8WeightPerTensorFixedPoint,
        bias_quant=Int32Bias,
    )
    layer.weight.data *= gain
    return layer


def rotated(n_in: int, n_out: int) -> qnn.QuantLinear:
    return qnn.QuantLinear(
        n_in,
        n_out,
        bias=True,
        weight_quant=q.Int8DHQWeightPerChannelFixedPoint,
        input_quant=q.Int8DHQActPerTensorFixedPoint,
        bias_quant=Int32Bias,
        input_collect_stats_steps=1,
    )


def sine(bits: int = 8) -> nn.Module:
    return QuantSine(bits, period=1.0, bit_width=8, return_quant_tensor=True)


def quantizer(kind: dict[str, Any] = FIXED, bits: int = 8) -> nn.Module:
    return qnn.QuantIdentity(
        **kind, bit_width=bits, return_quant_tensor=True, collect_stats_steps=1
    )


class ResidualSine(nn.Module):
    """½(x + sin(W x + b)) between two sine layers, the sum of two quantized tensors."""

    def __init__(self, width: int = 8, kind: dict[str, Any] = FIXED, dhq: bool = True) -> None:
        super().__init__()
        self.quantize = codes_in()
        self.first, self.sine = linear(2, width, 0.05), sine()
        self.inner, self.inner_sine = (rotated if dhq else linear)(width, width), sine()
        self.requantize = quantizer(kind)
        self.head = linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.sine(self.first(self.quantize(x)))
        y = self.inner_sine(self.inner(h))
        return self.head(self.requantize((h + y) * 0.5))


class ResidualReLU(nn.Module):
    """relu(x + W x) with QuantEltwiseAdd."""

    def __init__(self, width: int = 8, bits: int = 4) -> None:
        super().__init__()
        self.quantize = codes_in()
        self.first = linear(2, width, 0.05)
        self.relu = qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)
        self.inner = linear(width, width)
        self.add = qnn.QuantEltwiseAdd(
            input_bit_width=bits + 1,
            output_bit_width=bits + 1,
            input_quant=Int8ActPerTensorFixedPoint,
            output_quant=Int8ActPerTensorFixedPoint,
            return_quant_tensor=True,
        )
        self.head = linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.first(self.quantize(x)))
        return self.head(self.add(h, self.inner(h)))


class DifferentScales(nn.Module):
    """A sum of two quantized tensors of float scales, which no common step divides."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.quantize = codes_in()
        self.first, self.second = linear(2, width, 0.05), linear(2, width, 0.02)
        self.left, self.right = quantizer(FLOAT), quantizer(FLOAT, 6)
        self.requantize = quantizer(FLOAT)
        self.head = linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.quantize(x)
        left, right = self.left(self.first(h)), self.right(self.second(h))
        return self.head(self.requantize(_value(left) + _value(right)))


class Nerf(nn.Module):
    """Skip concatenation, a view branch from a second input, density and color."""

    def __init__(self, width: int = 8, views: int = 3) -> None:
        super().__init__()
        self.quantize, self.quantize_view = codes_in(), codes_in()
        self.first, self.sine = linear(2, width, 0.05), sine()
        self.skip_quantizer = quantizer()  # one scale for both (QuantCat fails in Brevitas 0.13)
        self.second, self.second_sine = linear(width + 2, width, 0.05), sine()
        self.density = linear(width, 1)
        self.view_quantizer = quantizer()
        self.color_in, self.color_sine = linear(width + views, width), sine()
        self.color = linear(width, 3)

    def forward(self, x: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quantize(x)
        h = self.sine(self.first(x))
        skip = torch.cat([self.skip_quantizer(part) for part in (h, x * 2**-6)], dim=-1)
        h = self.second_sine(self.second(skip))
        both = torch.cat([_value(h), _value(self.quantize_view(view)) * 2**-6], dim=-1)
        color = self.color(self.color_sine(self.color_in(self.view_quantizer(both))))
        return color, self.density(h)


class DeepSdf(nn.Module):
    """The input concatenated again half way, tanh at the end."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.quantize = codes_in()
        self.first = linear(2, width, 0.05)
        self.relu = qnn.QuantReLU(bit_width=6, return_quant_tensor=True)
        self.skip_quantizer = quantizer()
        self.second = linear(width + 2, width)
        self.second_relu = qnn.QuantReLU(bit_width=6, return_quant_tensor=True)
        self.last = linear(width, 1)
        self.tanh = QuantLookupActivation(torch.tanh, table_bit_width=8, limit=4.0, bit_width=8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize(x)
        h = self.relu(self.first(x))
        h = self.skip_quantizer(torch.cat([_value(h), _value(x) * 0.125], dim=-1))
        return self.tanh(self.last(self.second_relu(self.second(h))))


class Mfn(nn.Module):
    """Products of a sine of the input and a linear branch; ``outputs`` one for each depth."""

    def __init__(self, width: int = 8, depth: int = 2, every_depth: bool = False) -> None:
        super().__init__()
        self.every_depth = every_depth
        self.quantize = codes_in()
        self.filters = nn.ModuleList(linear(2, width, 0.05) for _ in range(depth + 1))
        self.sines = nn.ModuleList(sine() for _ in range(depth + 1))
        self.linears = nn.ModuleList(linear(width, width) for _ in range(depth))
        self.quantizers = nn.ModuleList(quantizer() for _ in range(depth))
        self.products = nn.ModuleList(quantizer() for _ in range(depth))
        heads = depth + 1 if every_depth else 1
        self.heads = nn.ModuleList(linear(width, 3) for _ in range(heads))

    def forward(self, x: Tensor) -> Any:
        x = self.quantize(x)
        z = self.sines[0](self.filters[0](x))
        outputs = [self.heads[0](z)] if self.every_depth else []
        for i, layer in enumerate(self.linears):
            y = self.quantizers[i](layer(z))
            z = self.products[i](_value(y) * _value(self.sines[i + 1](self.filters[i + 1](x))))
            if self.every_depth:
                outputs.append(self.heads[i + 1](z))
        return tuple(outputs) if self.every_depth else self.heads[0](z)


class Film(nn.Module):
    """sin(s ⊙ (W x) + t), s and t linear in a second input."""

    def __init__(self, width: int = 8, latent: int = 4) -> None:
        super().__init__()
        self.quantize, self.quantize_latent = codes_in(), codes_in()
        self.scale, self.shift = linear(latent, width, 0.05), linear(latent, width, 0.05)
        self.scale_quantizer, self.shift_quantizer = quantizer(), quantizer()
        self.first, self.first_quantizer = linear(2, width, 0.05), quantizer()
        self.sine = sine()
        self.head = linear(width, 3)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        latent = self.quantize_latent(latent)
        scale = _value(self.scale_quantizer(self.scale(latent)))
        shift = _value(self.shift_quantizer(self.shift(latent)))
        h = _value(self.first_quantizer(self.first(self.quantize(x))))
        return self.head(self.sine(scale * h + shift))


class Fourier(nn.Module):
    """sin and cos of one quantized phase, side by side, as positional encodings have them."""

    def __init__(self, frequencies: int = 4, width: int = 8) -> None:
        super().__init__()
        self.quantize = codes_in()
        self.matrix = linear(2, frequencies, 0.05)
        self.phase = qnn.QuantIdentity(
            act_quant=q.PhaseQuant, bit_width=16, phase_bit_width=8, return_quant_tensor=False
        )
        self.features = quantizer()  # one scale for both
        self.first = linear(2 * frequencies, width)
        self.relu = qnn.QuantReLU(bit_width=6, return_quant_tensor=True)
        self.head = linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        phase = 2 * torch.pi * self.phase(_value(self.matrix(self.quantize(x))))  # shared
        parts = [self.features(part) for part in (torch.sin(phase), torch.cos(phase))]
        return self.head(self.relu(self.first(torch.cat(parts, dim=-1))))


class TwoHeads(nn.Module):
    """One trunk, two outputs; ``names`` makes them a dictionary."""

    def __init__(self, width: int = 8, names: bool = False) -> None:
        super().__init__()
        self.names = names
        self.quantize = codes_in()
        self.first, self.sine = linear(2, width, 0.05), sine()
        self.left, self.right = linear(width, 3), linear(width, 1)

    def forward(self, x: Tensor) -> Any:
        h = self.sine(self.first(self.quantize(x)))
        left, right = self.left(h), self.right(h)
        return {"color": left, "density": right} if self.names else (left, right)


class Joined(nn.Module):
    """``join`` of the network itself and a sine layer's output; ``modules`` are what it calls."""

    def __init__(self, join: Callable[[Any, Any], Tensor], width: int = 8, **modules: Any) -> None:
        super().__init__()
        self.join = join
        self.quantize = codes_in()
        self.first, self.sine = linear(2, width, 0.05), sine()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, self.sine(self.first(self.quantize(x))))


def unquantized_sum() -> nn.Module:
    """x + W x + b, the sums of a layer as they are."""

    def join(network: Any, h: Any) -> Tensor:
        return network.head(network.requantize(_value(h) + _value(network.inner(h))))

    return Joined(join, inner=linear(8, 8), requantize=quantizer(), head=linear(8, 3))


def product_in_a_table() -> nn.Module:
    """sin(2π x ⊙ quantized(W x + b)): the phase of a product."""

    def join(network: Any, h: Any) -> Tensor:
        product = _value(h) * _value(network.quantizer(network.inner(h)))
        return network.head(network.outer(product))

    return Joined(join, inner=linear(8, 8), quantizer=quantizer(), outer=sine(), head=linear(8, 3))


def product_with_a_bias() -> nn.Module:
    """x ⊙ (W x + b) without a quantizer at the end of the second branch: refused."""

    def join(network: Any, h: Any) -> Tensor:
        return network.head(network.requantize(_value(h) * _value(network.inner(h))))

    return Joined(join, inner=linear(8, 8), requantize=quantizer(), head=linear(8, 3))


def heads_side_by_side() -> nn.Module:
    def join(network: Any, h: Any) -> Tensor:
        return torch.cat([network.left(h), network.right(h)], dim=-1)

    return Joined(join, left=linear(8, 3), right=linear(8, 1))


def _value(x: Any) -> Tensor:
    return getattr(x, "value", x)


def calibrated(network: nn.Module, *inputs: Tensor) -> nn.Module:
    """``network`` with its scales taken from random codes, in evaluation mode."""
    network.train()
    with torch.no_grad():
        for _ in range(2):  # Brevitas moves from statistics to the learned scale in the second
            network(*inputs)
    return network.eval()


def latent_codes(samples: int, channels: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    half = 2 ** (INPUT_BITS - 1)
    return torch.randint(-half, half, (samples, channels), generator=generator).float()


def inputs_of(name: str, samples: int) -> tuple[Tensor, ...]:
    """Random codes for the network ``name``."""
    second = {"nerf": 3, "film": 4}.get(name)
    more = () if second is None else (latent_codes(samples, second),)
    return (grid_codes(samples), *more)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual sine": ResidualSine,
    "residual sine, float scales": lambda: ResidualSine(kind=FLOAT, dhq=False),
    "residual relu": ResidualReLU,
    "different scales": DifferentScales,
    "nerf": Nerf,
    "deepsdf": DeepSdf,
    "mfn": Mfn,
    "bacon": lambda: Mfn(every_depth=True),
    "film": Film,
    "fourier": Fourier,
    "unquantized sum": unquantized_sum,
    "product in a table": product_in_a_table,
    "square": lambda: Joined(lambda network, h: _value(h) * _value(h)),
    "two heads": TwoHeads,
    "heads side by side": heads_side_by_side,
    "named heads": lambda: TwoHeads(names=True),
}


REFUSED: dict[str, Callable[[], nn.Module]] = {"product with a bias": product_with_a_bias}


def joint_network(name: str) -> nn.Module:
    """The network ``name``, calibrated."""
    torch.manual_seed(0)
    return calibrated((NETWORKS | REFUSED)[name](), *inputs_of(name, 256))
