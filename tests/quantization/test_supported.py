# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Quantizers without an integer form, and inputs that do not fit, are named."""

import re
import warnings

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.binary import SignedBinaryWeightPerTensorConst
from brevitas.quant.float_quant_ocp import Fp8e4m3OCPWeightPerTensorFloat
from brevitas.quant.mx_quant_ocp import MXInt8Weight
from brevitas.quant.scaled_int import Int8ActPerTensorFloat, Int8WeightPerTensorFloat
from torch import nn

import dhq_brevitas as dhq
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.supported import (
    LostInputWarning,
    check_quantizers,
    warn_of_lost_inputs,
)
from networks import grid_codes, outputs_of, sine_network

X = torch.randn(40, 32, generator=torch.Generator().manual_seed(0))


def network(weight_quant, **options):
    layer = qnn.QuantLinear(
        32, 4, bias=True, weight_quant=weight_quant, input_quant=Int8ActPerTensorFloat, **options
    )
    return nn.Sequential(nn.ModuleDict({"layer": layer})["layer"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (network(Int8WeightPerTensorFloat, weight_bit_width=1), "1 bit is not supported"),
        (network(SignedBinaryWeightPerTensorConst), "1 bit is not supported"),
        (network(Int8WeightPerTensorFloat, weight_bit_width=24), "24 bits are too many: kernels"),
        (network(Fp8e4m3OCPWeightPerTensorFloat), "minifloats have no integer form; use an"),
        (network(MXInt8Weight), "scales of groups of channels, as of MX formats"),
    ],
)
def test_each_is_named(model, message):
    with pytest.raises(ValueError, match=rf"0\.weight_quant: {message}"):
        dhq.quantize(model, X, progress=False)
    with pytest.raises(ValueError, match=rf"0\.weight_quant: {message}"):
        export_qonnx(model.eval(), args=X[:1])


def test_integers_that_the_network_is_given_may_have_24_bits():
    check_quantizers(qnn.QuantIdentity(act_quant=dhq.IntegerCodes, bit_width=24))
    with pytest.raises(ValueError, match=r"act_quant: 25 bits are too many: .* use 2 to 24 bits"):
        check_quantizers(qnn.QuantIdentity(act_quant=dhq.IntegerCodes, bit_width=25))
    with pytest.raises(ValueError, match=r"act_quant: 17 bits are too many: .* use 2 to 16 bits"):
        check_quantizers(qnn.QuantIdentity(bit_width=17))


def test_fractions_for_integer_codes():
    with pytest.warns(LostInputWarning, match=r"0: IntegerCodes rounds to whole numbers, which"):
        dhq.quantize(sine_network(), torch.rand(64, 2) * 2 - 1, progress=False)


def test_a_limit_that_clips():
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=dhq.IntegerCodes, bit_width=7, return_quant_tensor=True),
        qnn.QuantLinear(2, 8, bias=True),
        dhq.QuantLookupActivation(torch.nn.functional.silu, limit=0.25, return_quant_tensor=True),
        qnn.QuantLinear(8, 1, bias=True),
    )
    with pytest.warns(LostInputWarning, match=r"2: limit=0\.25 clips .* raise the limit"):
        dhq.quantize(model, grid_codes(64), progress=False)


def test_more_periods_than_a_table_tells_apart():
    spec = InrSpec(4, 1, in_features=1, out_features=1, parameters={"omega_first": 1e5})
    codes = torch.arange(-2048.0, 2048.0)[:, None]
    for bits, warned in ((12, True), (9, False)):
        quant = dhq.QuantSpec(scheme="stock", phase_bits=bits)
        model = QuantInr.from_float(Inr(spec, seed=1), quant, 2**-11, 12, codes)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", LostInputWarning)
            warn_of_lost_inputs(model, codes)
        text = (
            r"activation0: its inputs reach \d{4,5} periods, .* than 2\^11 .*; use 9 address bits"
        )
        assert [bool(re.match(text, str(w.message))) for w in found] == [True] * warned


class Spare(nn.Module):
    """A network, and layers that forward does not call, one of them without a calibrated scale."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = sine_network(), network(Int8WeightPerTensorFloat)

    def forward(self, x):
        return self.used(x)


def test_layers_that_are_never_called_are_left_out():
    x = grid_codes(9)
    graph = export_qonnx(Spare().eval(), args=x)
    assert not any(list(t.dims) == [32, 4] for t in graph.graph.initializer)
    np.testing.assert_array_equal(run_qonnx(graph, x), outputs_of(sine_network(), x).numpy())
