# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Brevitas to FINN over the sizes, depths and widths that users choose, every code compared."""

import numpy as np
import pytest

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from networks import grid_codes, outputs_of, sine_network

SAMPLES = 300

NETWORKS = [
    *[{"hidden": hidden, "layers": 1} for hidden in (64, 96, 256)],
    *[{"layers": layers} for layers in range(5)],
    *[{"weight_bits": bits} for bits in range(2, 13)],
    *[{"act_bits": bits} for bits in range(2, 13)],
    *[{"weight_bits": bits, "act_bits": bits} for bits in (2, 3, 12)],
    *[{"phase_bits": bits} for bits in (4, 16)],
    {"outputs": 1},
    {"signs": 5},
    {"side": "output", "signs": 5},
    {"scheme": "stock"},
    {"after": True, "hidden": 64, "weight_bits": 4, "signs": 5},
    {"after": True, "hidden": 24, "scale": "Dyadic"},
    {"scale": "Dyadic"},
    {"scale": "Float"},
    {"scale": "Float", "scheme": "stock", "phase_bits": 14},
]


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_every_level_gives_the_same_codes(options, tmp_path):
    network = sine_network(**options)
    x = grid_codes(SAMPLES, seed=3)
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
    assert all(n.op_type.split("_")[-1] != "hls" for n in result.model.graph.node)


def test_a_flipped_weight_is_seen(tmp_path):
    # Negative control of the comparison above.
    x = grid_codes(SAMPLES, seed=3)
    graph = export_qonnx(sine_network(), args=x[:1])
    result = build_dataflow(graph, tmp_path, progress=False)
    before = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    mvau = next(node for node in result.model.graph.node if node.op_type.startswith("MVAU"))
    weight = result.model.get_initializer(mvau.input[1]).copy()
    weight[0, 0] += 1 if weight[0, 0] < 0 else -1
    result.model.set_initializer(mvau.input[1], weight)
    after = execute_dataflow(result.model, result.host.encode(x.numpy()), progress=False)
    assert (before != after).any()
