# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A network of Brevitas layers as the float network that it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager

from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from torch import nn

__all__ = ["unquantized"]


@contextmanager
def unquantized(model: nn.Module) -> Iterator[None]:
    """Disables every quantizer: weights, biases and activations are as they are, functions exact.

    Rotations stay, on both sides of each product, where they cancel but for float rounding. On a
    module without quantizers it does nothing.
    """
    proxies = [m for m in model.modules() if isinstance(m, QuantProxyFromInjector)]
    disabled = [proxy.disable_quant for proxy in proxies]
    for proxy in proxies:
        proxy.disable_quant = True
    try:
        yield
    finally:
        for proxy, value in zip(proxies, disabled, strict=True):
            proxy.disable_quant = value
