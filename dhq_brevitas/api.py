# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The names that ``dhq_brevitas`` itself offers, which imports this module when one is used."""

from dhq_brevitas.fitting import Fitted, Quantized, fit
from dhq_brevitas.nn import quantizers
from dhq_brevitas.nn.activations import QuantCos, QuantLookupActivation, QuantSine
from dhq_brevitas.nn.hadamard import (
    MAX_ORDER,
    hadamard_matrix,
    hadamard_transform,
    hadamard_transform_int,
    largest_order,
    random_signs,
)
from dhq_brevitas.nn.proxies import (
    HadamardActQuantProxy,
    HadamardWeightQuantProxy,
    NoRotationWarning,
)
from dhq_brevitas.nn.quantizers import *  # noqa: F403
from dhq_brevitas.nn.scales import DyadicRestrictValue

__all__ = [
    "MAX_ORDER",
    "DyadicRestrictValue",
    "Fitted",
    "HadamardActQuantProxy",
    "HadamardWeightQuantProxy",
    "NoRotationWarning",
    "QuantCos",
    "QuantLookupActivation",
    "QuantSine",
    "Quantized",
    "fit",
    "hadamard_matrix",
    "hadamard_transform",
    "hadamard_transform_int",
    "largest_order",
    "random_signs",
    *quantizers.__all__,
]
