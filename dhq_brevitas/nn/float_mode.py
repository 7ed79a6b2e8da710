# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A network of Brevitas layers as the float network that it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager

from brevitas.nn.mixin.base import QuantLayerMixin
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from torch import nn

__all__ = ["unquantized"]


@contextmanager
def unquantized(model: nn.Module) -> Iterator[None]:
    """Disables every quantizer: weights, biases and activations are as they are, functions exact.

    Layers hand on plain tensors meanwhile. Rotations stay, on both sides of each product, where
    they cancel but for float rounding. On a module without quantizers it does nothing.
    """
    changes = [
        *((m, "disable_quant", True) for m in model.modules() if _is_proxy(m)),
        *((m, "return_quant_tensor", False) for m in model.modules() if _is_layer(m)),
    ]
    before = [getattr(module, name) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changes, before, strict=True):
            setattr(module, name, value)


def _is_proxy(module: nn.Module) -> bool:
    return isinstance(module, QuantProxyFromInjector)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, QuantLayerMixin)
