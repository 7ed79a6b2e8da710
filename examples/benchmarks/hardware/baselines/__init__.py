# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Datapaths to compare DHQ with: the same sine network in float32 and in 16 bit fixed point.

Both are one ``baseline_layer`` after another, with as many multiply-accumulate units in each as the
compared accelerator has. :func:`float_baseline` and :func:`fixed_baseline` make the sources and
compute what they give, bit for bit.
"""

from hardware.baselines.design import Baseline, SineLayer, fold
from hardware.baselines.fixed import fixed_baseline
from hardware.baselines.float32 import float_baseline

__all__ = ["Baseline", "SineLayer", "fixed_baseline", "float_baseline", "fold"]
