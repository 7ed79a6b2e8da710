# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""MVAUs on the kernel matrix_vector: packing, folding, streams, what is refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from finn.transformation.fpgadataflow.set_folding import divisors
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, Siren

from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.ops.matrix_vector import (
    Multipliers,
    memory_lines,
    multipliers,
    stored_bits,
    sum_bits,
)
from dhq_brevitas.finn_flow.ops.mvau_rtl import MVAU_rtl
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.transformations import FoldMatrixVectors
from dhq_brevitas.finn_flow.transformations.fold_matrix_vectors import match_streams
from graphs import codes
from layer_graphs import matrix_vector, mvau

PART = "xczu3eg-sbva484-1-e"
INT8 = DataType["INT8"]


def test_widths():
    assert [stored_bits(np.array([[1, -1]])), stored_bits(np.array([[0, 1]]))] == [1, 2]
    assert [stored_bits(np.array([[low, 1]])) for low in (-2, -4, -5, -128)] == [3, 3, 4, 8]
    # ±(2·128): 256 needs ten bits.
    assert sum_bits(np.array([[-1, -1]]), INT8) == 10
    assert sum_bits(np.array([[1, 1]]), INT8) == 9
    assert sum_bits(np.array([[3, 0]]), DataType["UINT2"]) == 5


@pytest.mark.parametrize(
    ("weight", "dsp", "expected"),
    [
        # 7·2^14 < 2^17, and 16·127·128 < 2^18 where no weight is -128; segments of equal length.
        (-128, "DSP48E2", Multipliers(2, 18, 7)),
        (127, "DSP48E2", Multipliers(2, 19, 14)),
        (127, "DSP48E1", Multipliers(2, 17, 4)),
        (-128, "DSP48E1", Multipliers(1, 18, 28)),
        (5, "DSP48E2", Multipliers(2, 23, 28)),
        (127, "", Multipliers(1, 18, 28)),
    ],
)
def test_packing_at_its_bound(weight, dsp, expected):
    assert multipliers(np.full((4, 28), weight), 4, 28, INT8, dsp) == expected


@pytest.mark.parametrize("seed", range(6))
def test_packed_rows_come_apart(seed):
    """Every chain of every line, at inputs that take one row to its end: fields and carries."""
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(3, 10))
    half = 1 << (bits - 1)
    weights = rng.integers(-half, half, (6, 24))
    x_type = DataType[f"INT{int(rng.integers(2, 10))}"]
    found = multipliers(weights, 6, 12, x_type, "DSP48E2")
    low, high = int(x_type.min()), int(x_type.max())
    for base, start in itertools.product(range(0, 6, found.pack), range(0, 12, found.chain)):
        rows = weights[base : min(base + found.pack, 6), start : min(start + found.chain, 12)]
        for row, sign in itertools.product(rows, (1, -1)):
            x = np.where(row * sign > 0, high, low)
            total = sum(int(r @ x) << (i * found.offset) for i, r in enumerate(rows))
            for i, r in enumerate(rows):
                field = total >> (i * found.offset)
                if i < len(rows) - 1:
                    middle = 1 << (found.offset - 1)
                    field = (field + middle) % (2 * middle) - middle
                carry = total >> (i * found.offset - 1) & 1 if i else 0
                assert field + carry == int(r @ x)


def test_memory_of_a_small_matrix():
    """W = [[1, 2], [3, -4]], one row and two columns at a time, the second column a line later."""
    assert memory_lines(np.array([[1, 2], [3, -4]]), 1, 2, 2) == "21\n13\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two matrix products, folded for 32 cycles."""
    model = Siren(hidden=32, layers=1, order=32).build()
    folder = tmp_path_factory.mktemp("built")
    return build_dataflow(model, folder, cycles_per_sample=32, progress=False).model


def test_the_default_kernel_and_the_other(built, tmp_path):
    mvaus = [op for op in map(getCustomOp, built.graph.node) if isinstance(op, MVAU_rtl)]
    assert [op.ours for op in mvaus] == [True] * 2
    siren = Siren(hidden=32, layers=1, order=32)
    model = build_dataflow(
        siren.build(), tmp_path, cycles_per_sample=32, mvau="finn", progress=False
    ).model
    finns = [op for op in map(getCustomOp, model.graph.node) if isinstance(op, MVAU_rtl)]
    assert [op.ours for op in finns] == [False] * 2
    x = codes("INT8", 40, 2)
    np.testing.assert_array_equal(
        execute_dataflow(model, x, progress=False), execute_dataflow(built, x, progress=False)
    )
    with pytest.raises(FlowError, match="mvau='hls' must be one of finn, matrix_vector"):
        build_dataflow(siren.build(), tmp_path, mvau="hls")


def test_no_converter_stands_at_a_folded_layer(built):
    for first, second in itertools.pairwise(map(getCustomOp, built.graph.node)):
        assert first.get_folded_output_shape()[-1] == second.get_folded_input_shape()[-1]


def test_the_cheapest_folding(built):
    """No folding that meets the target takes fewer DSPs, or as many and less logic."""
    transformation = FoldMatrixVectors(32, PART)
    for op in (op for op in map(getCustomOp, built.graph.node) if isinstance(op, MVAU_rtl)):
        assert op.get_exp_cycles() <= 32
        cost = transformation._cost(built, op)
        chosen = {name: op.get_nodeattr(name) for name in ("PE", "SIMD")}
        for pe, simd in itertools.product(
            divisors(op.get_nodeattr("MH")), divisors(op.get_nodeattr("MW"))
        ):
            op.set_nodeattr("PE", pe)
            op.set_nodeattr("SIMD", simd)
            match_streams(built, op, 32, PART)
            assert op.get_exp_cycles() > 32 or transformation._cost(built, op) >= cost
        for name, value in chosen.items():
            op.set_nodeattr(name, value)
        match_streams(built, op, 32, PART)


def test_what_the_kernel_does_not_compute_stays_finns(tmp_path):
    weights = np.array([[1 << 17, 1], [1, 1]])
    model = GraphBuilder(2, datatype="INT4").matmul(weights, 19).model(2)
    result = build_dataflow(model, tmp_path, progress=False).model
    assert not getCustomOp(result.graph.node[0]).ours


def test_lanes_that_do_not_divide():
    op = getCustomOp(matrix_vector(inLanes=3).graph.node[0])
    with pytest.raises(FlowError, match=r"layer \(MVAU_rtl\): inLanes=3 must divide SIMD=4"):
        op.check_attributes()
    op = getCustomOp(mvau(outLanes=3).graph.node[0])
    assert op.get_folded_output_shape() == (1, 4, 2)


def test_vivado_gets_finns_file_without_its_error():
    model = generate_nodes(mvau(), PART, 5.0)
    commands = getCustomOp(model.graph.node[0]).code_generation_ipi()
    (path,) = [line.split()[-1] for line in commands if "mvu_vvu_axi.sv" in line]
    text = Path(path).read_text()
    assert "MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH + 2" in text
    assert "site-packages" not in path


def test_vivado_gets_the_kernel():
    model = generate_nodes(matrix_vector(), PART, 5.0)
    op = getCustomOp(model.graph.node[0])
    *files, cell = op.code_generation_ipi()
    paths = [Path(line.removeprefix("add_files -norecurse ")) for line in files]
    assert all(path.is_file() for path in paths)
    assert {"matrix_vector.sv", "matrix_vector_multiplier.sv"} <= {path.name for path in paths}
    assert cell == "create_bd_cell -type module -reference MVAU_rtl_0 MVAU_rtl_0"
    assert op.get_verilog_top_module_intf_names()["s_axis"] == [("in0_V", 32)]
