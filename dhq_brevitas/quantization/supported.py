# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What is said of a user's quantizers before work is lost on them."""

import math
import warnings
from functools import partial
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant
from brevitas.proxy.float_parameter_quant import WeightFloatQuantProxyFromInjectorBase
from brevitas.proxy.float_runtime_quant import ActFloatQuantProxyFromInjectorBase
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjectorBase
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import Tensor, nn

from dhq_brevitas.inr.layer_plan import MAX_CODE_BITS, MAX_COORDINATE_BITS
from dhq_brevitas.inr.layers import called
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.float_mode import unquantized
from dhq_brevitas.nn.quantizers import Int8UnitActPerTensorFixedPoint, IntegerCodes
from dhq_brevitas.util.hooks import CHUNK, evaluating, pre_hooked

__all__ = ["LostInputWarning", "check_quantizers", "warn_of_lost_inputs"]

# A smaller share of values is not worth a word, nor is a smaller error, in parts of the peak.
LOST_SHARE, LOST_ERROR = 1e-3, 1e-2
# Of PhaseQuant, a sign among them.
PHASE_BITS = 24


class LostInputWarning(UserWarning):
    """A quantizer of fixed range cuts off, or rounds away, what it is given."""


def check_quantizers(model: nn.Module) -> None:
    """ValueError, naming it, for a layer with a state, and for a quantizer that has no integer form
    of 2 to 16 bits, or to 24 where the network is given integers."""
    # Positions in tables, which nothing multiplies.
    phases = {m.input_quant for m in model.modules() if isinstance(m, QuantLookupActivation)}
    # Of fixed ranges, as coordinates have.
    given = {
        m.act_quant
        for m in model.modules()
        if isinstance(m, qnn.QuantIdentity)
        and _is_a(m, IntegerCodes, Int8UnitActPerTensorFixedPoint)
    }
    for name, proxy in model.named_modules():
        if isinstance(proxy, qnn.QuantLSTM | qnn.QuantRNN):
            raise ValueError(
                f"{name}: {type(proxy).__name__} carries a state from sample to sample; use layers "
                "that take each sample by itself"
            )
        if not isinstance(proxy, WeightQuantProxyFromInjectorBase | ActQuantProxyFromInjectorBase):
            continue
        if not proxy.is_quant_enabled:
            continue
        if getattr(proxy, "is_groupwise", False):
            raise ValueError(
                f"{name}: scales of groups of channels, as of MX formats, have no integer form "
                "here; use a quantizer with one scale a tensor or an output channel"
            )
        if isinstance(
            proxy, WeightFloatQuantProxyFromInjectorBase | ActFloatQuantProxyFromInjectorBase
        ):
            raise ValueError(
                f"{name}: minifloats have no integer form; use an integer quantizer, such as "
                "Int8WeightPerChannelFixedPoint or Int8ActPerTensorFixedPoint"
            )
        injector = proxy.quant_injector
        if proxy not in phases:
            most = MAX_COORDINATE_BITS if proxy in given else MAX_CODE_BITS
            _check_width(name, injector.bit_width if "bit_width" in injector else None, most)
        binary = any(isinstance(m, BinaryQuant | ClampedBinaryQuant) for m in proxy.modules())
        if binary or ("bit_width" in injector and injector.bit_width == 1):
            raise ValueError(
                f"{name}: 1 bit is not supported: binary codes have no layer here, and of signed "
                "integers 1 bit leaves 0 and -1; use 2 bits, whose narrow range is -1, 0, 1"
            )


def _check_width(name: str, bits: Any, most: int) -> None:
    """ValueError, naming the quantizer, for integers that no kernel takes."""
    if isinstance(bits, int) and bits > most:
        raise ValueError(
            f"{name}: {bits} bits are too many: kernels multiply weights and activations of at "
            f"most {MAX_CODE_BITS} bits, and inputs of a fixed range (IntegerCodes) of "
            f"{MAX_COORDINATE_BITS}; use 2 to {most} bits"
        )


def warn_of_lost_inputs(model: nn.Module, inputs: Tensor) -> None:
    """LostInputWarning, naming it, for each module of a fixed range that its inputs do not fit.

    At most CHUNK samples are looked at, the first and the last among them.
    """
    some = torch.linspace(0, len(inputs) - 1, min(len(inputs), CHUNK), dtype=torch.float64)
    inputs = inputs[some.round().long().to(inputs.device)]
    hooks: list[Any] = []
    for name, module in model.named_modules():
        if isinstance(module, QuantLookupActivation):
            hooks.append((module, partial(_turned if module.limit is None else _clipped, name)))
        elif isinstance(module, qnn.QuantIdentity) and _is_a(module, IntegerCodes):
            hooks.append((module, partial(_fractions, name)))
    with evaluating(model), unquantized(model), torch.no_grad(), pre_hooked(hooks):
        called(model, inputs)


def _is_a(module: qnn.QuantIdentity, *quantizers: type) -> bool:
    injector = module.act_quant.quant_injector
    return isinstance(injector, type) and issubclass(injector, quantizers)


def _fractions(name: str, module: Any, args: tuple[Any, ...]) -> None:
    x = getattr(args[0], "value", args[0])
    share = float((x != x.round()).double().mean())
    if share > LOST_SHARE:
        warnings.warn(
            f"{name}: IntegerCodes rounds to whole numbers, which {share:.0%} of its inputs are "
            f"not (they are from {float(x.min()):g} to {float(x.max()):g}); scale them to codes, "
            "or hand the float module to dhq.quantize, which finds their grid",
            LostInputWarning,
            stacklevel=2,
        )


def _turned(name: str, module: Any, args: tuple[Any, ...]) -> None:
    x = getattr(args[0], "value", args[0])
    periods, bits = float(x.abs().max()) / module.period, module.table_bit_width
    if periods > 2.0 ** (PHASE_BITS - 1 - bits):
        most = PHASE_BITS - 1 - math.ceil(math.log2(periods))
        warnings.warn(
            f"{name}: its inputs reach {periods:.0f} periods, and of a table of {bits} address "
            f"bits no more than 2^{PHASE_BITS - 1 - bits} on either side of 0 are told apart, so "
            f"that it has no hardware; use {most} address bits (phase_bits), or smaller weights, "
            "as of a smaller omega_first",
            LostInputWarning,
            stacklevel=2,
        )


def _clipped(name: str, module: Any, args: tuple[Any, ...]) -> None:
    x = getattr(args[0], "value", args[0]).double()
    fn, limit = module.lookup.fn, module.limit
    values, held = fn(x), fn(x.clamp(-limit, limit))
    share = float(((values - held).abs() > LOST_ERROR * module.peak).double().mean())
    if share > LOST_SHARE:
        warnings.warn(
            f"{name}: limit={limit:g} clips {share:.1%} of its inputs, which reach "
            f"{float(x.abs().max()):g}, where the function still changes; raise the limit",
            LostInputWarning,
            stacklevel=2,
        )
