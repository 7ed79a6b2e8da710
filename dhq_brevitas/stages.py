# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stages of a run, from a picture to the executed dataflow graph.

Each stage reads files of the run folder, writes its own there, and returns values for the summary
and the names of its files. :mod:`dhq_brevitas.pipeline` runs them.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.calibration import calibrate
from dhq_brevitas.families import get_family
from dhq_brevitas.files import atomic_path
from dhq_brevitas.inr import Inr, QuantInr
from dhq_brevitas.measure import measure_layers
from dhq_brevitas.options import (
    BuildOptions,
    ExportOptions,
    FitOptions,
    QuantizeOptions,
    SimulateOptions,
)
from dhq_brevitas.reference import evaluate, finalise
from dhq_brevitas.rtl_levels import RTL_LEVELS
from dhq_brevitas.runs import RunFolder
from dhq_brevitas.signals import (
    Picture,
    coordinate_bits,
    coordinate_step,
    pixel_codes,
    psnr,
    save_image,
)
from dhq_brevitas.specs import InrSpec, QuantSpec
from dhq_brevitas.synth import run_synth
from dhq_brevitas.training import TrainSpec, fit_float, tensor_psnr, train_quantized

__all__ = ["RUNNERS", "Stage", "fit_spec", "inr_spec", "qat_spec", "quant_spec"]

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
    picture: Picture | None = None

    @property
    def pixels(self) -> np.ndarray:
        """The picture the run is about, [H, W, C]."""
        return np.load(self.folder.file("picture.npy"))

    @property
    def codes(self) -> Tensor:
        """Pixel codes of the whole picture, float32 [H·W, 2]."""
        return torch.from_numpy(pixel_codes(*self.pixels.shape[:2])).float()

    @property
    def target(self) -> Tensor:
        """Samples of the whole picture, float32 [H·W, C]."""
        return torch.from_numpy(self.pixels).flatten(0, 1)

    def save_outputs(
        self, level: str, outputs: np.ndarray, codes: np.ndarray | None = None
    ) -> None:
        """Writes ``<level>.npz`` and the reconstruction ``<level>.png``."""
        arrays: dict[str, Any] = {"outputs": outputs}
        if codes is not None:
            arrays["codes"] = codes
        with atomic_path(self.folder.file(f"{level}.npz")) as temporary:
            np.savez_compressed(temporary, **arrays)
        save_image(self.folder.file(f"{level}.png"), outputs.reshape(self.pixels.shape))

    def psnr(self, outputs: np.ndarray) -> float:
        """PSNR of outputs [H·W, C] against the picture."""
        return psnr(self.target.numpy(), outputs)


# -- what options describe -------------------------------------------------------------------------


def inr_spec(options: Mapping[str, Any], channels: int) -> InrSpec:
    """The network that ``options`` of the fit describe."""
    return InrSpec(
        hidden=options["hidden"],
        layers=options["layers"],
        out_features=channels,
        family=options["family"],
        parameters=family_parameters(options["parameters"]),
    )


def family_parameters(text: str) -> dict[str, float]:
    """``omega=20,scale=5`` as a dictionary; ValueError for anything else."""
    parameters: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.partition("=")
        try:
            if not separator:
                raise ValueError
            parameters[name.strip()] = float(value)
        except ValueError:
            raise ValueError(
                f"parameters={text!r}: {part!r} is not NAME=NUMBER, for example omega=20"
            ) from None
    return parameters


def quant_spec(options: QuantizeOptions) -> QuantSpec:
    """The quantization that ``options`` describe; ``rotation`` may list a side for each layer."""
    values = {
        name: getattr(options, name)
        for name in QuantSpec.__dataclass_fields__
        if name in QuantizeOptions.__dataclass_fields__
    }
    sides = tuple(options.rotation.split(","))
    values["rotation"] = sides if len(sides) > 1 else sides[0]
    return QuantSpec(**values)


def fit_spec(options: FitOptions) -> TrainSpec:
    """The training of the float network; the learning rate is the family's unless given."""
    rate = options.learning_rate
    if rate is None:
        rate = get_family(options.family).learning_rate
    return TrainSpec(options.steps, options.batch, rate, seed=options.seed)


def qat_spec(options: QuantizeOptions) -> TrainSpec:
    """The fine-tuning of the quantized network."""
    return TrainSpec(options.qat_steps, options.batch, options.qat_learning_rate, seed=options.seed)


def check_finn() -> None:
    """ModuleNotFoundError that says what to install, if FINN is missing."""
    if importlib.util.find_spec("finn") is None:
        raise ModuleNotFoundError(
            "build, simulate and synth need FINN, which is not installed: pip install "
            "'dhq-brevitas[finn]', or stop earlier with dhq run --until export"
        )


# -- the stages ------------------------------------------------------------------------------------


def run_fit(stage: Stage, options: FitOptions) -> tuple[dict[str, Any], list[str]]:
    """Float fit: picture.npy, float.pt."""
    picture = stage.picture
    assert picture is not None
    folder = stage.folder
    with atomic_path(folder.file("picture.npy")) as temporary:
        np.save(temporary, picture.pixels)
    save_image(folder.file("original.png"), picture.pixels)
    for note in picture.notes:
        stage.say(f"note: {note}")
    model = Inr(inr_spec(asdict(options), picture.channels), options.seed)
    coordinates = stage.codes * coordinate_step(*picture.shape)
    trained = fit_float(
        model,
        coordinates,
        stage.target,
        fit_spec(options),
        folder.file("fit_checkpoint.pt"),
        stage.key,
        stage.progress,
    )
    save_state(stage, "float.pt", model)
    with torch.no_grad():
        stage.save_outputs("float", model(coordinates).numpy())
    stage.say(f"float network: {trained.psnr:.2f} dB")
    height, width = picture.shape
    results = {
        "picture": {
            "name": picture.name,
            "height": height,
            "width": width,
            "channels": picture.channels,
            "notes": list(picture.notes),
        },
        "psnr_float": trained.psnr,
    }
    return results, ["picture.npy", "original.png", "float.pt", "float.npz", "float.png"]


def run_quantize(stage: Stage, options: QuantizeOptions) -> tuple[dict[str, Any], list[str]]:
    """Calibration, fine-tuning and reference evaluation: quant.pt, quant.npz."""
    codes, target = stage.codes, stage.target
    model = quant_network(stage, options, load_float(stage))
    calibrate(model, codes)
    model.eval()
    with torch.no_grad():
        calibrated = tensor_psnr(model(codes), target)
    stage.say(f"calibrated network: {calibrated:.2f} dB")
    trained = train_quantized(
        model,
        codes,
        target,
        qat_spec(options),
        stage.folder.file("quantize_checkpoint.pt"),
        stage.key,
        stage.progress,
    )
    layers = measure_layers(model, codes)
    finalise(model)
    reference = evaluate(model, codes)
    save_state(stage, "quant.pt", model)
    stage.save_outputs("quant", reference.outputs, reference.accumulators)
    quality = stage.psnr(reference.outputs)
    stage.say(f"quantized network: {quality:.2f} dB")
    results = {
        "psnr_calibrated": calibrated,
        "psnr_quant": quality,
        "qat_best_step": trained.step,
        "accumulator_bits": model.accumulator_bits(codes),
        "reference_dtype": reference.dtype,
        "layers": layers,
    }
    return results, ["quant.pt", "quant.npz", "quant.png"]


def run_export(stage: Stage, options: ExportOptions) -> tuple[dict[str, Any], list[str]]:
    """QONNX export and its execution: model.onnx, qonnx.npz."""
    from dhq_brevitas.export import export_qonnx

    codes = stage.codes
    quantized = QuantizeOptions(**stage.earlier["quantize"])
    model = quant_network(stage, quantized, load_float(stage))
    model.load_state_dict(load_state(stage, "quant.pt"))
    model.eval()
    graph = export_qonnx(model, stage.folder.file("model.onnx"), args=codes[:1])
    accumulators, outputs = run_qonnx_graph(graph, codes.numpy(), stage.progress)
    expected = stage.folder.array("quant.npz", "codes")
    differing = int(np.count_nonzero(accumulators != expected))
    stage.save_outputs("qonnx", outputs, accumulators)
    quality = stage.psnr(outputs)
    stage.say(
        f"QONNX graph: {quality:.2f} dB, {differing} of {accumulators.size} output codes differ "
        "from PyTorch"
    )
    results = {
        "psnr_qonnx": quality,
        "mismatch_quant_qonnx": differing,
        "samples_compared": len(codes),
        "codes_compared": accumulators.size,
    }
    return results, ["model.onnx", "qonnx.npz", "qonnx.png"]


def run_build(stage: Stage, options: BuildOptions) -> tuple[dict[str, Any], list[str]]:
    """FINN build: the folder build/."""
    check_finn()
    from dhq_brevitas.finn_flow import build_dataflow

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
        f"{results.get('cycles_per_sample_estimate')} cycles a sample"
    )
    return results, ["build/dataflow.onnx"]


def run_simulate(stage: Stage, options: SimulateOptions) -> tuple[dict[str, Any], list[str]]:
    """Execution of the dataflow graph on the whole picture: finn.npz; then the RTL, if asked."""
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
    stage.save_outputs("finn", outputs, accumulators)
    quality = stage.psnr(outputs)
    stage.say(
        f"FINN, Python: {quality:.2f} dB, {differing} of {accumulators.size} output codes "
        "differ from QONNX"
    )
    results: dict[str, Any] = {"psnr_finn": quality, "mismatch_qonnx_finn": differing}
    files = ["finn.npz", "finn.png"]
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
    model = Inr(inr_spec(stage.earlier["fit"], stage.pixels.shape[2]))
    model.load_state_dict(load_state(stage, "float.pt"))
    return model


def quant_network(stage: Stage, options: QuantizeOptions, model: Inr) -> QuantInr:
    """The quantized network of a float one, for the picture of this run."""
    height, width = stage.pixels.shape[:2]
    step, bits = coordinate_step(height, width), coordinate_bits(height, width)
    return QuantInr.from_float(model, quant_spec(options), step, bits, stage.codes)


def run_qonnx_graph(
    model: Any, inputs: np.ndarray, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(output codes int64 [N, m], outputs float32 [N, m]) of a QONNX graph in integer form.

    The output codes are what enters the scale and bias at the end of the graph.
    """
    from qonnx.core.onnx_exec import execute_onnx
    from tqdm.auto import tqdm

    from dhq_brevitas.export import set_batch_size

    batch = min(QONNX_BATCH, len(inputs))
    batched = set_batch_size(model, batch)
    input_name, output_name = batched.graph.input[0].name, batched.graph.output[0].name
    codes_name = last_integer_tensor(batched)
    codes, outputs = [], []
    with tqdm(total=len(inputs), desc="QONNX", unit="sample", disable=not progress) as bar:
        for start in range(0, len(inputs), batch):
            # The last batch is taken from the end, so that all have one size.
            first = min(start, len(inputs) - batch)
            feed = {input_name: inputs[first : first + batch].astype(np.float32)}
            context = execute_onnx(batched, feed, return_full_exec_context=True)
            codes.append(context[codes_name][start - first :])
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
    "quantize": run_quantize,
    "export": run_export,
    "build": run_build,
    "simulate": run_simulate,
    "synth": run_synth,
}
