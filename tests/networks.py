# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Small quantized networks, built as a user would build them, shared by the tests."""

import itertools
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

import dhq_brevitas.nn.quantizers as q
from dhq_brevitas.nn.activations import QuantSine

INPUT_BITS = 7

STOCK_WEIGHT = {
    "FixedPoint": Int8WeightPerChannelFixedPoint,
    "Dyadic": q.Int8WeightPerChannelDyadic,
    "Float": Int8WeightPerChannelFloat,
}


def grid_codes(samples: int, seed: int = 0) -> Tensor:
    """Random pixel codes of INPUT_BITS signed bits, float32 [samples, 2]."""
    half = 2 ** (INPUT_BITS - 1)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-half, half, (samples, 2), generator=generator).float()


def sine_network(
    hidden: int = 16,
    layers: int = 1,
    *,
    scheme: str = "dhq",
    scale: str = "FixedPoint",
    side: str = "input",
    after: bool = False,
    weight_bits: int = 8,
    act_bits: int = 8,
    phase_bits: int = 10,
    signs: int | None = None,
    outputs: int = 3,
) -> nn.Sequential:
    """2 -> hidden (layers + 1 times, sine) -> outputs in turns, calibrated, in evaluation mode.

    ``after``: the rotation of the inputs takes the sines' codes, which are quantized once.
    """
    torch.manual_seed(0)

    def linear(n_in: int, n_out: int, last: bool = False) -> qnn.QuantLinear:
        common: dict[str, Any] = {
            "bias": True,
            "bias_quant": Int32Bias,
            "weight_bit_width": weight_bits,
        }
        if scheme == "stock" or (side == "output" and last):
            return qnn.QuantLinear(n_in, n_out, weight_quant=STOCK_WEIGHT[scale], **common)
        if side == "output":
            quantizer = getattr(q, f"Int8DHQWeightPerTensor{scale}")
            rotation = {"weight_hadamard_side": "output", "weight_hadamard_signs": signs}
            return qnn.QuantLinear(n_in, n_out, weight_quant=quantizer, **rotation, **common)
        if after:
            common |= {"input_quant": q.DHQActOfIntegers}
        else:
            common |= {
                "input_quant": getattr(q, f"Int8DHQActPerTensor{scale}"),
                "input_bit_width": act_bits,
                "input_collect_stats_steps": 1,
            }
        return qnn.QuantLinear(
            n_in,
            n_out,
            weight_quant=getattr(q, f"Int8DHQWeightPerChannel{scale}"),
            weight_hadamard_signs=signs,
            **common,
        )

    def sine() -> QuantSine:
        return QuantSine(phase_bits, period=1.0, bit_width=act_bits, return_quant_tensor=True)

    first = qnn.QuantLinear(
        2,
        hidden,
        bias=True,
        weight_quant=STOCK_WEIGHT[scale],
        bias_quant=Int32Bias,
        weight_bit_width=12,
    )
    first.weight.data *= 0.05
    modules: list[nn.Module] = [
        qnn.QuantIdentity(act_quant=q.IntegerCodes, bit_width=INPUT_BITS, return_quant_tensor=True),
        first,
        sine(),
    ]
    for _ in range(layers):
        modules += [linear(hidden, hidden), sine()]
    return calibrated(nn.Sequential(*modules, linear(hidden, outputs, last=True)))


def relu_network(*sizes: int, act_bits: int = 4) -> nn.Sequential:
    """Stock quantizers and ReLUs between layers of ``sizes``, calibrated, in evaluation mode."""
    torch.manual_seed(0)
    modules: list[nn.Module] = [
        qnn.QuantIdentity(act_quant=q.IntegerCodes, bit_width=INPUT_BITS, return_quant_tensor=True)
    ]
    for n_in, n_out in itertools.pairwise(sizes):
        modules += [
            qnn.QuantLinear(n_in, n_out, bias=True, bias_quant=Int32Bias),
            qnn.QuantReLU(bit_width=act_bits, return_quant_tensor=True),
        ]
    return calibrated(nn.Sequential(*modules[:-1]))


def calibrated(network: nn.Sequential) -> nn.Sequential:
    """``network`` with its scales taken from random codes, in evaluation mode."""
    network.train()
    with torch.no_grad():
        for _ in range(2):  # Brevitas moves from statistics to the learned scale in the second
            network(grid_codes(256))
    return network.eval()


def outputs_of(network: nn.Module, inputs: Tensor) -> Tensor:
    """The network's output as a plain tensor."""
    with torch.no_grad():
        output = network(inputs)
    return getattr(output, "value", output)
