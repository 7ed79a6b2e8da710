# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stages of a run, from a signal to the executed dataflow graph.

Each stage reads files of the run folder, writes its own there, and returns values for the summary
and the names of its files. :mod:`dhq_brevitas.run.pipeline` runs them.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.inr.families import get_family
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.planning.limits import Limits
from dhq_brevitas.planning.plan_file import read_limits, read_plan
from dhq_brevitas.run.folder import RunFolder
from dhq_brevitas.run.options import (
    BuildOptions,
    ExportOptions,
    FitOptions,
    SimulateOptions,
)
from dhq_brevitas.run.rtl_levels import RTL_LEVELS
from dhq_brevitas.run.synth import run_synth
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import Problem, Task, get_task
from dhq_brevitas.util.files import atomic_path

__all__ = [
    "LAYERS",
    "RUNNERS",
    "SIGNAL",
    "Stage",
    "fit_spec",
    "inr_spec",
    "load_float",
    "load_problem",
    "numbers",
    "quant_network",
    "save_state",
]

SIGNAL = "signal.npz"
LAYERS = "layers.json"
VERIFIED_SAMPLES = 64
QONNX_BATCH = 4096


@dataclass
class Stage:
    """What a stage function works with: the folder, its key, earlier options, where to report."""

    folder: RunFolder
    key: str
    earlier: Mapping[str, dict[str, Any]]
    progress: bool
    say: Callable[[str], None]
    problem: Problem

    @property
    def task(self) -> Task:
        """The kind of reconstruction."""
        return get_task(self.earlier["fit"]["task"])

    @property
    def codes(self) -> Tensor:
        """Codes of the whole reconstruction, float32 [N, d]."""
        return self.problem.inputs

    def save_outputs(
        self, level: str, outputs: np.ndarray, codes: np.ndarray | None = None
    ) -> list[str]:
        """Writes ``<level>.npz`` and the reconstruction (``<level>.png``, say); their names."""
        arrays: dict[str, Any] = {"outputs": outputs}
        if codes is not None:
            arrays["codes"] = codes
        with atomic_path(self.folder.file(f"{level}.npz")) as temporary:
            np.savez_compressed(temporary, **arrays)
        shown = self.task.write(self.problem, outputs, self.folder.file(level))
        return [f"{level}.npz", shown.name]

    def quality(self, level: str, outputs: np.ndarray) -> dict[str, float]:
        """``psnr_<level>`` of outputs [N, c] against the reference; the task's other metrics."""
        metrics = {"psnr": psnr(self.problem.values, outputs)}
        metrics |= self.task.metrics(self.problem, outputs)
        return {f"{name}_{level}": value for name, value in metrics.items()}


# -- what options describe -------------------------------------------------------------------------


def inr_spec(options: Mapping[str, Any], axes: int, channels: int) -> InrSpec:
    """The network that ``options`` of the fit describe, for ``axes`` coordinates.

    Parameters of the family are those given, else those that suit the task, else its own.
    """
    given = numbers("parameters", options["parameters"])
    suitable = get_task(options["task"]).family_parameters.get(options["family"], {})
    return InrSpec(
        hidden=options["hidden"],
        layers=options["layers"],
        in_features=axes,
        out_features=channels,
        family=options["family"],
        parameters={**suitable, **given},
    )


def load_problem(options: FitOptions) -> Problem:
    """The data that ``options`` describe; ValueError for what cannot be used."""
    return get_task(options.task).problem(
        options.signal,
        options.size,
        options.grey,
        options.seed,
        numbers("task_parameters", options.task_parameters),
    )


def numbers(argument: str, text: str) -> dict[str, float]:
    """``omega=20,scale=5`` as a dictionary; ValueError for anything else."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.partition("=")
        try:
            if not separator:
                raise ValueError
            found[name.strip()] = float(value)
        except ValueError:
            raise ValueError(
                f"{argument}={text!r}: {part!r} is not NAME=NUMBER, for example omega=20"
            ) from None
    return found


def fit_spec(options: FitOptions) -> TrainSpec:
    """The training of the float network; the learning rate is the family's unless given."""
    rate = options.learning_rate
    if rate is None:
        rate = get_family(options.family).learning_rate
    return TrainSpec(options.steps, options.batch, rate, seed=options.seed)


def check_finn(
    what: str = "build, simulate and synth need FINN",
    instead: str = "stop earlier with dhq run --until export",
) -> None:
    """ModuleNotFoundError that says what to install, if FINN is missing."""
    if importlib.util.find_spec("finn") is None:
        raise ModuleNotFoundError(
            f"{what}, which is not installed: pip install 'dhq-brevitas[finn]', or {instead}"
        )


# -- the stages ------------------------------------------------------------------------------------


def run_fit(stage: Stage, options: FitOptions) -> tuple[dict[str, Any], list[str]]:
    """Float fit: signal.npz, float.pt."""
    problem, folder = stage.problem, stage.folder
    problem.save(folder.file(SIGNAL))
    original = stage.task.write(problem, problem.values, folder.file("original"))
    for note in problem.notes:
        stage.say(f"note: {note}")
    model = Inr(inr_spec(asdict(options), problem.axes, problem.channels), options.seed)
    trained = fit_float(
        model,
        problem.fit_inputs * problem.step,
        problem.fit_target,
        fit_spec(options),
        folder.file("fit_checkpoint.pt"),
        stage.key,
        stage.progress,
        problem.project,
    )
    save_state(stage, "float.pt", model)
    with torch.no_grad():
        outputs = model(problem.inputs * problem.step).numpy()
    files = stage.save_outputs("float", outputs)
    quality = stage.quality("float", outputs)
    stage.say(f"float network: {quality['psnr_float']:.2f} dB")
    results = {
        "signal": {
            "task": problem.task,
            "name": problem.name,
            "shape": list(problem.shape),
            "channels": problem.channels,
            "notes": list(problem.notes),
        },
        "psnr_fit": trained.psnr,
        **problem.results,
        **quality,
    }
    return results, [SIGNAL, original.name, "float.pt", *files]


def run_export(stage: Stage, options: ExportOptions) -> tuple[dict[str, Any], list[str]]:
    """QONNX export and its execution: model.onnx, qonnx.npz."""
    from dhq_brevitas.export import export_qonnx

    codes = stage.codes
    layers = read_plan(stage.folder.file(LAYERS))
    model = quant_network(stage, QuantSpec(layers=layers), load_float(stage))
    model.load_state_dict(load_state(stage, "quant.pt"))
    model.eval()
    graph = export_qonnx(model, stage.folder.file("model.onnx"), args=codes[:1])
    accumulators, outputs = run_qonnx_graph(graph, codes.numpy(), stage.progress)
    expected = stage.folder.array("quant.npz", "codes")
    differing = int(np.count_nonzero(accumulators != expected))
    files = stage.save_outputs("qonnx", outputs, accumulators)
    quality = stage.quality("qonnx", outputs)
    stage.say(
        f"QONNX graph: {quality['psnr_qonnx']:.2f} dB, {differing} of {accumulators.size} output "
        "codes differ from PyTorch"
    )
    results = {
        **quality,
        "mismatch_quant_qonnx": differing,
        "samples_compared": len(codes),
        "codes_compared": accumulators.size,
    }
    return results, ["model.onnx", *files]


def run_build(stage: Stage, options: BuildOptions) -> tuple[dict[str, Any], list[str]]:
    """FINN build: the folder build/."""
    check_finn()
    from dhq_brevitas.finn_flow import build_dataflow

    planned = read_limits(stage.folder.file(LAYERS))
    this = Limits(cycles_per_sample=options.cycles_per_sample, fpga_part=options.fpga_part)
    if planned is not None and planned.build != this.build:
        stage.say(f"warning: the plan's limits are for {planned.build}, this build is {this.build}")
    codes = stage.codes.numpy()
    chosen = np.linspace(0, len(codes) - 1, min(VERIFIED_SAMPLES, len(codes))).round().astype(int)
    built = build_dataflow(
        stage.folder.file("model.onnx"),
        stage.folder.file("build"),
        cycles_per_sample=options.cycles_per_sample,
        fpga_part=options.fpga_part,
        clk_period_ns=options.clk_ns,
        verify_inputs=codes[chosen],
        progress=stage.progress,
    )
    results = {name: value for name, value in built.report.items() if name.endswith("_estimate")}
    results["hardware_layers"] = [node.op_type for node in built.model.graph.node]
    stage.say(
        f"dataflow graph: {len(results['hardware_layers'])} hardware layers, about "
        f"{results.get('cycles_per_sample_estimate')} cycles a sample, "
        f"{results.get('dsp_rtl_estimate')} DSPs in FINN's RTL (its estimate: "
        f"{results.get('dsp_estimate')})"
    )
    return results, ["build/dataflow.onnx"]


def run_simulate(stage: Stage, options: SimulateOptions) -> tuple[dict[str, Any], list[str]]:
    """Execution of the dataflow graph on the whole signal: finn.npz; then the RTL, if asked."""
    check_finn()
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.finn_flow import HostAffine, execute_dataflow

    model = ModelWrapper(str(stage.folder.file("build/dataflow.onnx")))
    host = HostAffine.from_model(model) or HostAffine()
    accumulators = execute_dataflow(
        model, host.encode(stage.codes.numpy()), progress=stage.progress
    )
    outputs = host.decode(accumulators)
    expected = stage.folder.array("qonnx.npz", "codes")
    differing = int(np.count_nonzero(accumulators != expected))
    files = stage.save_outputs("finn", outputs, accumulators)
    quality = stage.quality("finn", outputs)
    stage.say(
        f"FINN, Python: {quality['psnr_finn']:.2f} dB, {differing} of {accumulators.size} "
        "output codes differ from QONNX"
    )
    results: dict[str, Any] = {**quality, "mismatch_qonnx_finn": differing}
    if options.level in RTL_LEVELS:
        measured, written = RTL_LEVELS[options.level](stage, options, model, host, accumulators)
        results |= measured
        files += written
    return results, files


# -- files of the stages ---------------------------------------------------------------------------


def save_state(stage: Stage, name: str, model: nn.Module) -> None:
    """Writes a state_dict, whole or not at all."""
    with atomic_path(stage.folder.file(name)) as temporary:
        torch.save(model.state_dict(), temporary)


def load_state(stage: Stage, name: str) -> dict[str, Tensor]:
    """A state_dict of the run folder."""
    return torch.load(stage.folder.file(name), weights_only=True)


def load_float(stage: Stage) -> Inr:
    """The fitted float network."""
    problem = stage.problem
    model = Inr(inr_spec(stage.earlier["fit"], problem.axes, problem.channels))
    model.load_state_dict(load_state(stage, "float.pt"))
    return model


def quant_network(stage: Stage, spec: QuantSpec, model: Inr) -> QuantInr:
    """The quantized network of a float one, for the signal of this run."""
    step, bits = stage.problem.step, stage.problem.bits
    return QuantInr.from_float(model, spec, step, bits, stage.codes)


def run_qonnx_graph(
    model: Any, inputs: np.ndarray, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(output codes int64 [N, m], outputs float32 [N, m]) of a QONNX graph in integer form.

    The output codes are what enters the scale and bias at the end of the graph. Sums are exact, as
    in hardware (:func:`dhq_brevitas.export.with_exact_sums`).
    """
    from qonnx.core.onnx_exec import execute_onnx
    from tqdm.auto import tqdm

    from dhq_brevitas.export import exact_tensor, set_batch_size, with_exact_sums

    batch = min(QONNX_BATCH, len(inputs))
    batched = with_exact_sums(set_batch_size(model, batch))
    input_name, output_name = batched.graph.input[0].name, batched.graph.output[0].name
    codes_name = last_integer_tensor(batched)
    codes, outputs = [], []
    with tqdm(total=len(inputs), desc="QONNX", unit="sample", disable=not progress) as bar:
        for start in range(0, len(inputs), batch):
            # The last batch is taken from the end, so that all have one size.
            first = min(start, len(inputs) - batch)
            feed = {input_name: inputs[first : first + batch].astype(np.float32)}
            context = execute_onnx(batched, feed, return_full_exec_context=True)
            codes.append(exact_tensor(context, codes_name)[start - first :])
            outputs.append(context[output_name][start - first :])
            bar.update(len(codes[-1]))
    whole = np.concatenate(codes)
    return whole.astype(np.int64), np.concatenate(outputs)


def last_integer_tensor(model: Any) -> str:
    """Name of the tensor ahead of the trailing elementwise operations with constants."""
    constants = {initializer.name for initializer in model.graph.initializer}
    name = model.graph.output[0].name
    while True:
        node = model.find_producer(name)
        variable = [] if node is None else [i for i in node.input if i not in constants]
        if node is None or node.op_type not in ("Mul", "Add", "Sub", "Div", "Cast", "Identity"):
            return name
        name = variable[0]


RUNNERS: dict[str, Callable[[Stage, Any], tuple[dict[str, Any], list[str]]]] = {
    "fit": run_fit,
    "export": run_export,
    "build": run_build,
    "simulate": run_simulate,
    "synth": run_synth,
}
