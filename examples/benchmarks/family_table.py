# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""INR families and tasks: float, stock W8A8 and DHQ W8A8 side by side, and their distributions.

    python examples/benchmarks/family_table.py --out runs/families
    python examples/benchmarks/family_table.py --out runs/quick --size 16 --hidden 16 \\
        --steps 30 --qat-steps 5

Prints two tables as Markdown and writes them to OUT/tables.md. Every number of the first is the
PSNR in dB on the whole signal of a network that exists: the same float network, then the same
post-training calibration and fine-tuning with each quantizer (first layer's weights 12 bits,
power-of-two scales a channel). "trained on" is the float network after as many more steps as the
others are fine-tuned, which alone can gain, or lose where what is fitted is not what is measured.
"planned" has the weight bits of these in all, spent as the planner says, and the rounding and
fine-tuning of dhq quantize; its rotations are at a layer's input, before the quantizer or "after"
it, or at the output. "given" is the PSNR of the data themselves where these are not the signal:
noisy pixels, coarse pixels repeated, filtered back-projection. "mismatch" counts the output codes
in which FINN's dataflow graph of the DHQ network differs from QONNX; the column needs FINN.

Small settings by default, so that it runs on two cores in half an hour; larger pictures and
networks order the families differently. Each cell is kept in OUT, so an interrupted run continues.
"""

import argparse
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dhq_brevitas.analysis.layer_table import measure_layers
from dhq_brevitas.inr.families import FAMILIES, get_family
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float
from dhq_brevitas.planning.plan_file import layers_to_json
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.fine_tuning import fine_tuning_rate
from dhq_brevitas.quantization.recipe import quantize_in_place
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.quantization.straight_through import train_quantized
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import TASKS, Problem, get_task
from dhq_brevitas.util.files import atomic_path, read_json, text_digest, write_json

SOURCES = {"audio": "chord", "shape": "torus", "tomography": "phantom", "radiance": "shapes"}
# Sizes beside --size, which is that of pictures.
SIZES = {"audio": 16, "shape": 0.375, "tomography": 0.75, "radiance": 0.25}
MIN_SIZE = 8
PLANNER_TRIALS = 6
SCHEMES = {
    "stock": {"scheme": "stock"},
    "dhq": {},
    "dhq, signs": {"signs_seed": 0},
}
LEVELS = ["float", "trained on", *SCHEMES, "planned"]
# One task with all families, and all tasks with one family.
ROWS = [("picture", family) for family in FAMILIES]
ROWS += [(task, "siren") for task in TASKS if task != "picture"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/families"), help="folder of cells")
    parser.add_argument("--signal", default="astronaut", help="picture for the picture tasks")
    parser.add_argument("--size", type=int, default=64, help="pixels on its longer side")
    parser.add_argument("--hidden", type=int, default=64, help="width of the two hidden layers")
    parser.add_argument("--steps", type=int, default=1500, help="training steps, float")
    parser.add_argument("--qat-steps", type=int, default=300, help="fine-tuning steps")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="only the first N rows")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)

    rows = []
    bar = tqdm(ROWS[: options.rows], unit="row")
    for task, family in bar:
        bar.set_description(f"{task}, {family}")
        rows.append(Row(options, task, family).cells())
    text = f"{quality_table(rows)}\n\n{distribution_table(rows)}"
    with atomic_path(options.out / "tables.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    print(text)


class Row:
    """One task with one family: a float network and what quantizers make of it."""

    def __init__(self, options: argparse.Namespace, task: str, family: str) -> None:
        self.options, self.task, self.family = options, task, family
        size = max(MIN_SIZE, int(options.size * SIZES.get(task, 1)))
        self.problem: Problem = get_task(task).problem(SOURCES.get(task, options.signal), size)
        numbers = get_task(task).family_parameters.get(family, {})
        self.spec = InrSpec(
            hidden=options.hidden,
            layers=2,
            in_features=self.problem.axes,
            out_features=self.problem.channels,
            family=family,
            parameters=numbers,
        )

    def cells(self) -> dict[str, Any]:
        """All numbers of the row."""
        results: dict[str, Any] = {"task": self.task, "family": self.family}
        results |= {"given": self.problem.results, "float": self.cell("float", self.fit)}
        for scheme, quant in SCHEMES.items():
            results[scheme] = self.cell(scheme, lambda quant=quant: self.quantize(quant))
        results["trained on"] = self.cell("trained on", self.train_on)
        results["planned"] = self.cell("planned", self.plan)
        if find_spec("finn") is not None:
            results["finn"] = self.cell("finn", self.map_to_finn)
        return results

    def cell(self, name: str, compute: Any) -> Mapping[str, Any]:
        """The stored result of a cell, or a new one."""
        settings = [self.options.steps, self.options.qat_steps, self.options.hidden]
        key = text_digest([name, self.problem.digest(), self.family, settings])
        path = self.options.out / f"{self.task}-{self.family}-{name}-{key[:12]}.json"
        stored = read_json(path)
        if stored is None:
            stored = compute()
            write_json(path, stored)
        return stored

    @property
    def weights(self) -> Path:
        """File of the float network."""
        key = text_digest([self.problem.digest(), self.options.steps, self.options.hidden])
        return self.options.out / f"{self.task}-{self.family}-{key[:12]}.pt"

    def network(self) -> Inr:
        """The fitted float network."""
        model = Inr(self.spec)
        model.load_state_dict(torch.load(self.weights, weights_only=True))
        return model

    def fit(self) -> dict[str, Any]:
        problem, model = self.problem, Inr(self.spec)
        training = TrainSpec(self.options.steps, 4096, self.rate)
        inputs = problem.fit_inputs * problem.step
        fit_float(
            model, inputs, problem.fit_target, training, progress=False, project=problem.project
        )
        with atomic_path(self.weights) as temporary:
            torch.save(model.state_dict(), temporary)
        with torch.no_grad():
            outputs = model(problem.inputs * problem.step).numpy()
        return {"psnr": psnr(problem.values, outputs)}

    def train_on(self) -> dict[str, Any]:
        problem, model = self.problem, self.network()
        fit_float(
            model,
            problem.fit_inputs * problem.step,
            problem.fit_target,
            self.fine_tuning,
            progress=False,
            project=problem.project,
        )
        with torch.no_grad():
            outputs = model(problem.inputs * problem.step).numpy()
        return {"psnr": psnr(problem.values, outputs)}

    @property
    def rate(self) -> float:
        """Learning rate of the fit."""
        return get_family(self.family).rate(self.spec.hidden)

    @property
    def fine_tuning(self) -> TrainSpec:
        """As dhq quantize does it, here with weights of 8 bits."""
        steps = self.options.qat_steps
        return TrainSpec(steps, 8192, fine_tuning_rate(self.rate, QuantSpec(), steps))

    def unquantized(self, quant: QuantSpec) -> QuantInr:
        """The network with quantizers that are not calibrated."""
        problem = self.problem
        return QuantInr.from_float(
            self.network(), quant, problem.step, problem.bits, problem.inputs
        )

    def quantized(self, quant: Mapping[str, Any]) -> QuantInr:
        model = self.unquantized(QuantSpec(**quant))
        calibrate(model, self.problem.inputs)
        return model

    def trained(self, quant: Mapping[str, Any]) -> QuantInr:
        problem, model = self.problem, self.quantized(quant)
        training = TrainSpec(self.options.qat_steps, 4096, 1e-4)
        train_quantized(
            model,
            problem.fit_inputs,
            problem.fit_target,
            training,
            progress=False,
            project=problem.project,
        )
        return model

    def quantize(self, quant: Mapping[str, Any]) -> dict[str, Any]:
        model = self.trained(quant)
        layers = measure_layers(model, self.problem.inputs)
        settle(model, self.problem.inputs)
        outputs = evaluate(model, self.problem.inputs).outputs
        return {"psnr": psnr(self.problem.values, outputs), "layers": layers}

    def plan(self) -> dict[str, Any]:
        problem, codes, stock = self.problem, self.problem.inputs, QuantSpec(scheme="stock")
        model = self.unquantized(stock)
        plan = make_plan(model, codes, stock, progress=False, max_trials=PLANNER_TRIALS)
        model = self.unquantized(QuantSpec(layers=plan.layers))
        quantize_in_place(
            model,
            codes,
            problem.fit_target,
            self.fine_tuning,
            fit_inputs=problem.fit_inputs,
            project=problem.project,
            progress=False,
        )
        outputs = evaluate(model, codes).outputs
        return {"psnr": psnr(problem.values, outputs), "layers": layers_to_json(plan.layers)}

    def map_to_finn(self) -> dict[str, Any]:
        from dhq_brevitas.export import export_qonnx, run_qonnx
        from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow

        model, codes = self.quantized({}), self.problem.inputs
        settle(model, codes)
        graph = export_qonnx(model, args=codes[:1])
        expected, _ = run_qonnx(graph, codes, codes=True)
        with tempfile.TemporaryDirectory() as folder:
            built = build_dataflow(graph, folder, cycles_per_sample=256, progress=False)
            inputs = built.host.encode(codes.numpy())
            found = execute_dataflow(built.model, inputs, progress=False)
        return {"differing": int(np.count_nonzero(found != expected)), "codes": expected.size}


def quality_table(rows: list[dict[str, Any]]) -> str:
    """PSNR of every cell."""
    heads = ["task", "family", "given", *LEVELS, "its rotations", "mismatch"]
    lines = []
    for row in rows:
        values = [f"{row[name]['psnr']:.2f}" for name in LEVELS]
        finn = row.get("finn")
        mismatch = "" if finn is None else f"{finn['differing']} of {finn['codes']}"
        given = row["given"].get("psnr_given")
        shown = "" if given is None else f"{given:.2f}"
        sides = [layer["rotation"] for layer in row["planned"]["layers"]]
        rotations = ", ".join(side for side in sides if side != "none")
        lines.append([row["task"], row["family"], shown, *values, rotations, mismatch])
    return markdown(heads, lines)


def distribution_table(rows: list[dict[str, Any]]) -> str:
    """Kurtosis of the second and third linear layer's tensors, raw, rotated and with signs."""
    heads = ["family", "layer", "W raw", "W rotated", "W signs", "A raw", "A rotated", "A signs"]
    heads += ["A SQNR raw", "rotated", "signs"]
    lines = []
    for row in rows:
        if row["task"] != "picture":
            continue
        for plain, signed in zip(row["dhq"]["layers"], row["dhq, signs"]["layers"], strict=True):
            if "act_kurtosis_after" not in plain:
                continue
            numbers = [
                layer.get(f"{tensor}_{when}")
                for tensor in ("weight_kurtosis", "act_kurtosis", "act_sqnr")
                for layer, when in ((plain, "before"), (plain, "after"), (signed, "after"))
            ]
            texts = ["" if number is None else f"{number:.1f}" for number in numbers]
            lines.append([row["family"], plain["name"], *texts])
    return markdown(heads, lines)


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    rows = [heads, *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    cells = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


if __name__ == "__main__":
    main()
