# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""DHQ's hardware claims beside what open tools measure: one network in eight datapaths.

    python examples/hardware_comparison.py [IMAGE] --out DIR [--size 48 --hidden 64 --layers 2]

All compute the same SIREN for the same picture with the same number of multiply-accumulate units a
layer: float32 and 16 bit fixed point on datapaths of our own, the quantized ones on FINN's and this
package's layers. Each is simulated in RTL (Verilator) and synthesised (Yosys). Writes table.md,
comparison.json and comparison.png; work that is done is not repeated.
"""

import argparse
import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dhq_brevitas import cli
from dhq_brevitas.files import atomic_path, check_writable_folder, read_json, write_json
from dhq_brevitas.runs import RunFolder

CLAIMS = {"latency": -32.7, "energy": -40.1, "resources": -98.3}
QUANTIZED: dict[str, list[str]] = {
    "W8A8": ["--scheme", "stock"],
    "W8A8 DHQ": [],
    "W4A8 DHQ": ["--weight-bits", "4"],
    "W4A4 DHQ": ["--weight-bits", "4", "--act-bits", "4"],
}
MATRIX = "W8A8 DHQ, ±1 matrix"
CHECKED_SAMPLES = 48
BARS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18", "latency_cycles": "latency"}


@dataclass
class Design:
    """One row of the table; ``resources`` as of :class:`Resources`."""

    name: str
    psnr: float
    cycles_per_sample: float
    latency_cycles: int
    differing: int
    compared: int
    resources: dict[str, int] = field(default_factory=dict)

    def value(self, key: str) -> float:
        """A figure by its name."""
        return float(self.resources[key] if key in self.resources else getattr(self, key))


def run(*arguments: object) -> None:
    """``dhq`` in this process; ends this one if it fails."""
    status = cli.main([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def quantized_runs(options: argparse.Namespace) -> dict[str, Path]:
    """Run folders of the quantized networks, all from one float fit, simulated in RTL."""
    folders = {name: options.out / _plain(name) for name in QUANTIZED}
    first = folders["W8A8 DHQ"]
    network = [
        *("--size", options.size, "--hidden", options.hidden, "--layers", options.layers),
        *("--steps", options.steps),
    ]
    common = ["--qat-steps", options.qat_steps, "--cycles-per-sample", options.cycles_per_sample]
    run("fit", options.image, "--out", first, *network)
    for name, folder in folders.items():
        if not (folder / "fit.json").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            for file in ["fit.json", *read_json(first / "fit.json")["files"]]:
                shutil.copy(first / file, folder / file)
        print(f"-- {name}", flush=True)
        run(
            *("run", options.image, "--out", folder, "--level", "stitched"),
            *network,
            *common,
            *QUANTIZED[name],
        )
    return folders


def quantized_design(name: str, folder: Path) -> Design:
    """The row of a run folder."""
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.finn_flow.stitching import open_stitched

    summary = read_json(folder / "summary.json")
    design = open_stitched(ModelWrapper(str(folder / "stitched" / "stitched.onnx")))
    return Design(
        name,
        summary["psnr_rtl"],
        summary["cycles_per_sample"],
        summary["latency_cycles"],
        summary["mismatch_finn_rtl"],
        summary["codes_compared"],
        synthesise(*stitched(design)),
    )


def stitched(design: Any) -> tuple[Any, str]:
    """(sources for Yosys, top) of a stitched design."""
    from dhq_brevitas.finn_flow.synthesis.design import stitched_sources

    return stitched_sources(design), design.top


def synthesise(sources: Any, top: str) -> dict[str, int]:
    """Resources on UltraScale+."""
    from dhq_brevitas.finn_flow.synthesis import Yosys
    from dhq_brevitas.finn_flow.synthesis.design import read_resources

    return asdict(read_resources(Yosys().synthesise(sources, top, "xcup")))


def matrix_design(folder: Path, options: argparse.Namespace) -> Design:
    """The network of ``folder`` with its rotations as ordinary matrices of ±1."""
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.export import LowerHadamardToMatMul
    from dhq_brevitas.finn_flow import build_dataflow
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator
    from dhq_brevitas.finn_flow.stitching import simulate_stitched, stitch

    enable_verilator()
    work = options.out / _plain(MATRIX)
    graph = ModelWrapper(str(folder / "model.onnx")).transform(LowerHadamardToMatMul())
    built = build_dataflow(graph, work, cycles_per_sample=options.cycles_per_sample)
    design = stitch(built.model, work / "stitched")
    codes, stage = load_stage(folder)
    outputs, stats = simulate_stitched(design, built.host.encode(codes))
    expected = RunFolder(folder).array("finn.npz", "codes")
    return Design(
        MATRIX,
        _psnr(stage, built.host.decode(outputs)),
        float(stats.cycles_per_sample or math.nan),
        stats.latency_cycles,
        int(np.count_nonzero(outputs != expected)),
        outputs.size,
        synthesise(*stitched(design)),
    )


def load_stage(folder: Path) -> tuple[np.ndarray, Any]:
    """(coordinate codes of the picture, the stage they come from)."""
    from dhq_brevitas.options import FitOptions
    from dhq_brevitas.stages import Stage, load_problem

    earlier = {stage: record.options for stage, record in RunFolder(folder).chain().items()}
    problem = load_problem(FitOptions(**earlier["fit"]))
    stage = Stage(RunFolder(folder), "", earlier, False, print, problem)
    return stage.codes.numpy().astype(np.int64), stage


def _psnr(stage: Any, outputs: np.ndarray) -> float:
    return float(stage.quality("x", np.asarray(outputs, np.float32))["psnr_x"])


def baseline_designs(folder: Path) -> list[Design]:
    """Float32 and 16 bit fixed point, folded as the layers of ``folder`` are."""
    from dhq_brevitas.finn_flow.synthesis.baselines import (
        SineLayer,
        fixed_baseline,
        float_baseline,
    )
    from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys
    from dhq_brevitas.stages import load_float

    codes, stage = load_stage(folder)
    network = load_float(stage)
    report = read_json(folder / "build" / "build.json")["report"]
    lanes = [n["PE"] * n["SIMD"] for n in report["layers"] if n["op_type"].startswith("MVAU")]
    layers = []
    for index, linear in enumerate(network.linears):
        sine = index < len(network.activations)
        factor = 1.0
        if sine:
            activation = network.activations[index]
            factor = activation.gain / activation.period
        weight = linear.weight.detach().double().numpy() * factor
        bias = linear.bias.detach().double().numpy() * factor
        if index == 0:
            weight = weight * stage.problem.step
        if sine:
            bias = bias - np.rint(bias)
        layers.append(SineLayer(weight, bias, sine, lanes[index]))
    designs = []
    for name, make in (("float32", float_baseline), ("16 bit fixed", fixed_baseline)):
        baseline = make(layers)
        checked = codes[:: max(1, len(codes) // CHECKED_SAMPLES)]
        outputs, stats = baseline.simulate(checked)
        expected = baseline.reference(baseline.encode(codes))
        differing = np.count_nonzero(outputs != expected[:: max(1, len(codes) // CHECKED_SAMPLES)])
        designs.append(
            Design(
                name,
                _psnr(stage, baseline.decode(expected)),
                float(stats.cycles_per_sample or math.nan),
                stats.latency_cycles,
                int(differing),
                outputs.size,
                synthesise(patch_for_yosys(baseline.sources), "baseline"),
            )
        )
    return designs


# -- what is written -------------------------------------------------------------------------------


def table(designs: list[Design]) -> list[str]:
    """Markdown of all designs; percentages against the first."""
    columns = ["lut", "lutram", "ff", "carry", "dsp", "bram18"]
    lines = [
        "| design | LUT | of these memory | FF | CARRY4 | DSP | BRAM18 | cycles a sample | "
        "latency, cycles | PSNR, dB | codes wrong in RTL |",
        "|---|" + "---:|" * 10,
    ]
    for design in designs:
        cells = [str(design.resources[key]) for key in columns]
        cells += [
            f"{design.cycles_per_sample:.1f}",
            str(design.latency_cycles),
            f"{design.psnr:.2f}",
            f"{design.differing} of {design.compared}",
        ]
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def change(designs: dict[str, Design], key: str, to: str = "W8A8 DHQ") -> float:
    """Percent by which a figure of ``to`` differs from that of float32."""
    before = designs["float32"].value(key)
    return 100 * (designs[to].value(key) / before - 1) if before else math.nan


def claims(designs: dict[str, Design]) -> list[str]:
    """Markdown of DHQ's claims beside the measurements."""
    lines = [
        "| against full precision | DHQ reports | W8A8 DHQ here | W4A4 DHQ here |",
        "|---|---:|---:|---:|",
    ]
    rows = [
        ("latency in cycles", CLAIMS["latency"], "latency_cycles"),
        ("cycles a sample", None, "cycles_per_sample"),
        *((BARS[key], CLAIMS["resources"], key) for key in ("lut", "ff", "dsp", "bram18")),
    ]
    for title, claimed, key in rows:
        cells = [f"{change(designs, key, name):+.1f}%" for name in ("W8A8 DHQ", "W4A4 DHQ")]
        cells = ["" if "nan" in cell else cell for cell in cells]
        said = "" if claimed is None else f"{claimed}%"
        said = f"up to {said}" if claimed == CLAIMS["resources"] else said
        lines.append(f"| {title} | {said} | " + " | ".join(cells) + " |")
    return lines


def draw(designs: list[Design], path: Path) -> None:
    """Bars of every figure for every design, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 4.5))
    width = 0.85 / len(designs)
    for index, design in enumerate(designs):
        places = np.arange(len(BARS)) + (index - (len(designs) - 1) / 2) * width
        axes.bar(places, [max(design.value(key), 0.5) for key in BARS], width, label=design.name)
    axes.set_yscale("log")
    axes.set_xticks(range(len(BARS)), list(BARS.values()))
    axes.set_ylabel("number (logarithmic)")
    axes.legend(fontsize=8, ncol=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    pyplot.close(figure)


def _plain(name: str) -> str:
    return name.replace(" ", "_").replace(",", "").replace("±", "pm").lower()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", nargs="?", default="astronaut", help="picture (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument("--size", type=int, default=48, help="pixels (%(default)s)")
    parser.add_argument("--hidden", type=int, default=64, help="width (%(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="sine layers (%(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="of the fit (%(default)s)")
    parser.add_argument("--qat-steps", type=int, default=300, help="fine-tuning (%(default)s)")
    parser.add_argument("--cycles-per-sample", type=int, default=128, help="folding (%(default)s)")
    options = parser.parse_args()
    options.out = check_writable_folder(options.out).resolve()
    folders = quantized_runs(options)
    reference = folders["W8A8 DHQ"]
    designs: list[Design] = []
    with tqdm(total=3 + len(folders), desc="designs", unit="design") as bar:
        designs += baseline_designs(reference)
        bar.update(2)
        for name, folder in folders.items():
            designs.append(quantized_design(name, folder))
            bar.update()
        designs.insert(4, matrix_design(reference, options))
        bar.update()
    by_name = {design.name: design for design in designs}
    from dhq_brevitas.finn_flow.synthesis import Yosys

    facts = (
        f"{options.image} at {options.size}, {options.layers} sine layers of {options.hidden}, "
        f"{options.cycles_per_sample} cycles a sample asked for; {Yosys().version}, synth_xilinx "
        "-family xcup, before placement; latency and cycles from RTL simulation with Verilator"
    )
    text = "\n".join([*table(designs), "", *claims(by_name), "", facts, ""])
    with atomic_path(options.out / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(
        options.out / "comparison.json",
        {"designs": [asdict(d) for d in designs], "claims": CLAIMS, "settings": facts},
    )
    draw(designs, options.out / "comparison.png")
    print(text)


if __name__ == "__main__":
    main()
