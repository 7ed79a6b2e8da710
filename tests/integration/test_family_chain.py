# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Every INR family from the float network to FINN, every code compared."""

import numpy as np
import pytest
import torch

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.inr.families import FAMILIES, get_family
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.run.chain_stages import run_qonnx_graph
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step
from dhq_brevitas.signals.pictures import load_image

SIDE = 16
STEP, BITS = grid_step((SIDE, SIDE)), code_bits(grid_codes((SIDE, SIDE)))
CODES = torch.from_numpy(grid_codes((SIDE, SIDE))).float()
# DHQ for every family; without rotation or with other scales for some whose outputs have no sign.
NETWORKS = [
    *[(family, {}) for family in FAMILIES],
    ("gaussian", {"scheme": "stock"}),
    ("relu", {"scale": "float", "signs_seed": 1}),
]


@pytest.mark.parametrize(("family", "quant"), NETWORKS, ids=str)
def test_every_level_gives_the_same_codes(family, quant, tmp_path):
    inr = Inr(InrSpec(hidden=16, layers=2, out_features=1, family=family))
    target = torch.from_numpy(load_image("camera", SIDE, grey=True).pixels).flatten(0, 1)
    spec = TrainSpec(30, 4096, get_family(family).learning_rate)
    fit_float(inr, CODES * STEP, target, spec, progress=False)
    model = QuantInr.from_float(inr, QuantSpec(**quant), STEP, BITS, CODES)
    calibrate(model, CODES)
    settle(model, CODES)
    reference = evaluate(model, CODES)
    assert len(np.unique(reference.accumulators)) > 10

    graph = export_qonnx(model, args=CODES[:1])
    codes, _ = run_qonnx_graph(graph, CODES.numpy(), progress=False)
    np.testing.assert_array_equal(codes, reference.accumulators)

    result = build_dataflow(graph, tmp_path, cycles_per_sample=64, progress=False)
    found = execute_dataflow(result.model, result.host.encode(CODES.numpy()), progress=False)
    np.testing.assert_array_equal(found, reference.accumulators)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds.count("LookupActivation_rtl") == len(inr.activations)
    assert kinds.count("MVAU_rtl") == len(inr.linears)
