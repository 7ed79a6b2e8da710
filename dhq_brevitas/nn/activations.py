# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Activations for Brevitas as hardware computes them: address quantizer, table, output quantizer.

Any function of one variable will do. A periodic one is addressed by its phase, which wraps; another
by its position in a range, which is clipped. The table holds the function at the centers of the
address bins.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from brevitas.nn.quant_layer import ActQuantType, QuantNonLinearActLayer
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from dhq_brevitas.nn.quantizers import Int8UnitActPerTensorFixedPoint, PhaseQuant, RangeQuant

__all__ = ["MAX_PHASE_BITS", "MIN_PHASE_BITS", "QuantCos", "QuantLookupActivation", "QuantSine"]

# Address bits of a table, whether a phase or a position in a range.
MIN_PHASE_BITS = 4
MAX_PHASE_BITS = 16
# A function that is off by more than this part of its peak one period later is not periodic.
PERIOD_TOLERANCE = 1e-6

ScalarFunction = Callable[[Tensor], Tensor]


class LookupTable(nn.Module):
    """f at the centers of the address bins; the function between the two quantizers.

    Input: position t = code · 2^-P of a periodic function (in periods) or code · 2^-(P-1) of
    another (in units of the limit, -1 ≤ t < 1), float of any shape. Output: f at the center of the
    bin, of the same shape and type.

    The entries are taken in float64 and rounded to float32 once. Evaluation reads the table, and so
    does the exported graph (a Gather): every tool has the same values, whatever its mathematical
    library. Training computes f in float32, for its gradient; in evaluation mode gradients have
    that value, too.

    f may have parameters that are trained, its own or in a closure. So the table is made anew with
    every forward pass in evaluation mode, where it takes a small part of the time, and whenever
    that mode is entered or a state is loaded. Only a graph that is being captured, by an exporter
    or a compiler, holds the table as it is then.

    With ``addressed`` False (the address quantizer is disabled) f itself is computed.
    """

    table: Tensor

    def __init__(
        self,
        lookup_fn: ScalarFunction,
        lookup_unit: float,
        lookup_periodic: bool,
        phase_bit_width: int,
    ) -> None:
        super().__init__()
        self.fn, self.unit, self.periodic = lookup_fn, lookup_unit, lookup_periodic
        self.bins_per_unit = 2.0 ** (phase_bit_width if lookup_periodic else phase_bit_width - 1)
        self.half_bin = 0.5 / self.bins_per_unit
        self.origin = 0.0 if lookup_periodic else 1.0
        self.addressed = True
        table = _tabulate(
            lookup_fn, self._centers(2**phase_bit_width), lookup_unit if lookup_periodic else None
        )
        self.register_buffer("table", table.to(torch.float32), persistent=False)
        self.register_load_state_dict_post_hook(_refresh_loaded)

    def _centers(self, entries: int, device: torch.device | None = None) -> Tensor:
        """Arguments of f at the bin centers, float64 [entries]."""
        bins = torch.arange(entries, dtype=torch.float64, device=device)
        return (bins / self.bins_per_unit - self.origin + self.half_bin) * self.unit

    @torch.no_grad()
    def refresh(self) -> None:
        """Makes the table of f as its parameters are now."""
        values = self.fn(self._centers(len(self.table), self.table.device))
        self.table.copy_(values)

    def train(self, mode: bool = True) -> "LookupTable":
        super().train(mode)
        if not mode:
            self.refresh()
        return self

    def forward(self, t: Tensor) -> Tensor:
        if not self.addressed:
            return self.fn(t * self.unit)
        captured = torch.jit.is_tracing() or torch.compiler.is_compiling()
        # Exact: t has fewer than 24 significant bits.
        start = torch.floor(t) if self.periodic else -1.0
        t = t - start
        if self.training:
            return self.smooth(t - self.origin)
        code = (t * self.bins_per_unit).to(torch.int64)
        if captured:
            value = self.table[code]
        else:
            self.refresh()
            # NaN has no entry, and stays what it is.
            code = code.clamp(0, len(self.table) - 1)
            value = torch.where(t.isnan(), t, self.table[code])
        if t.requires_grad:
            smooth = self.smooth(t - self.origin)
            value = value + (smooth - smooth.detach())
        return value

    def smooth(self, t: Tensor) -> Tensor:
        """f in the middle of the bin that starts at position ``t``, with its gradient."""
        return self.fn((t + self.half_bin) * self.unit)


def _refresh_loaded(table: LookupTable, keys: Any) -> None:
    table.refresh()


def _tabulate(fn: ScalarFunction, centers: Tensor, period: float | None) -> Tensor:
    """fn(centers), float64; ValueError unless fn is finite, elementwise and has the period."""
    name = getattr(fn, "__name__", None) or repr(fn)
    with torch.no_grad():
        values = fn(centers)
        if not isinstance(values, Tensor) or values.shape != centers.shape:
            raise ValueError(
                f"fn={name} must map a tensor to a tensor of the same shape, element by element"
            )
        if not bool(torch.isfinite(values).all()):
            where = centers[~torch.isfinite(values)][0].item()
            raise ValueError(f"fn={name} is not finite at {where:g}, inside its range; narrow it")
        values = values.to(torch.float64)
        peak = values.abs().max().item()
        if peak == 0:
            raise ValueError(f"fn={name} is zero everywhere in its range; widen it")
        tolerance = PERIOD_TOLERANCE * peak
        alone = fn(centers[::3]).to(torch.float64)
        if not torch.allclose(alone, values[::3], rtol=0, atol=tolerance):
            raise ValueError(f"fn={name} must act on each element by itself; it mixes elements")
        if period is not None:
            error = (fn(centers + period).to(torch.float64) - values).abs().max().item()
            if error > tolerance:
                raise ValueError(
                    f"fn={name} does not repeat with period={period:g} (it differs by {error:g}); "
                    "give its period, or limit= for a function that is not periodic"
                )
    return values


class QuantLookupActivation(QuantNonLinearActLayer):
    """Any scalar function as hardware computes it: a table of 2^P entries.

    With P = ``table_bit_width`` and the input x:

        periodic:  p = ⌊x/period · 2^P⌋ mod 2^P;   c = (p + ½)·2^-P · period
        otherwise: p = clip(⌊x/limit · 2^(P-1)⌋);  c = (p + ½)·2^-(P-1) · limit
        output:    y = Q(f(c))

    clip is to the P-bit integers, so x beyond [-limit, limit) gets the function's value at that
    end. Q is the output quantizer. Taking f at the bin center keeps the floor free of bias.
    Gradients pass straight through the floor and the rounding: dy/dx = f'(c) where neither the clip
    nor Q cuts off.

    Args:
        fn: the function, of a float tensor, element by element, from PyTorch operations (float64
            for the table, float32 in training). It need not be known to ONNX: the table is
            exported, as a Gather.
        period: of fn, in units of the input; or
        limit: half the width of the range [-limit, limit). Powers of two keep power-of-two scales
            exact; fold other factors into the weights of the layer before.
        table_bit_width: P, 4 to 16.
        act_quant: output quantizer. The default has 8 bits (``bit_width=`` overrides) and a fixed
            scale, for the range ±A with A the smallest power of two that is at least max|f|, or
            [0, A) without sign if f is never negative. None leaves the output unquantized.
        return_quant_tensor: hand on an IntQuantTensor, which a stock layer or a bias quantizer with
            external scale needs.

    Input and output: float32 of the same, arbitrary shape. Raises ValueError for a function that is
    not finite, not elementwise or not periodic with ``period``, and for numbers out of range.

        >>> gaussian = QuantLookupActivation(lambda x: torch.exp(-(x**2)), limit=4.0)
    """

    def __init__(
        self,
        fn: ScalarFunction,
        *,
        period: float | None = None,
        limit: float | None = None,
        table_bit_width: int = 12,
        act_quant: ActQuantType | None = Int8UnitActPerTensorFixedPoint,
        return_quant_tensor: bool = False,
        **kwargs,
    ) -> None:
        _check_bits("table_bit_width", table_bit_width)
        if (period is None) == (limit is None):
            raise ValueError(
                f"period={period}, limit={limit}: give one of them: the period of a periodic "
                "function, or the limit of the range of another"
            )
        name, unit = ("period", period) if limit is None else ("limit", limit)
        assert unit is not None
        if not (unit > 0 and math.isfinite(unit)):
            raise ValueError(f"{name}={unit} must be a positive number")
        periodic = limit is None
        entries = LookupTable(fn, unit, periodic, table_bit_width).table
        peak = 2.0 ** math.ceil(math.log2(entries.abs().max().item()))
        if act_quant is Int8UnitActPerTensorFixedPoint:
            signed = bool(entries.min() < 0)
            kwargs = {"min_val": -peak, "max_val": peak, "signed": signed} | kwargs
        self._options = {
            "fn": fn,
            "period": period,
            "limit": limit,
            "table_bit_width": table_bit_width,
            "act_quant": act_quant,
            "return_quant_tensor": return_quant_tensor,
            **kwargs,
        }
        super().__init__(
            act_impl=LookupTable,
            passthrough_act=False,
            input_quant=PhaseQuant if periodic else RangeQuant,
            act_quant=act_quant,
            return_quant_tensor=return_quant_tensor,
            lookup_fn=fn,
            lookup_unit=unit,
            lookup_periodic=periodic,
            phase_bit_width=table_bit_width,
            input_phase_bit_width=table_bit_width,
            **kwargs,
        )
        self.table_bit_width = table_bit_width
        self.period, self.limit, self.unit, self.peak = period, limit, unit, peak

    @property
    def lookup(self) -> LookupTable:
        """The table, or in training the function."""
        return self.act_quant.fused_activation_quant_proxy.activation_impl

    def with_bits(self, table_bit_width: int, bit_width: int) -> "QuantLookupActivation":
        """The same function with other widths of address and output, in evaluation mode."""
        widths = {"table_bit_width": table_bit_width, "bit_width": bit_width}
        table = QuantLookupActivation(**self._options | widths).eval()
        return table.to(self.lookup.table.device)

    def forward(self, input: Tensor | QuantTensor) -> Tensor | QuantTensor:
        x = input.value if isinstance(input, QuantTensor) else input
        self.lookup.addressed = self.input_quant.is_quant_enabled
        dtype = self.lookup.table.dtype
        if dtype in (torch.float16, torch.bfloat16):
            raise TypeError(
                f"{type(self).__name__} was converted to {dtype}, which cannot hold its "
                "addresses; keep the model in float32 and use torch.autocast"
            )
        # Addresses need float32, also where autocast made the layer before shorter.
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        return super().forward(x if self.unit == 1 else x / self.unit)


class QuantSine(QuantLookupActivation):
    """f(x) = sin(2π·x/period), see :class:`QuantLookupActivation`; for |x| < 2^(23-P) periods.

    ``phase_bit_width``: P, 4 to 16. ``period``: 2π for radians, 1 for turns; a power of two keeps
    power-of-two scales exact, so fold ω0/2π into the weights of the layer before.
    """

    def __init__(
        self,
        phase_bit_width: int = 12,
        period: float = 2 * math.pi,
        act_quant: ActQuantType | None = Int8UnitActPerTensorFixedPoint,
        return_quant_tensor: bool = False,
        **kwargs,
    ) -> None:
        _check_bits("phase_bit_width", phase_bit_width)
        if not (period > 0 and math.isfinite(period)):
            raise ValueError(f"period={period} must be a positive number (2π for radians)")
        super().__init__(
            partial(self._of_angle, 2 * math.pi / period),
            period=period,
            table_bit_width=phase_bit_width,
            act_quant=act_quant,
            return_quant_tensor=return_quant_tensor,
            **kwargs,
        )

    @property
    def phase_bit_width(self) -> int:
        """Address bits of the table."""
        return self.table_bit_width

    @staticmethod
    def _of_angle(factor: float, x: Tensor) -> Tensor:
        return torch.sin(x * factor)


class QuantCos(QuantSine):
    """f(x) = cos(2π·x/period), otherwise as :class:`QuantSine`."""

    @staticmethod
    def _of_angle(factor: float, x: Tensor) -> Tensor:
        return torch.cos(x * factor)


def _check_bits(name: str, bits: int) -> None:
    if not isinstance(bits, int):
        raise TypeError(f"{name}={bits!r} must be an integer")
    if not MIN_PHASE_BITS <= bits <= MAX_PHASE_BITS:
        raise ValueError(f"{name}={bits} is out of range: use {MIN_PHASE_BITS} to {MAX_PHASE_BITS}")
