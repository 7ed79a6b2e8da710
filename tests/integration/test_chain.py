# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch, QONNX and FINN give the same codes, every one compared.

Networks of Brevitas layers as a user would build them, and INRs of every family from the float
network on. By default a few that have all properties between them; marked ``exhaustive`` the sizes,
depths and widths one by one.
"""

import numpy as np
import pytest
import torch

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.inr.families import FAMILIES, get_family
from dhq_brevitas.inr.integers import accumulator_bits, evaluate
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step
from dhq_brevitas.signals.pictures import load_image
from networks import grid_codes as random_codes
from networks import outputs_of, sine_network

SAMPLES = 300
NETWORKS = [
    {},
    {"layers": 4, "outputs": 1, "signs": 5},
    {"layers": 0, "phase_bits": 4},
    {"hidden": 96, "scale": "Dyadic"},
    {"weight_bits": 2, "act_bits": 2},
    {"weight_bits": 12, "act_bits": 12},
    {"side": "output", "signs": 5},
    {"after": True, "hidden": 24, "scale": "Dyadic"},
    {"scale": "Float", "scheme": "stock", "phase_bits": 14},
]
MORE_NETWORKS = [
    *[{"hidden": hidden} for hidden in (64, 96, 256)],
    *[{"layers": layers} for layers in (0, 2, 3, 4)],
    *[{"weight_bits": bits} for bits in (2, 3, 4, 5, 6, 7, 9, 10, 11, 12)],
    *[{"act_bits": bits} for bits in (2, 3, 4, 5, 6, 7, 9, 10, 11, 12)],
    {"weight_bits": 3, "act_bits": 3},
    *[{"phase_bits": bits} for bits in (4, 16)],
    {"scheme": "stock"},
    {"after": True, "hidden": 64, "weight_bits": 4, "signs": 5},
    {"scale": "Float"},
]

SIDE = 16
GRID = grid_codes((SIDE, SIDE))
STEP, BITS = grid_step((SIDE, SIDE)), code_bits(GRID)
CODES = torch.from_numpy(GRID).float()
# The default runs of test_run.py have other families. The outputs of a Gaussian have no sign.
INRS = [("hosc", {}), ("quadinr", {}), ("gaussian", {"scheme": "stock"})]
MORE_INRS = [(family, {}) for family in FAMILIES if (family, {}) not in INRS]
MORE_INRS += [("relu", {"scale": "float", "signs_seed": 1})]


def exhaustive(cases: list) -> list:
    """The same cases, left out by default."""
    return [pytest.param(*case, marks=pytest.mark.exhaustive) for case in cases]


@pytest.mark.parametrize("options", NETWORKS + exhaustive([(n,) for n in MORE_NETWORKS]), ids=str)
def test_brevitas_layers(options, tmp_path):
    network = sine_network(**options)
    x = random_codes(SAMPLES, seed=3)
    graph = export_qonnx(network, args=x[:1])
    exported = run_qonnx(graph, x.numpy())
    if options.get("scale") != "Float":
        np.testing.assert_array_equal(exported, outputs_of(network, x).numpy())

    result = build_dataflow(
        graph, tmp_path, cycles_per_sample=64, verify_inputs=x[:20].numpy(), progress=False
    )
    assert result.samples_compared == 20
    codes = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    np.testing.assert_array_equal(result.host.decode(codes), exported)
    kinds = [node.op_type for node in result.model.graph.node]
    layers = options.get("layers", 1)
    assert kinds.count("MVAU_rtl") == layers + 2
    assert kinds.count("LookupActivation_rtl") == layers + 1
    if options.get("scheme") == "stock":
        rotated = 0
    else:
        # At the output side the last layer has no rotation, at the input side the first.
        rotated = layers if options.get("side") == "output" else layers + 1
    assert kinds.count("HadamardTransform_rtl") == rotated


def test_a_flipped_weight_is_seen(tmp_path):
    # Negative control of the comparison above.
    x = random_codes(SAMPLES, seed=3)
    graph = export_qonnx(sine_network(), args=x[:1])
    result = build_dataflow(graph, tmp_path, progress=False)
    before = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    mvau = next(node for node in result.model.graph.node if node.op_type.startswith("MVAU"))
    weight = result.model.get_initializer(mvau.input[1]).copy()
    weight[0, 0] += 1 if weight[0, 0] < 0 else -1
    result.model.set_initializer(mvau.input[1], weight)
    after = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    assert (before != after).any()


@pytest.mark.parametrize(("family", "quant"), INRS + exhaustive(MORE_INRS), ids=str)
def test_inr_of_a_family(family, quant, tmp_path):
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
    codes, _ = run_qonnx(graph, CODES, codes=True)
    np.testing.assert_array_equal(codes, reference.accumulators)

    result = build_dataflow(graph, tmp_path, cycles_per_sample=64, progress=False)
    found = execute_dataflow(result.model, result.host.encode(CODES.numpy()), progress=False)
    np.testing.assert_array_equal(found, reference.accumulators)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds.count("LookupActivation_rtl") == len(inr.activations)
    assert kinds.count("MVAU_rtl") == len(inr.linears)


def test_inputs_of_24_bits(tmp_path):
    """Both ends of 2^24 points: sums of 35 bits, and float32 rounds phases."""
    bits, ends = 24, np.arange(-100, 100)
    inner = np.random.default_rng(0).integers(-(2**23), 2**23, SAMPLES)
    codes = np.concatenate([ends[100:] - 2**23, inner, ends, ends[:100] + 2**23])
    x = torch.from_numpy(codes[:, None]).float()
    spec = InrSpec(8, 1, in_features=1, out_features=1, parameters={"omega_first": 1e4})
    model = QuantInr.from_float(Inr(spec), QuantSpec(), grid_step((1 << bits,)), bits, x)
    calibrate(model, x)
    settle(model, x)
    reference = evaluate(model, x)
    assert reference.dtype == "float64"
    assert accumulator_bits(model, x)[0] == bits + 12 - 1
    assert len(np.unique(reference.accumulators)) > SAMPLES
    assert (outputs_of(model, x).numpy() != reference.outputs).mean() > 0.01

    graph = export_qonnx(model, args=x[:1])
    exported, _ = run_qonnx(graph, x, codes=True)
    np.testing.assert_array_equal(exported, reference.accumulators)
    result = build_dataflow(graph, tmp_path, cycles_per_sample=64, progress=False)
    found = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    np.testing.assert_array_equal(found, reference.accumulators)
