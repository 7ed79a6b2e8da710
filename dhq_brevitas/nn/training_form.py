# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A network of Brevitas layers in a form that PyTorch can compile, for training.

Brevitas's layers hand on ``QuantTensor``, which torch.compile cannot trace outside Brevitas's
inference mode (an IndexError in reading a field of that tuple). Here they hand on plain tensors;
scales are those of Brevitas's own modules (``tensor_quant``) on the network's own parameters, so
nothing needs to be written back. Outputs are the same to the bit, gradients but for their rounding.
"""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from brevitas.nn.mixin.base import QuantLayerMixin
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from dhq_brevitas.nn.activation_kernel import Table, activation, in_kernel
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.fused_quantizer import (
    FusedIntQuant,
    fused_quantizer,
    is_of_no_tensor,
    quantized,
    recomputed,
)
from dhq_brevitas.nn.linear import linear
from dhq_brevitas.nn.proxies import HadamardActQuantProxy, weight_rotation
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.util.errors import first_line
from dhq_brevitas.util.hooks import evaluating, hooked, pre_hooked

__all__ = ["CompileWarning", "compiled", "training_form"]


def training_form(model: nn.Module, inputs: Tensor) -> nn.Module | None:
    """``model`` in training mode with plain tensors between its layers, sharing its parameters.

    ``inputs`` are a few samples, float32 [N, …], on which the two are compared. Returns None where
    there is none: for quantized layers other than QuantLinear, QuantIdentity and
    QuantLookupActivation (and its kinds), for scales that are still being collected, and wherever
    the outputs or gradients are not the same. A warning says so where a layer fails in it, and
    where scales are still being collected.
    """
    for name, module in model.named_modules():
        if _is_collecting(module):
            _warn_of_own_modules(f"{name} still collects its scale: calibrate it, or take it out")
            return None
    if not any(isinstance(module, QuantLayerMixin) for module in model.modules()):
        return model
    scales, tables = _given(model, inputs)
    failed: Exception | None = None
    # A table that becomes part of the next layer must not be used by anything else.
    for joined in (tables, {}) if tables and in_kernel(inputs) else ({},):
        try:
            form = _in_form(model, scales, _Tables(joined))
            if _same(model, form, inputs):
                return form.train()
        except _NoForm:
            continue
        except Exception as error:  # whatever a network does that expects a QuantTensor
            failed = error
    if failed is not None:
        reason = f"with plain tensors in place of QuantTensors it fails ({first_line(failed)})"
        _warn_of_own_modules(reason)
    return None


def _warn_of_own_modules(reason: str) -> None:
    warnings.warn(
        f"training calls the network's own modules, which takes several times longer: {reason}",
        CompileWarning,
        stacklevel=4,
    )


class CompileWarning(UserWarning):
    """Training runs uncompiled, more slowly than it could."""


def compiled(form: nn.Module, samples: Tensor) -> Callable[[Tensor], Tensor]:
    """``form`` compiled for inputs of the shape of ``samples``, forwards and backwards.

    Where that fails, as without a C++ compiler, ``form`` itself, and a warning says why.
    """
    parameters = [p for p in form.parameters() if p.requires_grad]

    def call(samples: Tensor) -> Tensor:
        outputs: Tensor = form(samples)
        return outputs

    # PyTorch keeps at most eight compilations of one code object, whichever network they are of.
    call.__code__ = call.__code__.replace()
    # Nothing about the modules changes as long as they train: comparing all of that with how it was
    # takes as long as quantizing a layer's weights.
    unguarded = getattr(torch.compiler, "skip_guard_on_all_nn_modules_unsafe", None)
    options = None if unguarded is None else {"guard_filter_fn": unguarded}
    run = torch.compile(call, fullgraph=True, dynamic=False, options=options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch about its own
            torch.autograd.grad(run(samples).square().mean(), parameters, allow_unused=True)
    except Exception as error:  # compilers fail in many ways
        warnings.warn(
            "training runs uncompiled, more slowly: PyTorch cannot compile it here "
            f"({first_line(error)})",
            CompileWarning,
            stacklevel=3,
        )
        return form
    return run


class _NoForm(Exception):
    """A layer that has no such form."""


def _is_collecting(module: nn.Module) -> bool:
    if not isinstance(module, ParameterFromRuntimeStatsScaling):
        return False
    return bool(module.counter <= module.collect_stats_steps)


Given = Tensor | Any | None


def _given(
    model: nn.Module, inputs: Tensor
) -> tuple[dict[nn.Module, Given], dict[nn.Module, QuantLookupActivation]]:
    """For each linear layer the scale of the integers that it is given, and what made them.

    The scale is a constant, the activation proxy that learns it, or None where the layer is given
    others. What made them is only there if it is a table.
    """
    scales: dict[nn.Module, Given] = {}
    tables: dict[nn.Module, QuantLookupActivation] = {}
    made: list[tuple[Tensor, Any]] = []

    def note_made(layer: Any, args: Any, output: Any) -> None:
        made.append((getattr(output, "value", output), layer))

    def note_given(layer: nn.Module, args: tuple[Any, ...]) -> None:
        given = args[0]
        learns = isinstance(given, IntQuantTensor) and given.scale.requires_grad
        scales[layer] = None
        if isinstance(given, IntQuantTensor) and not learns:
            scales[layer] = given.scale.detach()
        for value, maker in made:
            if value.data_ptr() != getattr(given, "value", given).data_ptr():
                continue
            if learns:
                scales[layer] = maker.act_quant
            if isinstance(maker, QuantLookupActivation):
                tables[layer] = maker

    modules = list(model.modules())
    linears = [(m, note_given) for m in modules if isinstance(m, qnn.QuantLinear)]
    acts = [(m, note_made) for m in modules if isinstance(m, QuantNonLinearActLayer)]
    with evaluating(model), pre_hooked(linears), hooked(acts):
        model(inputs)
    return scales, tables


class _Tables:
    """Forms of tables, of which those in ``joined`` become part of the layer that they feed."""

    def __init__(self, joined: dict[nn.Module, QuantLookupActivation]) -> None:
        self.joined, self.forms = joined, dict[nn.Module, _Lookup]()

    def form(self, layer: QuantLookupActivation) -> "_Lookup":
        if layer not in self.forms:
            self.forms[layer] = _Lookup(layer)
        return self.forms[layer]

    def before(self, linear: nn.Module) -> "_Lookup | None":
        """What becomes part of ``linear``, if it can."""
        layer = self.joined.get(linear)
        form = None if layer is None else self.form(layer)
        return None if form is None or form.table is None else form


def _in_form(module: nn.Module, scales: dict[nn.Module, Given], tables: _Tables) -> nn.Module:
    if isinstance(module, qnn.QuantLinear):
        return _Linear(module, scales.get(module), tables.before(module))
    if isinstance(module, QuantLookupActivation):
        return tables.form(module)
    if type(module) is qnn.QuantIdentity:
        return _Identity(module)
    if type(module).__module__.startswith("brevitas."):
        raise _NoForm
    form = copy.copy(module)
    form._modules = {
        name: None if child is None else _in_form(child, scales, tables)
        for name, child in module._modules.items()
    }
    return form


def _same(model: nn.Module, form: nn.Module, inputs: Tensor) -> bool:
    """Whether outputs are equal and gradients agree; modules stay in the mode they were in."""
    modes = [(module, module.training) for module in model.modules()]
    parameters = [p for p in model.parameters() if p.requires_grad]
    results = []
    model.train()
    try:
        for network in (model, form.train()):
            output = network(inputs)
            output = getattr(output, "value", output)
            grads = torch.autograd.grad(output.square().mean(), parameters, allow_unused=True)
            results.append([output.detach(), *grads])
    finally:
        for module, mode in modes:
            module.training = mode
    if not torch.equal(results[0][0], results[1][0]):
        return False
    ones, others = (grads[1:] for grads in results)
    largest = max((float(one.abs().max()) for one in ones if one is not None), default=0.0)
    for one, other in zip(ones, others, strict=True):
        if (one is None) != (other is None):
            return False
        # But for rounding, also where large terms of a scale's gradient cancel.
        if one is not None:
            tolerated = 1e-4 * float(one.abs().max()) + 1e-6 * largest
            if not float((one - other).abs().max()) <= tolerated:
                return False
    return True


class _Activated(nn.Module):
    """Value and scale that a Brevitas activation proxy makes of a tensor."""

    def __init__(self, proxy: Any) -> None:
        super().__init__()
        fused = proxy.fused_activation_quant_proxy
        self.function, self.enabled = fused.activation_impl, proxy.is_quant_enabled
        self.quantizer = fused_quantizer(fused.tensor_quant) if self.enabled else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.function(x)
        if self.quantizer is None:
            return x, x.new_ones(())
        value, scale, _, _ = quantized(self.quantizer, x)
        return value, scale

    def value(self, x: Tensor) -> Tensor:
        return self(x)[0]

    def int_quant(self) -> FusedIntQuant | None:
        """The quantizer, if nothing that is computed of a tensor goes into it."""
        quantizer: Any = self.quantizer
        found = getattr(quantizer, "int_quant", None)
        if not isinstance(found, FusedIntQuant) or not isinstance(self.function, nn.Identity):
            return None
        return found if is_of_no_tensor(quantizer.scaling_impl) else None


class _Linear(nn.Module):
    """A QuantLinear, its input quantizer included."""

    def __init__(self, layer: Any, scale: Given, lookup: "_Lookup | None") -> None:
        super().__init__()
        enabled = layer.input_quant.is_quant_enabled
        self.layer = layer
        # A learned scale does not depend on the tensor.
        self.given = _Activated(scale) if isinstance(scale, nn.Module) else scale
        self.input = _Activated(layer.input_quant) if enabled else None
        quantizes_weight = layer.weight_quant.is_quant_enabled
        self.weight = fused_quantizer(layer.weight_quant.tensor_quant) if quantizes_weight else None
        quantizes_bias = layer.bias is not None and layer.bias_quant.is_quant_enabled
        self.bias = fused_quantizer(layer.bias_quant.tensor_quant) if quantizes_bias else None
        self.rotation = weight_rotation(layer)
        proxy = layer.input_quant
        rotates = isinstance(proxy, HadamardActQuantProxy)
        self.rotates_first = rotates and not proxy.rotates_after
        self.rotates_behind = self.scales_behind = rotates and proxy.rotates_after
        quantizer = None if self.input is None else self.input.int_quant()
        if quantizer is not None:
            if rotates:
                quantizer.rotation, quantizer.after = self.rotation, proxy.rotates_after
                self.rotates_first = self.rotates_behind = False
            if lookup is not None:
                quantizer.table, quantizer.values = lookup.table, lookup.values
                lookup.joined = True
        external = quantizes_bias and layer.bias_quant.requires_input_scale
        if layer.output_quant.is_quant_enabled or (external and scale is None and not enabled):
            raise _NoForm

    def forward(self, x: Tensor) -> Tensor:
        layer, rotation = self.layer, self.rotation
        scale: Any = self.given
        if isinstance(scale, nn.Module):
            scale = scale(x.new_zeros(()))[1]
        if self.rotates_first:
            x = rotation.rotate_input(x)
        if self.input is not None:
            x, scale = self.input(x)
        if self.rotates_behind:
            x = rotation.rotate_input(x)
        if self.scales_behind:
            scale = None if scale is None else scale * rotation.other_scale
        weight, weight_scale = self._weight()
        bias = layer.bias
        if self.bias is not None:
            if layer.bias_quant.requires_input_scale:
                bias = self.bias(bias, (scale * weight_scale).flatten())[0]
            else:
                bias = self.bias(bias)[0]
        return linear(x, weight, bias)

    def _weight(self) -> tuple[Tensor, Any]:
        layer, rotation = self.layer, self.rotation
        weight, scale = rotation.rotate_weight(layer.weight), torch.ones(())
        if self.weight is not None:
            weight, scale, _, _ = quantized(self.weight, weight)
        if rotation.side == Side.OUTPUT:
            return rotation.unrotate_weight(weight), scale * rotation.other_scale
        return weight, scale


class _Lookup(nn.Module):
    """A QuantLookupActivation."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        layer.lookup.addressed = layer.input_quant.is_quant_enabled
        self.phase, self.output = _Activated(layer.input_quant), _Activated(layer.act_quant)
        self.table = self._table()
        self.joined = False  # with the layer that it feeds, which then computes the values

    def forward(self, x: Tensor) -> Tensor:
        return x if self.joined else self.values(x)

    def values(self, x: Tensor) -> Tensor:
        if self.table is not None and in_kernel(x):
            return activation(x, table=self.table)
        return recomputed(self._values, x if self.layer.unit == 1 else x / self.layer.unit)

    def _values(self, x: Tensor) -> Tensor:
        return self.output.value(self.phase.value(x))

    def _quantized(self, values: Tensor) -> Tensor:
        quantizer = self.output.quantizer
        return values if quantizer is None else quantizer(values)[0]

    def _table(self) -> Table | None:
        """Values and slopes, if they are the same in each step: of a function without state."""
        lookup, phase = self.layer.lookup, self.phase.int_quant()
        if not lookup.addressed or phase is None or not phase.grid.floors or not _pure(lookup.fn):
            return None
        entries = torch.arange(len(lookup.table), device=lookup.table.device)
        t = (entries / lookup.bins_per_unit - lookup.origin).requires_grad_()
        with torch.enable_grad():
            if self._quantized(lookup.smooth(t.detach())).requires_grad:
                return None  # a parameter of the function, or a scale, is learned
            values = self._quantized(lookup.smooth(t))
            (slopes,) = torch.autograd.grad(values.sum(), t)
        return Table.of(
            values.detach(),
            slopes / self.layer.unit,
            unit=self.layer.unit,
            bins=lookup.bins_per_unit,
            least=phase.grid.low,
            most=phase.grid.high,
            offset=0 if lookup.periodic else len(entries) // 2,
            passes=phase.grid.passes,
        )


def _pure(fn: Any) -> bool:
    """Whether a function depends on nothing but its argument, globals and fixed numbers.

    Numbers and such functions may be bound to it.
    """
    if isinstance(fn, partial):
        bound = (*fn.args, *fn.keywords.values())
        return _pure(fn.func) and all(isinstance(x, int | float) or _pure(x) for x in bound)
    return isinstance(fn, FunctionType | BuiltinFunctionType) and not getattr(fn, "__closure__", ())


class _Identity(nn.Module):
    """A QuantIdentity."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.output = _Activated(layer.act_quant)
        if layer.input_quant.is_quant_enabled:
            raise _NoForm

    def forward(self, x: Tensor) -> Tensor:
        return self.output.value(x)
