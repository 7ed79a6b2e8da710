# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Brevitas quantization proxies that rotate a tensor with a Hadamard transform before quantizing.

What is rotated with what is said in :mod:`dhq_brevitas.nn.rotation`:

* side ``input``: the input proxy quantizes the rotated input, the weight proxy the rotated weight;
* side ``input``, with the rotation after the activation quantizer: the input proxy quantizes x and
  rotates the codes, exactly, which makes integers of k more bits; weights as before;
* side ``output``: the weight proxy quantizes the rotated weight and rotates it back, so the layer
  itself is unchanged. In hardware this is one transform after the matrix product.

Everything else (scale statistics, learned scales, bit widths, caching, state_dict) is Brevitas's
own and sees the rotated tensor.
"""

import warnings
from typing import Any

import torch
from brevitas import config
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from brevitas.quant_tensor import IntQuantTensor, QuantTensor
from torch import Tensor, nn

from dhq_brevitas.nn.hadamard import MAX_ORDER, largest_order, random_signs
from dhq_brevitas.nn.rotation import Rotation, Side


class NoRotationWarning(UserWarning):
    """A DHQ quantizer was put on a layer whose size admits no Hadamard block larger than 1."""


def describe(layer: nn.Module) -> str:
    """One line for messages, such as ``QuantLinear(in_features=2, out_features=64, bias=True)``."""
    return f"{type(layer).__name__}({layer.extra_repr()})"


def check_exporter(proxy: WeightQuantProxyFromInjector | ActQuantProxyFromInjector) -> None:
    """RuntimeError while an exporter runs that does not know DHQ quantizers."""
    if proxy.export_mode and proxy.export_handler is None:
        raise RuntimeError(
            f"{describe(proxy.tracked_module_list[0])}: this exporter does not know DHQ "
            "quantizers; use the QONNX export, and import dhq_brevitas.export first"
        )


def _rotated_size(layer: nn.Module, side: str) -> int:
    """Length of the axis of ``layer.weight`` that ``side`` names, or a clear refusal."""
    if side not in ("input", "output"):
        raise ValueError(f"hadamard_side={side!r} is unknown: use 'input' or 'output'")
    if isinstance(layer, nn.Linear):
        return layer.in_features if side == "input" else layer.out_features
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        if layer.groups != 1:
            raise ValueError(
                f"{describe(layer)}: a Hadamard rotation mixes all input channels, so groups must "
                f"be 1, not {layer.groups}; use a stock Brevitas weight quantizer for grouped "
                "convolutions"
            )
        if side == "output":
            raise ValueError(
                f"{describe(layer)}: output-side rotation is for linear layers; use "
                "hadamard_side='input'"
            )
        return layer.in_channels
    raise TypeError(
        f"DHQ weight quantizers rotate QuantLinear, QuantConv1d and QuantConv2d, not "
        f"{type(layer).__name__}; use a stock Brevitas weight quantizer for this layer"
    )


def _block_order(layer: nn.Module, size: int, requested: int | None) -> int:
    if requested is None:
        order = largest_order(size)
        if order == 1:
            warnings.warn(
                f"{describe(layer)}: size {size} is odd, so no Hadamard rotation applies and the "
                f"layer is quantized unrotated; choose an even size or a stock quantizer",
                NoRotationWarning,
                stacklevel=2,
            )
        return order
    if not isinstance(requested, int):
        raise TypeError(f"{describe(layer)}: hadamard_order={requested!r} must be an integer")
    if requested < 1 or requested & (requested - 1) or requested > MAX_ORDER:
        raise ValueError(
            f"{describe(layer)}: hadamard_order={requested} is not a power of two from 1 to "
            f"{MAX_ORDER}; the largest that fits this layer is {largest_order(size)}"
        )
    if size % requested:
        raise ValueError(
            f"{describe(layer)}: hadamard_order={requested} does not divide the size {size}; the "
            f"largest that does is {largest_order(size)}"
        )
    return requested


class HadamardWeightQuantProxy(WeightQuantProxyFromInjector):
    """Rotates a weight, then quantizes it as the injector says.

    Injector attributes (``weight_`` keywords of the layer):

    * ``hadamard_order``: block size, a power of two dividing the rotated axis; default the largest
      (at most 4096). An odd size has none: the layer stays unrotated, a NoRotationWarning says so.
    * ``hadamard_signs``: None (plain H), an integer seed, or a ±1 tensor of the axis' size.
    * ``hadamard_side``: ``"input"`` (default; the layer's ``input_quant`` must then be a DHQ
      activation quantizer) or ``"output"`` (per-tensor scale only, since the transform mixes rows).

    Raises ValueError or TypeError for layers and options that cannot be rotated.
    """

    def __init__(self, quant_layer: nn.Module, quant_injector: Any) -> None:
        def option(name: str) -> Any:
            return getattr(quant_injector, name) if name in quant_injector else None

        side = option("hadamard_side") or "input"
        size = _rotated_size(quant_layer, side)
        order = _block_order(quant_layer, size, option("hadamard_order"))
        super().__init__(quant_layer, quant_injector)
        self._depth = 0
        self.rotated_size = size
        self._side, self._order = Side(side), order
        self._seed: int | None = None
        signs = self._checked_signs(option("hadamard_signs"), size)
        self.register_buffer("hadamard_signs", signs if order > 1 else None)
        per_channel = "CHANNEL" in str(quant_injector.scaling_per_output_type)
        if side == "output" and order > 1 and per_channel:
            raise ValueError(
                f"{describe(quant_layer)}: output-side rotation mixes the output channels, so "
                "their scales must be one: use a per-tensor weight quantizer"
            )

    def _checked_signs(self, signs: Tensor | int | None, size: int) -> Tensor | None:
        if signs is None:
            return None
        if isinstance(signs, int):
            self._seed = signs
            return random_signs(size, signs)
        try:
            entries = torch.as_tensor(signs, dtype=torch.float32)
        except (TypeError, ValueError):
            entries = torch.empty(0)
        if entries.shape != (size,) or not bool((entries.abs() == 1).all()):
            raise ValueError(
                f"hadamard_signs must be {size} entries of ±1 or an integer seed, got {signs!r}"
            )
        return entries

    def add_tracked_module(self, module: nn.Module) -> None:
        if self.tracked_module_list:
            raise ValueError(
                "a DHQ weight quantizer belongs to one layer: its scale statistics are taken on "
                "that layer's rotated weight; give each layer its own"
            )
        super().add_tracked_module(module)

    @property
    def rotation(self) -> Rotation:
        """What the weight is rotated with; ``side`` is input or output."""
        return Rotation(self._side, self._order, self.hadamard_signs, self._seed)

    def rotate_weight(self, weight: Tensor) -> Tensor:
        """The tensor that is quantized; see :meth:`Rotation.rotate_weight`."""
        return self.rotation.rotate_weight(weight)

    def unrotate_weight(self, rotated: Tensor) -> Tensor:
        """Inverse of :meth:`rotate_weight`."""
        return self.rotation.unrotate_weight(rotated)

    def forward(self, x: Tensor) -> Tensor | QuantTensor:
        self._check_input_quantizer()
        check_exporter(self)
        # In export mode the handler supplies the rotated weight as a constant.
        if self.export_mode:
            return super().forward(x)
        if self._depth == 0 and x.shape[self.rotation.weight_axis] != self.rotated_size:
            raise ValueError(
                f"{describe(self.tracked_module_list[0])}: a part of a rotated weight cannot be "
                "quantized by itself, as Brevitas's gptq_mode asks for; dhq_brevitas.quantize "
                "rounds rotated weights with a view to their inputs"
            )
        self._depth += 1
        try:
            if self._depth > 1:  # a scale search trying a candidate on the rotated weight
                return super().forward(x)
            out = super().forward(self.rotate_weight(x))
        finally:
            self._depth -= 1
        if self._side == Side.OUTPUT and isinstance(out, Tensor):
            out = self.unrotate_weight(out)
        return out

    def create_quant_tensor(self, qt_args: tuple[Any, ...]) -> IntQuantTensor:
        if self._side == Side.OUTPUT and self._depth == 1:
            value, scale, zero_point, bit_width = qt_args
            rotation = self.rotation
            # R times integers of b bits is integers of b + k bits.
            qt_args = (
                rotation.unrotate_weight(value),
                scale * rotation.other_scale,
                zero_point,
                bit_width + rotation.growth,
            )
        return super().create_quant_tensor(qt_args)

    def _check_input_quantizer(self) -> None:
        layer = self.tracked_module_list[0]
        if self._side == Side.INPUT and not isinstance(layer.input_quant, HadamardActQuantProxy):
            raise ValueError(
                f"{describe(layer)}: the weight is rotated but the input is not; pass a DHQ "
                "activation quantizer as input_quant (for example Int8DHQActPerTensorFloat), or "
                "weight_hadamard_side='output'"
            )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if self._seed is not None and self.hadamard_signs is not None:
            drawn = random_signs(self.rotated_size, self._seed).to(self.hadamard_signs)
            if not torch.equal(drawn, self.hadamard_signs):
                self._seed = None  # the signs are those of the state
        key = prefix + "hadamard_signs"
        if config.IGNORE_MISSING_KEYS and key in missing_keys:
            missing_keys.remove(key)


def weight_rotation(layer: Any) -> Rotation:
    """What the weight of a Brevitas layer is rotated with; no rotation for a stock quantizer."""
    proxy = layer.weight_quant
    return proxy.rotation if isinstance(proxy, HadamardWeightQuantProxy) else Rotation()


class HadamardActQuantProxy(ActQuantProxyFromInjector):
    """Rotates an activation, then quantizes it as the injector says; or the other way round.

    Used as ``input_quant`` of a layer whose ``weight_quant`` is a DHQ weight quantizer on side
    ``input``; order and signs are taken from there, so the two cannot disagree. The rotated axis is
    the last one of a linear layer's input and axis 1 (channels) of a convolution's.

    Injector attribute (``input_`` keyword of the layer) ``hadamard_after``: with True, x is
    quantized first and its codes are rotated. b-bit codes of scale s give integers of b + k bits
    (one more if b is unsigned) of scale s · 2^-⌊k/2⌋, k = log2(order), and nothing is rounded.
    ``scale()`` and ``bit_width()`` are those of the quantizer. It must be symmetric with one scale.
    """

    def __init__(self, quant_layer: nn.Module, quant_injector: Any) -> None:
        super().__init__(quant_layer, quant_injector)
        self._depth = 0
        after = "hadamard_after" in quant_injector and quant_injector.hadamard_after
        if not isinstance(after, bool):
            raise TypeError(f"hadamard_after={after!r} must be True or False")
        for name in ("hadamard_order", "hadamard_signs", "hadamard_side"):
            if name in quant_injector:
                raise ValueError(
                    f"input_{name} has no effect: order, signs and side are those of the weight "
                    f"quantizer; use weight_{name}"
                )
        self.rotates_after = after

    def add_tracked_module(self, module: nn.Module) -> None:
        if self.tracked_module_list:
            raise ValueError(
                "a DHQ activation quantizer belongs to one layer, with whose weight it rotates; "
                "give each layer its own"
            )
        super().add_tracked_module(module)

    @property
    def axis(self) -> int:
        """Axis of the input that is rotated."""
        return -1 if isinstance(self.tracked_module_list[0], nn.Linear) else 1

    @property
    def weight_proxy(self) -> HadamardWeightQuantProxy:
        """The partner that holds order and signs; ValueError if the layer has none."""
        layer = self.tracked_module_list[0]
        # While a graph is captured, modules are stood in for by others.
        captured = self.export_mode or torch.compiler.is_compiling()
        if not captured and getattr(layer, "input_quant", self) is not self:
            raise ValueError(
                f"{describe(layer)}: a DHQ activation quantizer rotates a layer's input; use it as "
                "input_quant, and a stock quantizer as output_quant"
            )
        partner = getattr(layer, "weight_quant", None)
        if not isinstance(partner, HadamardWeightQuantProxy) or partner.rotation.side != Side.INPUT:
            raise ValueError(
                f"{describe(layer)}: the input is rotated but the weight is not; pass a DHQ weight "
                "quantizer as weight_quant (for example Int8DHQWeightPerTensorFloat) with "
                "weight_hadamard_side='input'"
            )
        return partner

    def rotate_input(self, x: Tensor) -> Tensor:
        """x R · 2^-⌊k/2⌋: what is quantized, or what becomes of quantized values."""
        partner = self.weight_proxy
        if x.shape[self.axis] != partner.rotated_size:
            raise ValueError(
                f"{describe(self.tracked_module_list[0])}: the input has "
                f"{x.shape[self.axis]} channels, the layer expects {partner.rotated_size}"
            )
        if self.export_mode:
            return self.export_handler.rotate(x)
        return partner.rotation.rotate_input(x, self.axis)

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        check_exporter(self)
        value = x.value if isinstance(x, QuantTensor) else x
        self._depth += 1
        try:
            # Not rotated here: scalars, with which Brevitas reads scale and bit width, and nested
            # calls, with which a scale search tries a candidate.
            if value.ndim == 0 or self._depth > 1:
                return super().forward(x)
            if self.rotates_after:
                return self._rotated(super().forward(x))
            return super().forward(self.rotate_input(value))
        finally:
            self._depth -= 1

    def _rotated(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """:meth:`rotate_input` of quantized values, which keep their codes; of any others, too."""
        if not isinstance(x, QuantTensor):
            return self.rotate_input(x)
        # Values are not looked at while tracing, nor on CUDA, where that would stall the device.
        seen = x.value.device.type == "cpu" and not (
            self.export_mode or torch.compiler.is_compiling() or torch.jit.is_tracing()
        )
        if (
            not isinstance(x, IntQuantTensor)
            or x.scale.numel() != 1
            or (seen and bool(x.zero_point.any()))
        ):
            raise ValueError(
                f"{describe(self.tracked_module_list[0])}: a rotation after the activation "
                "quantizer mixes its channels, which takes integers with one scale and zero "
                "point 0: use a symmetric per-tensor quantizer"
            )
        rotation = self.weight_proxy.rotation
        if rotation.order == 1:
            return x
        return IntQuantTensor(
            self.rotate_input(x.value),
            x.scale * rotation.other_scale,
            x.zero_point,
            x.bit_width + rotation.growth + (0 if x.signed else 1),
            True,
            self.training,
        )
