# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``build_dataflow``: an exported QONNX graph to a checked dataflow graph, in one call."""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from finn.builder.build_dataflow import resolve_build_steps
from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType
from finn.util.exception import FINNError
from qonnx.core.modelwrapper import ModelWrapper
from tqdm import tqdm

from dhq_brevitas.export import save_model, set_batch_size
from dhq_brevitas.export.domains import remove_execution
from dhq_brevitas.export.graph import library_call, read_graph, rename_quantizers
from dhq_brevitas.export.inference import check_shapes
from dhq_brevitas.export.passes.clean_up import clean_up
from dhq_brevitas.export.passes.separate_equal_inputs import SeparateEqualInputs
from dhq_brevitas.export.validation import checked
from dhq_brevitas.finn_flow.checks import check_ends, is_integer_form
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import HostAffine
from dhq_brevitas.finn_flow.logs import finn_log_to_file
from dhq_brevitas.finn_flow.ops.adder_graph import check_da4ml
from dhq_brevitas.finn_flow.ops.mvau_rtl import ADDERS, MATRIX_VECTOR, MVAU_KERNELS
from dhq_brevitas.finn_flow.report import read_report
from dhq_brevitas.finn_flow.steps import (
    DHQ_BUILD_STEPS,
    DhqBuildConfig,
    step_dhq_integer_form,
)
from dhq_brevitas.finn_flow.verification import StepVerifier
from dhq_brevitas.util.files import claim_folder, write_json

DEFAULT_FPGA_PART = "xczu3eg-sbva484-1-e"
MODEL_FILE = "dataflow.onnx"
BUILD_FILE = "build.json"
LOG_FILE = "finn.log"

Step = Callable[[ModelWrapper, DataflowBuildConfig], ModelWrapper]


class TargetNotMetWarning(UserWarning):
    """By the estimates, a dataflow graph is slower than it was asked to be."""


@dataclass(frozen=True)
class BuildResult:
    """What a build leaves.

    Attributes:
        model: the graph of hardware layers; integers in, integers out.
        host: what the host computes around it.
        report: estimates; keys as in :func:`~dhq_brevitas.finn_flow.report.read_report`.
        paths: written files: ``model``, ``build``, ``log``, ``reports`` (a folder) and
            ``intermediate_models`` (a folder).
        samples_compared: samples executed after every step and found equal; 0 without
            ``verify_inputs``.
        steps: names of the steps that ran.
    """

    model: ModelWrapper
    host: HostAffine
    report: dict[str, Any]
    paths: dict[str, Path]
    samples_compared: int = 0
    steps: list[str] = field(default_factory=list)


def build_dataflow(
    model: ModelWrapper | str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    cycles_per_sample: int | None = None,
    target_fps: int | None = None,
    fpga_part: str = DEFAULT_FPGA_PART,
    clk_period_ns: float = 5.0,
    verify_inputs: np.ndarray | Sequence[np.ndarray] | None = None,
    steps: Sequence[Step | str] | None = None,
    folding_config: dict[str, Any] | str | os.PathLike[str] | None = None,
    mvau: str = MATRIX_VECTOR,
    progress: bool = True,
) -> BuildResult:
    """Runs the build steps on a QONNX graph and writes the result to ``output_dir``.

    Args:
        model: QONNX graph with inputs [batch, …, channels], or its file. It is built for one sample
            at a time, whatever its batch size.
        output_dir: folder for all results: new, empty, or of an earlier build.
        cycles_per_sample: fold so that each layer takes at most this many clock cycles a sample.
        target_fps: the same as samples per second, instead. With neither, layers have one lane.
        fpga_part: part that FINN estimates resources for and chooses DSP blocks by.
        clk_period_ns: target clock period.
        verify_inputs: real inputs [samples, …, channels], a sequence of arrays for several inputs;
            the graph is executed on them after every step, and its integers are compared with the
            QONNX graph's. Codes that its integer form moves over a rounding boundary are counted as
            ``outputs_changed_by_integer_form``; the integer form is the reference.
        steps: steps to run, functions or registered names; by default ``DHQ_BUILD_STEPS``.
        folding_config: FINN's, by node name, a dict or a JSON file; it overrides what is found.
        mvau: "matrix_vector", this package's kernel where it can compute; "adders", the same with
            adder graphs (da4ml) of matrices that are multiplied in one cycle; "finn", FINN's.
        progress: show one progress bar.

    Files: ``dataflow.onnx``, ``build.json``, ``finn.log``, ``report/*.json`` (estimates) and
    ``intermediate_models/<step>.onnx``; models whole or not at all. Warns with TargetNotMetWarning
    where the estimates are slower than the target. Raises FlowError for bad arguments,
    UnsupportedNodeError for a node without layer, VerificationError for a step that changed codes.
    """
    source = load_graph(model)
    _check_inputs(model, folding_config, output_dir)
    _check_arguments(cycles_per_sample, target_fps, fpga_part, clk_period_ns, mvau)
    output = _folder(output_dir)
    config = DhqBuildConfig(
        output_dir=str(output),
        synth_clk_period_ns=clk_period_ns,
        fpga_part=fpga_part,
        target_fps=target_fps,
        cycles_per_frame=cycles_per_sample,
        mvau=mvau,
        folding_config_file=_folding_file(folding_config, output),
        generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
        standalone_thresholds=True,
        steps=list(DHQ_BUILD_STEPS if steps is None else steps),
    )
    with finn_log_to_file(output / LOG_FILE):
        result = _build(source, config, verify_inputs, progress)
    _write(result, config)
    _warn_of_target(result.report, cycles_per_sample, target_fps)
    return result


def _warn_of_target(report: dict[str, Any], cycles: int | None, fps: int | None) -> None:
    """TargetNotMetWarning, naming the slowest layer, where the estimate is beyond the target."""
    met, asked = True, f"{cycles} cycles a sample"
    if cycles is not None:
        met = report.get("cycles_per_sample_estimate", 0) <= cycles
    elif fps is not None:
        asked = f"{fps} samples a second"
        met = report.get("samples_per_second_estimate", fps) >= fps
    if not met:
        warnings.warn(
            f"the target of {asked} is not met: {report['slowest_layer']} takes "
            f"{report['cycles_per_sample_estimate']} cycles a sample, "
            f"{report['samples_per_second_estimate']:.0f} samples a second at this clock; use a "
            "lower target, a narrower layer there, or a faster clock",
            TargetNotMetWarning,
            stacklevel=3,
        )


def _folder(output_dir: str | os.PathLike[str]) -> Path:
    try:
        return claim_folder(output_dir, "build", [MODEL_FILE, BUILD_FILE]).parent.resolve()
    except ValueError as error:
        raise FlowError(f"output_dir={str(output_dir)!r}: {error}") from error


def load_graph(model: ModelWrapper | str | os.PathLike[str]) -> ModelWrapper:
    """A sound copy of the graph, which neither brings code along nor says what executes it."""
    with _flow_errors("model"):
        loaded = model if isinstance(model, ModelWrapper) else read_graph(model)
        loaded = checked(loaded)
    remove_execution(loaded)
    rename_quantizers(loaded)
    return loaded


@contextmanager
def _flow_errors(argument: str) -> Iterator[None]:
    """ValueErrors about a graph become FlowErrors that begin with the argument it came by."""
    try:
        yield
    except FlowError:
        raise
    except ValueError as error:
        raise FlowError(f"{argument}: {error}") from error


def prepared(model: ModelWrapper) -> ModelWrapper:
    """The graph for one sample, cleaned up unless it is in integer form."""
    with _flow_errors("model"):
        model = model.transform(SeparateEqualInputs())
        if not is_integer_form(model):
            with library_call("the graph cannot be cleaned up"):
                model = clean_up(model)
        check_ends(model)
        model = set_batch_size(model, 1)
        check_shapes(model)
    return model


def _check_inputs(
    model: ModelWrapper | str | os.PathLike[str],
    folding_config: dict[str, Any] | str | os.PathLike[str] | None,
    output_dir: str | os.PathLike[str],
) -> None:
    """FlowError for an input that would be overwritten."""
    for name, value in (("model", model), ("folding_config", folding_config)):
        if not isinstance(value, str | os.PathLike):
            continue
        if Path(value).resolve().is_relative_to(Path(output_dir).resolve()):
            raise FlowError(
                f"{name}={str(value)!r} is in output_dir={str(output_dir)!r}, where results would "
                "overwrite it; copy it elsewhere"
            )


def _check_arguments(
    cycles_per_sample: int | None,
    target_fps: int | None,
    fpga_part: str,
    clk_period_ns: float,
    mvau: str,
) -> None:
    if mvau not in MVAU_KERNELS:
        raise FlowError(f"mvau={mvau!r} must be one of {', '.join(MVAU_KERNELS)}")
    if mvau == ADDERS:
        check_da4ml()
    if cycles_per_sample is not None and target_fps is not None:
        raise FlowError("give cycles_per_sample or target_fps, not both")
    for name, value in (("cycles_per_sample", cycles_per_sample), ("target_fps", target_fps)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise FlowError(f"{name}={value!r} must be an integer of at least 1")
    if not clk_period_ns > 0:
        raise FlowError(f"clk_period_ns={clk_period_ns!r} must be positive, for example 5.0")
    if not isinstance(fpga_part, str) or not fpga_part.startswith("xc"):
        raise FlowError(
            f"fpga_part={fpga_part!r} is not a part name, for example {DEFAULT_FPGA_PART!r}"
        )


def _folding_file(
    folding: dict[str, Any] | str | os.PathLike[str] | None, output: Path
) -> Path | None:
    if folding is None:
        return None
    if isinstance(folding, dict):
        path = output / "folding_config.json"
        write_json(path, folding)
        return path
    path = Path(folding)
    if not path.is_file():
        raise FlowError(f"folding_config={str(folding)!r} is not a file")
    return path


def _build(
    model: ModelWrapper,
    config: DataflowBuildConfig,
    verify_inputs: np.ndarray | Sequence[np.ndarray] | None,
    progress: bool,
) -> BuildResult:
    """The steps of ``config`` on ``model``, of any batch size; writes what FINN writes."""
    try:
        steps = resolve_build_steps(config, partial=False)
    except FINNError as error:
        raise FlowError(f"steps: {error}") from error
    model = prepared(model)
    verifier = None
    if verify_inputs is not None:
        with _flow_errors("verify_inputs"):
            verifier = StepVerifier(model, verify_inputs)
    model = _run_steps(steps, model, config, verifier, progress)
    report = read_report(model, config)
    if verifier is not None and verifier.rebased_outputs:
        report["outputs_changed_by_integer_form"] = verifier.rebased_outputs
    output = Path(config.output_dir)
    return BuildResult(
        model=model,
        host=HostAffine.from_model(model) or HostAffine(),
        report=report,
        paths={
            "model": output / MODEL_FILE,
            "build": output / BUILD_FILE,
            "log": output / LOG_FILE,
            "reports": config.get_report_directory(),
            "intermediate_models": config.get_intermediate_models_directory(),
        },
        samples_compared=0 if verifier is None else verifier.samples,
        steps=[step.__name__ for step in steps],
    )


def _run_steps(
    steps: Sequence[Step],
    model: ModelWrapper,
    config: DataflowBuildConfig,
    verifier: StepVerifier | None,
    progress: bool,
) -> ModelWrapper:
    """Result of all steps; each one's is saved and, with a ``verifier``, compared."""
    models = config.get_intermediate_models_directory()
    with tqdm(steps, unit="step", disable=not progress, leave=False) as bar:
        for step in bar:
            bar.set_description(step.__name__.removeprefix("step_"))
            converts = step is step_dhq_integer_form and not is_integer_form(model)
            model = _run_step(step, model, config)
            save_model(model, models / f"{step.__name__}.onnx")
            with _flow_errors(f"step {step.__name__}"):
                if verifier is not None and converts:
                    verifier.rebase(model)
                elif verifier is not None:
                    verifier.check(step.__name__, model)
    return model


def _run_step(step: Step, model: ModelWrapper, config: DataflowBuildConfig) -> ModelWrapper:
    try:
        return step(model, config)
    except FlowError:
        raise
    except Exception as error:
        # Whatever FINN raises, the user learns which step and where to read more.
        log = Path(config.output_dir) / LOG_FILE
        raise FlowError(f"step {step.__name__} failed: {error} (see {log})") from error


def _write(result: BuildResult, config: DataflowBuildConfig) -> None:
    """Writes the graph, and beside it what the build was and estimates."""
    save_model(result.model, result.paths["model"])
    write_json(
        result.paths["build"],
        {
            "steps": result.steps,
            "fpga_part": config.fpga_part,
            "clk_period_ns": config.synth_clk_period_ns,
            "samples_compared": result.samples_compared,
            "host": json.loads(result.host.to_json()),
            "report": result.report,
        },
    )
