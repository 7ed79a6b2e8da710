# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""build_dataflow from end to end: equality, negative controls, files, bad input."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder, Siren, layer_kinds, random_weights

from dhq_brevitas.export import run_qonnx, set_batch_size
from dhq_brevitas.finn_flow import (
    DHQ_BUILD_STEPS,
    FlowError,
    HostAffine,
    TargetNotMetWarning,
    UnsupportedNodeError,
    VerificationError,
    build_dataflow,
    execute_dataflow,
)
from dhq_brevitas.finn_flow import steps as steps_module

SIRENS = {
    "no rotation": Siren(),
    "one layer": Siren(layers=1, order=64),
    "three layers, 96 in blocks of 32": Siren(hidden=96, layers=3, order=32),
    "signs": Siren(hidden=96, order=32, signs=True, seed=3),
    "output side": Siren(order=64, output_side=True, constants="double"),
    "float constants": Siren(weight_bits=4, act_bits=6, constants="float", order=64),
    "float64 constants by channel": Siren(constants="double", per_channel=True, order=64),
    "thresholds": Siren(order=64, requant_factor=0.11),
    "thresholds, no power of two, 96": Siren(hidden=96, order=32, requant_factor=0.3, layers=1),
    "grey": Siren(outputs=1, hidden=32, order=32),
    "batch of 4": Siren(batch=4, hidden=32, order=32),
    "2 bits": Siren(weight_bits=2, act_bits=2, order=64),
    "3 bits": Siren(weight_bits=3, act_bits=3, order=64, requant_factor=0.2),
    "12 bits": Siren(
        weight_bits=12, act_bits=12, input_bits=12, hidden=16, order=16, constants="double"
    ),
    "12 bit phase": Siren(phase_bits=12, input_bits=9, order=64, constants="double"),
}


@pytest.mark.parametrize("siren", SIRENS.values(), ids=SIRENS.keys())
def test_equal_to_qonnx(siren, tmp_path):
    model = siren.build()
    x = siren.samples(200)
    result = build_dataflow(model, tmp_path, cycles_per_sample=64, verify_inputs=x, progress=False)
    codes = execute_dataflow(result.model, result.host.encode(x), progress=False)
    np.testing.assert_array_equal(result.host.decode(codes), run_qonnx(model, x))
    assert result.samples_compared == 200
    kinds = layer_kinds(result.model)
    rotations = siren.layers * bool(siren.order) + siren.output_side
    assert kinds.count("MVAU") == siren.layers + 1
    assert kinds.count("LookupActivation") == siren.layers
    assert kinds.count("HadamardTransform") == rotations
    assert kinds.count("Thresholding") == (siren.layers if siren.requant_factor else 0)
    assert result.report["cycles_per_sample_estimate"] <= 64


@pytest.fixture(scope="module")
def siren() -> Siren:
    return Siren(hidden=32, layers=2, order=32, requant_factor=0.15)


# -- negative controls: a changed parameter must be found after the step that changed it ----------


def flip(op_type: str, parameter: int, attribute: str | None = None):
    """A step that changes one entry of a parameter, or one sign, of the first such layer."""

    def step_that_errs(model, cfg):
        node = model.graph.node[layer_kinds(model).index(op_type)]
        if attribute is not None:
            op = getCustomOp(node)
            signs = list(op.get_nodeattr(attribute)) or [1] * op.channels
            op.set_nodeattr(attribute, [-signs[0], *signs[1:]])
            return model
        values = model.get_initializer(node.input[parameter]).copy()
        flat = values.reshape(-1)
        middle = flat.size // 2
        flat[middle] += 1 if flat[middle] <= 0 else -1
        model.set_initializer(node.input[parameter], values)
        return model

    return step_that_errs


@pytest.mark.parametrize(
    "step",
    [
        flip("MVAU", 1),
        flip("LookupActivation", 3),
        flip("LookupActivation", 2),
        flip("Thresholding", 1),
        flip("HadamardTransform", 0, "signs"),
    ],
    ids=["weight", "table entry", "bias", "threshold", "sign"],
)
def test_flipped_parameter_is_found(siren, tmp_path, step):
    steps = [*DHQ_BUILD_STEPS[:-1], step, DHQ_BUILD_STEPS[-1]]
    x = siren.samples(400)
    with pytest.raises(VerificationError, match="step step_that_errs changed the result") as info:
        build_dataflow(siren.build(), tmp_path, verify_inputs=x, steps=steps, progress=False)
    error = info.value
    assert 0 < error.differing <= error.compared == 400 * 3
    assert f"first at sample {error.first_sample}" in str(error)
    # What was computed before the step that errs is kept.
    assert (tmp_path / "intermediate_models" / f"{steps[-3].__name__}.onnx").is_file()
    assert not (tmp_path / "dataflow.onnx").exists()


def test_error_before_the_ends_are_left_to_the_host(siren, tmp_path):
    def step_that_errs(model, cfg):
        name = model.graph.node[1].input[1]
        weights = model.get_initializer(name).copy()
        weights[0, 0] -= 1
        model.set_initializer(name, weights)
        return model

    steps = [DHQ_BUILD_STEPS[0], step_that_errs]
    with pytest.raises(VerificationError, match="step_that_errs"):
        build_dataflow(
            siren.build(), tmp_path, verify_inputs=siren.samples(50), steps=steps, progress=False
        )


def test_error_inside_the_conversion_is_found(siren, tmp_path, monkeypatch):
    """A host affine that decodes wrongly is found by the step that extracts it."""
    original = HostAffine.decode

    def decode(self, codes):
        return original(self, codes) + np.float32(2.0**-20)

    monkeypatch.setattr(HostAffine, "decode", decode)
    with pytest.raises(VerificationError, match="step step_dhq_convert_to_hw"):
        build_dataflow(siren.build(), tmp_path, verify_inputs=siren.samples(20), progress=False)


def test_rounding_error_of_the_conversion_is_found(siren, tmp_path, monkeypatch):
    """Thresholds that ignore ties would pass a check with a tolerance."""
    from dhq_brevitas.finn_flow.transformations import infer_requant

    original = infer_requant._thresholds
    monkeypatch.setattr(infer_requant, "_thresholds", lambda *a: original(*a) + 1)
    with pytest.raises(VerificationError, match="step step_dhq_convert_to_hw"):
        build_dataflow(siren.build(), tmp_path, verify_inputs=siren.samples(300), progress=False)


def test_sums_beyond_float32_are_exact(tmp_path):
    """Sums beyond 2^24, which float32 would round: the reference has the integers of hardware."""
    wide = Siren(weight_bits=12, act_bits=12, input_bits=12, order=64, constants="double")
    inputs = wide.samples(200)
    result = build_dataflow(wide.build(), tmp_path, verify_inputs=inputs, progress=False)
    assert result.samples_compared == 200
    graph = set_batch_size(wide.build(), 200)
    rounded = execute_onnx(graph, {graph.graph.input[0].name: inputs})
    exact = run_qonnx(graph, inputs)
    assert np.any(rounded[graph.graph.output[0].name] != exact)


# -- files and report ---------------------------------------------------------------------------


def test_files_and_report(siren, tmp_path, capsys):
    before = logging.getLogger("finn_logger").handlers[:]
    folder = os.getcwd()
    result = build_dataflow(
        siren.build(), tmp_path / "new" / "folder", cycles_per_sample=32, verify_inputs=None
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step" in captured.err  # the progress bar, and nothing of FINN's
    assert "Warning" not in captured.err
    assert logging.getLogger("finn_logger").handlers == before
    assert os.getcwd() == folder
    for path in result.paths.values():
        assert path.exists()
    assert result.samples_compared == 0
    names = [f.__name__ for f in DHQ_BUILD_STEPS]
    assert result.steps == names
    saved = sorted(p.stem for p in result.paths["intermediate_models"].glob("*.onnx"))
    assert set(names) <= set(saved)
    assert not list(result.paths["intermediate_models"].glob(".*"))
    reports = {p.name for p in result.paths["reports"].glob("*.json")}
    assert reports >= {
        "estimate_layer_cycles.json",
        "estimate_layer_resources.json",
        "op_and_param_counts.json",
        "estimate_network_performance.json",
        "auto_folding_config.json",
    }
    nodes = [n.name for n in result.model.graph.node]
    cycles = json.loads((result.paths["reports"] / "estimate_layer_cycles.json").read_text())
    assert list(cycles) == nodes
    resources = json.loads((result.paths["reports"] / "estimate_layer_resources.json").read_text())
    assert list(resources) == [*nodes, "total"]
    counts = json.loads((result.paths["reports"] / "op_and_param_counts.json").read_text())
    assert counts[nodes[1]]["op_lookup_8b"] == 32
    report = result.report
    assert report["cycles_per_sample_estimate"] == max(cycles.values()) == 32
    assert report["latency_cycles_estimate"] == sum(cycles.values())
    assert report["samples_per_second_estimate"] == pytest.approx(200e6 / 32)
    for key, name in (("LUT", "lut"), ("DSP", "dsp"), ("BRAM_18K", "bram18"), ("URAM", "uram")):
        assert report[f"{name}_estimate"] == resources["total"][key]
        assert sum(layer[f"{name}_estimate"] for layer in report["layers"]) == pytest.approx(
            resources["total"][key]
        )
    assert [layer["name"] for layer in report["layers"]] == nodes
    written = json.loads(result.paths["build"].read_text())
    assert written["report"] == report
    reloaded = ModelWrapper(str(result.paths["model"]))
    assert HostAffine.from_model(reloaded).to_json() == result.host.to_json()
    assert "host" in written


def test_folding(siren, tmp_path):
    model = siren.build()
    one_lane = build_dataflow(model, tmp_path, progress=False).report
    assert one_lane["cycles_per_sample_estimate"] == 32 * 32
    fps = build_dataflow(model, tmp_path, target_fps=1_000_000, progress=False).report
    assert fps["cycles_per_sample_estimate"] <= 200
    fast = build_dataflow(model, tmp_path, cycles_per_sample=2, progress=False).report
    assert fast["cycles_per_sample_estimate"] == 2
    assert {layer["SIMD"] for layer in fast["layers"] if "Hadamard" in layer["name"]} == {16}
    # 77 cycles cannot be written as an integer number of frames per second at every clock.
    odd = build_dataflow(
        model, tmp_path, cycles_per_sample=77, clk_period_ns=3.3, progress=False
    ).report
    assert 40 < odd["cycles_per_sample_estimate"] <= 77


def test_folding_config(siren, tmp_path):
    model = siren.build()
    names = [
        layer["name"] for layer in build_dataflow(model, tmp_path, progress=False).report["layers"]
    ]
    mvau, _, hadamard, thresholding = names[:4]
    config = {"Defaults": {}, hadamard: {"SIMD": 8}, mvau: {"PE": 4}}
    with pytest.warns(TargetNotMetWarning, match="of 2 cycles .* not met: MVAU.* takes 8 cyc"):
        result = build_dataflow(
            model, tmp_path, cycles_per_sample=2, folding_config=config, progress=False
        )
    folding = {layer["name"]: layer for layer in result.report["layers"]}
    assert folding[hadamard]["SIMD"] == 8
    assert folding[mvau]["PE"] == 4
    again = build_dataflow(
        model,
        tmp_path / "again",
        folding_config=result.paths["reports"] / "auto_folding_config.json",
        progress=False,
    )
    assert {layer["name"] for layer in again.report["layers"]} == set(folding)
    for name, attribute, value, message in (
        (hadamard, "SIMD", 5, "SIMD=5 does not fold 32 channels"),
        (mvau, "PE", 7, "PE=7 does not divide MH=32"),
        (thresholding, "PE", 3, "PE=3 does not divide NumChannels=32"),
    ):
        bad = {"Defaults": {}, name: {attribute: value}}
        with pytest.raises(FlowError, match=message):
            build_dataflow(model, tmp_path, folding_config=bad, progress=False)


def test_accumulators_beyond_float32_are_reported(tmp_path):
    wide = Siren(weight_bits=12, act_bits=12, order=64, constants="double", layers=1)
    report = build_dataflow(wide.build(), tmp_path, progress=False).report
    assert report["accumulators_beyond_float32"] == ["MVAU_rtl_1"]
    narrow = build_dataflow(Siren(layers=1).build(), tmp_path, progress=False).report
    assert "accumulators_beyond_float32" not in narrow


def test_model_from_file_and_graph_without_host_part(tmp_path, rng):
    g = GraphBuilder(8, datatype="INT6").matmul(random_weights(rng, 8, 4, 5), 5)
    model = g.model(4)
    path = tmp_path / "network.onnx"
    model.save(str(path))
    x = rng.integers(-32, 32, (50, 8))
    result = build_dataflow(path, tmp_path / "out", verify_inputs=x, progress=False)
    assert result.host.to_json() == HostAffine().to_json()
    codes = execute_dataflow(result.model, result.host.encode(x), progress=False)
    np.testing.assert_array_equal(codes, x @ model.get_initializer(model.graph.node[0].input[1]))


def test_square_of_a_code(tmp_path):
    """Mul(x, x) survives QONNX's renaming."""
    g = GraphBuilder(4, datatype="INT6").quant(6, "FLOOR").apply("Mul", 1 / 16)
    model = g.apply("Exp").quant(5).model(4)
    square = next(n for n in model.graph.node if n.op_type == "Exp")
    new = helper.make_node("Mul", [square.input[0]] * 2, [square.output[0]], name="Square_0")
    model.graph.node.insert(model.get_node_index(square), new)
    model.graph.node.remove(square)
    x = np.repeat(np.arange(-32, 32)[:, None], 4, axis=1)
    result = build_dataflow(model, tmp_path, verify_inputs=x, progress=False)
    assert layer_kinds(result.model) == ["LookupActivation"]


# -- graphs that are not in integer form --------------------------------------------------------


def stock_graph(scale: float, rotated_scale: float) -> ModelWrapper:
    """Quantizers with scales, as Brevitas exports them: code·s between the nodes."""
    rng = np.random.default_rng(5)
    g = GraphBuilder(2).quant(8, scale=scale)
    for rows, columns in ((2, 16), (16, 16)):
        weights = g.parameter(random_weights(rng, rows, columns, 6) * 0.03125)
        x = g.x
        quantized = g.node(
            "Quant",
            weights,
            g.parameter(0.03125),
            g.parameter(0.0),
            g.parameter(6.0),
            domain="qonnx.custom_op.general",
            signed=1,
            narrow=1,
            rounding_mode="ROUND",
        ).x
        g.node("MatMul", x, quantized).apply("Relu").quant(8, scale=scale)
        g.hadamard(16, normalize=1).quant(8, scale=rotated_scale)
    return g.model(16)


@pytest.mark.parametrize(("scale", "rotated"), [(0.0625, 0.125), (0.07, 0.083)])
def test_graph_with_scales(tmp_path, scale, rotated):
    model = stock_graph(scale, rotated)
    x = np.random.default_rng(0).normal(0, 3, (300, 2))
    result = build_dataflow(model, tmp_path, verify_inputs=x, progress=False)
    codes = execute_dataflow(result.model, result.host.encode(x), progress=False)
    difference = result.host.decode(codes) - run_qonnx(model, x)
    moved = np.abs(difference) > rotated / 2
    if scale == 0.0625:
        assert not np.any(difference)
        assert "outputs_changed_by_integer_form" not in result.report
    else:
        assert np.count_nonzero(moved) <= 0.01 * moved.size


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cycles_per_sample": 0}, "cycles_per_sample=0 must be an integer of at least 1"),
        ({"cycles_per_sample": 2.5}, "cycles_per_sample=2.5 must be an integer"),
        ({"target_fps": -1}, "target_fps=-1 must be an integer of at least 1"),
        ({"target_fps": 1, "cycles_per_sample": 1}, "cycles_per_sample or target_fps, not both"),
        ({"clk_period_ns": 0}, "clk_period_ns=0 must be positive"),
        ({"fpga_part": "pynq"}, "fpga_part='pynq' is not a part name"),
        ({"steps": ["step_nowhere"]}, "steps: .*step_nowhere"),
        ({"folding_config": "nowhere.json"}, "folding_config='nowhere.json' is not a file"),
        ({"verify_inputs": np.zeros((4, 5))}, r"inputs of shape \[4, 5\] do not fit the graph"),
    ],
)
def test_bad_arguments(siren, tmp_path, arguments, message):
    with pytest.raises(FlowError, match=message):
        build_dataflow(siren.build(), tmp_path, progress=False, **arguments)


def test_a_graph_that_gives_no_numbers(tmp_path):
    """Relu(x) / Relu(x) is NaN where x is negative; NaN equals nothing, itself included."""
    graph = GraphBuilder(4).quant(6).matmul(np.eye(4) * 3, 3).apply("Relu")
    model = graph.apply("Div", 1.0).quant(4).matmul(np.eye(4) * 2, 3).model(4)
    (div,) = model.get_nodes_by_op_type("Div")
    div.input[1] = div.input[0]
    with pytest.raises(FlowError, match="the graph gives NaN or infinity for sample 1"):
        build_dataflow(model, tmp_path, verify_inputs=np.array([[3.0] * 4, [-3] * 4]))


def test_bad_files(siren, tmp_path):
    with pytest.raises(FlowError, match=r"model: .*missing.onnx is not a file"):
        build_dataflow(tmp_path / "missing.onnx", tmp_path)
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a model")
    with pytest.raises(FlowError, match=r"model: .*garbage.onnx cannot be read as ONNX"):
        build_dataflow(garbage, tmp_path)
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(FlowError, match=r"output_dir='.*file'"):
        build_dataflow(siren.build(), occupied)


def unsupported(*nodes) -> ModelWrapper:
    g = GraphBuilder(8).quant(6).matmul(np.eye(8) * 3, 3)
    for op_type, attributes in nodes:
        g.apply(op_type, **attributes)
    return g.apply("Mul", 0.1).quant(4).matmul(np.eye(8) * 2, 3).model(8)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (unsupported(("Softmax", {})), r"node Softmax_0 \(op_type Softmax\) has no hardware layer"),
        (
            unsupported(("Sin", {})),
            r"Sin_0 .* a function needs a quantizer on either side, .*Lookup",
        ),
        (
            GraphBuilder(4, datatype="INT4")
            .matmul(np.eye(4), 2)
            .apply("Mul", 0.3)
            .apply("Relu")
            .model(4),
            r"node Relu_0 \(op_type Relu\) has no hardware layer: a function",
        ),
        (unsupported(("LpNormalization", {})), r"\(op_type LpNormalization\)"),
        (
            GraphBuilder(4).matmul(np.eye(4), 2).model(4),
            r"node MatMul_0 \(op_type MatMul\) .*needs integer codes at its input",
        ),
        (
            GraphBuilder(4, datatype="INT4").apply("Mul", -0.3).quant(3).model(4),
            r"node Quant_0 \(op_type Quant\) .*it falls with its integer input",
        ),
        (
            GraphBuilder(4, datatype="INT16").quant(17).model(4),
            r"node Quant_0 .*131071 thresholds would be needed",
        ),
        (GraphBuilder(4).hadamard(4).model(4), "HadamardTransform.*integer"),
    ],
)
def test_unsupported_node_is_named(tmp_path, model, message):
    with pytest.raises(FlowError, match=message) as info:
        build_dataflow(model, tmp_path, progress=False)
    assert "\n" not in str(info.value)


def test_branch_is_named(tmp_path):
    g = GraphBuilder(4, datatype="INT4").matmul(np.eye(4), 2)
    x = g.x
    first = g.matmul(np.eye(4), 2).x
    g.x = x
    second = g.matmul(np.eye(4), 2).apply("Mul", [0.1, 0.2, 0.3, 0.4]).x
    model = g.node("Add", first, second).quant(4).model(4)
    with pytest.raises(
        UnsupportedNodeError, match=r"it is the sum of several branches, and \S+ holds no integers"
    ):
        build_dataflow(model, tmp_path, progress=False)


def test_weights_that_do_not_fit(tmp_path):
    g = GraphBuilder(4, datatype="INT4").matmul(np.eye(4) * 9, 4)
    with pytest.raises(
        FlowError, match=r"which node MatMul_0 .* reads, holds values that are no INT4"
    ):
        build_dataflow(g.model(4), tmp_path, progress=False)
    zeros = GraphBuilder(4, datatype="INT4").matmul(np.zeros((4, 4)), 4)
    with pytest.raises(FlowError, match=r"MatMul_0 .*all weights are zero"):
        build_dataflow(zeros.model(4), tmp_path, progress=False)


def test_failing_step_is_named(siren, tmp_path):
    def step_that_fails(model, cfg):
        raise RuntimeError("no such luck")

    with pytest.raises(FlowError, match=r"step step_that_fails failed: no such luck \(see"):
        build_dataflow(siren.build(), tmp_path, steps=[step_that_fails], progress=False)


# -- the steps in a build of FINN's own ----------------------------------------------------------


def test_steps_in_finns_own_build(siren, tmp_path):
    """Names in DataflowBuildConfig.steps, run by FINN's build_dataflow_cfg."""
    siren.build().save(str(tmp_path / "network.onnx"))
    code = f"""
import dhq_brevitas.finn_flow as flow
from finn.builder.build_dataflow import build_dataflow_cfg
from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType
cfg = DataflowBuildConfig(
    output_dir={str(tmp_path / "out")!r},
    steps=[step.__name__ for step in flow.DHQ_BUILD_STEPS],
    target_fps=1000000,
    synth_clk_period_ns=5.0,
    fpga_part="xczu3eg-sbva484-1-e",
    generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
)
raise SystemExit(build_dataflow_cfg({str(tmp_path / "network.onnx")!r}, cfg))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    cycles = json.loads((tmp_path / "out" / "report" / "estimate_layer_cycles.json").read_text())
    kinds = {name.rsplit("_", 1)[0].removesuffix("_rtl") for name in cycles}
    assert kinds == {"MVAU", "LookupActivation", "HadamardTransform", "Thresholding"}
    assert max(cycles.values()) <= 200


def test_config_resolves_cycles():
    config = steps_module.DhqBuildConfig(synth_clk_period_ns=5.0, target_fps=1000)
    assert config._resolve_cycles_per_frame() == 200_000
    config.cycles_per_frame = 77
    assert config._resolve_cycles_per_frame() == 77
