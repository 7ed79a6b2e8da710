# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Damaged graphs: a sentence, or the numbers that QONNX's own execution gives. Never else."""

import copy
import warnings
from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dhq_brevitas.export import export_qonnx, run_qonnx, to_integer_form
from graphs import hadamard_model, make_model, quant_node
from mutations import mutated, outputs_of_qonnx
from networks import grid_codes, relu_network, sine_network

X = grid_codes(5, seed=3).numpy()


@pytest.fixture(scope="module")
def graphs():
    """Graphs in integer form, with tables, rotations and thresholds; and one of scales."""
    networks = (
        sine_network(4, outputs=2),
        sine_network(4, layers=1, side="output", signs=1, outputs=2),
        relu_network(2, 4, 2),
    )
    exported = [export_qonnx(network, args=grid_codes(2)).model for network in networks]
    return [*exported, scaled_graph().model]


def scaled_graph():
    """As an exporter leaves it: quantized weights and biases, scales not 1."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("w", "half", "four", "q"),
        helper.make_node("MatMul", ["a", "q"], ["b"]),
        quant_node("bias", "half", "eight", "c"),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        quant_node("e", "half", "four", "y"),
    ]
    weight = np.array([[1.5, -1], [0.5, 2]], np.float32)
    bias = np.array([0.5, -3], np.float32)
    constants = {"one": 1, "half": 0.5, "zero": 0, "eight": 8, "four": 4, "w": weight, "bias": bias}
    model = make_model(nodes, (2, 2), constants)
    # QONNX gives constants that two nodes read names by chance.
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if index and model.get_initializer(name) is not None:
                model.rename_tensor(name, f"{node.output[0]}_{index}")
    return model


def attempt(call):
    """Its result; None where it raises a ValueError of one sentence."""
    try:
        return call()
    except ValueError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


def outcome(proto, seed: int) -> str:
    """What comes of one mutation; AssertionError for other numbers."""
    model = mutated(proto, seed)
    if model is None:
        return "no ONNX"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        outputs = attempt(lambda: run_qonnx(model, X))
        formed = attempt(lambda: to_integer_form(model))
        if outputs is None:
            return "refused"
        # Of sums of numbers that are no integers, float64 has more bits than float32.
        assert is_close(outputs, outputs_of_qonnx(model, X))
        if formed is None:
            return "executed, no integer form"
        again = attempt(lambda: run_qonnx(formed, X))
        assert again is not None
        # With scales that are no powers of two, single codes may move over a rounding boundary.
        return "executed" if is_close(again, outputs) else "executed, codes moved"


def is_close(actual, expected) -> bool:
    if isinstance(expected, tuple):
        return all(is_close(a, b) for a, b in zip(actual, expected, strict=True))
    finite = np.abs(expected[np.isfinite(expected)])
    tolerance = 1e-5 * float(finite.max(initial=0))
    return np.allclose(actual, expected, rtol=1e-5, atol=tolerance, equal_nan=True)


def outcomes(graphs, seeds) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            counts[outcome(graphs[seed % len(graphs)], seed)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return counts


@pytest.mark.once
def test_random_damage(graphs):
    counts = outcomes(graphs, range(200))
    # Not everything is refused, and not everything passes.
    assert counts["refused"] > 50
    assert counts["executed"] > 20
    assert counts["executed, codes moved"] == 0


@pytest.mark.exhaustive
def test_much_random_damage(graphs):
    counts = outcomes(graphs, range(1000, 11000))
    print(counts)
    assert counts["executed, codes moved"] == 0


# -- one fault each --------------------------------------------------------------------------------


def duplicate(items):
    items.append(items[0])


def annotate(graph, name, datatype):
    for other in [a for a in graph.quantization_annotation if a.tensor_name == name]:
        graph.quantization_annotation.remove(other)
    annotation = graph.quantization_annotation.add(tensor_name=name)
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)


def set_constant(graph, name, values):
    constant = next(c for c in graph.initializer if c.name == name)
    constant.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), name))


def set_attribute(graph, node, name, value):
    given = next(a for a in graph.node[node].attribute if a.name == name)
    given.CopyFrom(helper.make_attribute(name, value))


def matmul(graph):
    return next(node for node in graph.node if node.op_type == "MatMul")


def cycle(graph):
    graph.node[0].input[0] = "e"


def nested(graph):
    branch = helper.make_graph([], "b", [], [])
    node = helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    graph.node.append(node)


FAULTS = {
    "cycle": (cycle, "nodes read from each other in a cycle: .*Relu.* -> .*; break it"),
    "undefined": (
        lambda g: g.initializer.pop(),
        r"op_type Quant\) reads .*, which nothing defines",
    ),
    "defined twice": (
        lambda g: duplicate(g.node),
        r"op_type Quant\) computes a, which node .*, too",
    ),
    "constant twice": (lambda g: duplicate(g.initializer), "constant 'a_1' is there 2 times"),
    "no output": (lambda g: g.output.pop(), "the graph has no output"),
    "output of no node": (lambda g: setattr(g.output[0], "name", "q2"), "no node computes .* q2"),
    "name": (lambda g: setattr(g.node[0], "name", "a\nb"), "cannot be printed"),
    "control flow": (nested, r"op_type If\) holds a graph of its own"),
    "operands": (lambda g: g.node[0].input.pop(), r"op_type Quant\) has the inputs .* takes 4"),
    "operands of ONNX": (
        lambda g: matmul(g).input.pop(),
        r"op_type MatMul\) does not fit its operator",
    ),
    "rounding": (
        lambda g: set_attribute(g, 0, "rounding_mode", "SIDEWAYS"),
        "rounding_mode='SIDEWAYS' is not known; use ROUND",
    ),
    "narrow": (lambda g: set_attribute(g, 0, "narrow", 5), "narrow=5 must be 0 or 1"),
    "signed": (lambda g: set_attribute(g, 0, "signed", 1.0), "signed is of another type"),
    "bits": (
        lambda g: set_constant(g, "a_3", 1e9),
        r"bit width 1e\+09 must be an integer from 1",
    ),
    "half a bit": (lambda g: set_constant(g, "a_3", 7.5), "bit width 7.5 must be an integer"),
    "scale": (lambda g: set_constant(g, "y_1", 0), "a scale is zero"),
    "parameters": (lambda g: set_constant(g, "y_1", [1, 2, 3]), "parameters do not fit its input"),
    "shapes": (lambda g: set_constant(g, "w", np.ones((3, 2))), "shapes .* do not fit .*MatMul"),
    "scalar product": (lambda g: set_constant(g, "w", 1), "shapes .* do not fit .*MatMul"),
    "size": (
        lambda g: setattr(g.input[0].type.tensor_type.shape.dim[1], "dim_value", 10**9),
        "x has the shape .* more than",
    ),
    "damaged": (
        lambda g: setattr(g.initializer[-2], "raw_data", b"abc"),
        "the constant .* is damaged, export the network again",
    ),
    "elsewhere": (
        lambda g: setattr(g.initializer[0], "data_location", TensorProto.EXTERNAL),
        "the values of a_1 are in another file",
    ),
    "wide input": (
        lambda g: annotate(g, "x", "INT99999999999"),
        "x: 'INT99999999999' is no datatype",
    ),
    "wide constant": (
        lambda g: annotate(g, "w", "UINT65"),
        "w: 'UINT65' is no datatype of 1 to 64",
    ),
    "listed constant": (
        lambda g: g.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3])),
        "the constant w is listed as an input of another shape or type than its own",
    ),
    "wrong annotation": (lambda g: annotate(g, "y_1", "INT8"), "y_1, which .* reads, .* no INT8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    damage, message = FAULTS[fault]
    model = scaled_graph()
    damage(model.graph)
    for call in (to_integer_form, lambda graph: run_qonnx(graph, X)):
        with pytest.raises(ValueError, match=message) as info:
            call(model)
        assert "\n" not in str(info.value)


def test_operators_of_the_future():
    model = scaled_graph()
    next(e for e in model.model.opset_import if not e.domain).version = 999
    with pytest.raises(ValueError, match="asks for version 999 of the ONNX operators"):
        to_integer_form(model)


@pytest.mark.parametrize(
    ("order", "signs", "message"),
    [
        (3, None, "order=3 is not a power of two"),
        (16, None, "order=16 does not divide the last axis of size 8"),
        (4, np.arange(8), "its signs must be 8 numbers 1 or -1"),
        (4, np.ones(4), "its signs must be 8 numbers 1 or -1"),
    ],
)
def test_rotations(order, signs, message):
    model = hadamard_model(order, (2, 8), signs=signs)
    for call in (to_integer_form, lambda graph: run_qonnx(graph, np.ones((3, 8)))):
        with pytest.raises(ValueError, match=message):
            call(model)


def test_order_annotations_and_shapes_are_not_believed():
    """The nodes of a graph say in which order they run, and what the shapes and datatypes are."""
    model, expected = scaled_graph(), run_qonnx(scaled_graph(), X)
    nodes = [copy.deepcopy(node) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name in ("b", "d", "y"):
        annotate(model.graph, name, "INT2")
        model.set_tensor_shape(name, [7, 7])
    np.testing.assert_array_equal(run_qonnx(model, X), expected)
    formed = to_integer_form(model)
    np.testing.assert_array_equal(run_qonnx(formed, X), expected)
    assert formed.get_tensor_shape(formed.graph.output[0].name) == [2, 2]


def test_a_node_that_reads_a_tensor_twice():
    nodes = [quant_node("x", "one", "eight", "a"), helper.make_node("Mul", ["a", "a"], ["y"])]
    model = make_model(nodes, (1, 2), {"one": 1, "zero": 0, "eight": 8})
    np.testing.assert_array_equal(run_qonnx(to_integer_form(model), X), X * X)


def test_an_operator_that_fails_is_named():
    nodes = [helper.make_node("Gather", ["table", "index"], ["row"], name="pick")]
    nodes.append(helper.make_node("Add", ["x", "row"], ["y"]))
    constants = {"table": np.zeros((3, 2), np.float32), "index": np.array(7)}
    with pytest.raises(
        ValueError, match=r"node pick \(op_type Gather\) cannot be executed: .*indices"
    ):
        run_qonnx(make_model(nodes, (1, 2), constants), X)


def test_scales_too_far_apart_for_one_shift():
    """The largest of them leaves no bit of the others: refused, instead of zeros."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        helper.make_node("Mul", ["a", "factors"], ["b"]),
        quant_node("b", "one", "eight", "y", "FLOOR"),
    ]
    constants = {"one": 1, "zero": 0, "eight": 8, "factors": np.array([1e9, 0.3], np.float32)}
    with pytest.raises(ValueError, match="the scales of its channels are too far apart"):
        to_integer_form(make_model(nodes, (1, 2), constants))


@pytest.mark.parametrize(
    ("factor", "refused"), [(1e9, True), (12345.678, True), (1234.5678, False)]
)
def test_a_scale_that_leaves_nothing_of_the_offset(factor, refused):
    """One multiplier of 24 bits holds both: beyond 2^24 the offset would be rounded away."""
    nodes = [
        quant_node("x", "one", "four", "a"),
        helper.make_node("Mul", ["a", "factor"], ["b"]),
        helper.make_node("Add", ["b", "offset"], ["c"]),
        quant_node("c", "one", "wide", "y", "FLOOR"),
    ]
    constants = {"one": 1, "zero": 0, "four": 4, "wide": 24, "factor": factor, "offset": -322.31}
    model = make_model(nodes, (1, 2), constants)
    if refused:
        with pytest.raises(ValueError, match="leaves no bits for the offset that is added"):
            to_integer_form(model)
    else:
        np.testing.assert_array_equal(run_qonnx(to_integer_form(model), X), run_qonnx(model, X))
