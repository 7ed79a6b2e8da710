# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One design: estimated, fitted, quantized, measured; or given up as early as can be.

A design is given up

* before its fit, if what it takes exceeds the part or the cycles a sample: estimated from the
  integers of a network that is not trained, which differ from the trained one's by a few LUTs;
* before its fit and before its quantization, if a finished design takes no more of anything and
  has a PSNR that this one can hardly reach: that of its float network, or of float networks that
  are at least as wide and deep, and ``GAIN_DB`` more, as fine-tuning may go on where a fit ended;
* if its training diverges.

Float networks are fitted once for all designs that share one, in run folders of their own.
"""

import functools
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.layer_plan import weight_bits
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.training import DivergedError
from dhq_brevitas.planning.limits import LIMITED, Limits, Resources
from dhq_brevitas.planning.parts import part_resources
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.run.exploring.options import DIRECTIONS
from dhq_brevitas.run.networks import load_quantized, make_quantized
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages import stage_options
from dhq_brevitas.run.stages.fit import FitOptions, inr_spec
from dhq_brevitas.run.stages.quantize import QuantizeOptions, quant_spec
from dhq_brevitas.signals.tasks import Problem
from dhq_brevitas.util.files import text_digest

__all__ = ["Evaluator", "possible"]

#: What fine-tuning is taken to gain at most on the float network.
GAIN_DB = 1.0
#: PSNR of a reconstruction without error.
MAX_PSNR = 200.0


def possible(settings: Mapping[str, Any], problem: Problem) -> bool:
    """Whether there is such a network: its layers can have the rotation that ``settings`` name."""
    options = stage_options(("fit", "quantize"), settings)
    spec = inr_spec(options["fit"], problem.axes, problem.channels)
    try:
        plan_layers(shapes_of_inr(spec, problem.bits), quant_spec(options["quantize"]))
    except ValueError:
        return False
    return True


class Evaluator:
    """Evaluates designs of one exploration.

    Args:
        folder: of the exploration.
        shared: settings of all designs.
        problem: the signal.
        objectives: what designs are judged by.
    """

    def __init__(
        self,
        folder: Path,
        shared: Mapping[str, Any],
        problem: Problem,
        objectives: Iterable[str],
    ) -> None:
        from dhq_brevitas.finn_flow.estimates import LayerEstimator

        self.folder, self.shared, self.problem = folder, dict(shared), problem
        self.objectives, part = tuple(objectives), str(shared["fpga_part"])
        there: Mapping[str, Any] = part_resources(part) or {}
        self.limits = Limits(**{name: there[name] for name in LIMITED})
        self.estimator = functools.cache(lambda cycles: LayerEstimator(cycles, part))

    def evaluate(
        self,
        number: int,
        design: Mapping[str, Any],
        finished: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """The record of a trial; ``finished``: records of others."""
        start = time.monotonic()
        settings = {**self.shared, **design}
        settings["cycles_per_sample"] //= settings.pop("speed")
        record = {"design": dict(design), "settings": settings, "given_up": ""}
        try:
            record |= self._measured(number, settings, finished)
        except (_GivenUp, DivergedError) as reason:
            record["given_up"] = str(reason)
        return record | {"seconds": round(time.monotonic() - start, 1)}

    def _measured(
        self,
        number: int,
        settings: Mapping[str, Any],
        finished: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        options = stage_options(("fit", "quantize"), settings)
        fit, quantize = options["fit"], options["quantize"]
        cycles = settings["cycles_per_sample"]
        used = self._fitting(self._untrained(fit, quantize), cycles)
        measured = [record for record in finished if not record["given_up"]]
        larger = [
            record["psnr_float"]
            for record in measured
            if record["design"]["family"] == fit.family
            and record["design"]["hidden"] >= fit.hidden
            and record["design"]["layers"] >= fit.layers
        ]
        self._check_reachable(used, min(larger, default=MAX_PSNR), measured)
        folder = RunFolder(self.folder / "floats" / text_digest(asdict(fit))[:16], trust_code=True)
        fitted, _ = run_stage(folder, "fit", fit, False, _silent)
        psnr_float = fitted.results.get("psnr_float", MAX_PSNR)
        self._check_reachable(used, psnr_float, measured)
        run = RunFolder(self.folder / "trials" / str(number), trust_code=True)
        if "fit" not in run.chain():
            with folder.locked(_silent):
                shutil.copytree(folder.path, run.path, dirs_exist_ok=True)
        run_stage(run, "fit", fit, False, _silent)
        quantized, _ = run_stage(run, "quantize", quantize, False, _silent)
        used = self._fitting(load_quantized(run, fit, self.problem), cycles)
        psnr = min(quantized.results.get("psnr_quant", MAX_PSNR), MAX_PSNR)
        return {"psnr": psnr, "psnr_float": min(psnr_float, MAX_PSNR), **used}

    def _untrained(self, fit: FitOptions, quantize: QuantizeOptions) -> QuantInr:
        """The quantized network as it would be without a fit."""
        problem = self.problem
        network = Inr(inr_spec(fit, problem.axes, problem.channels), fit.seed)
        model = make_quantized(network, quant_spec(quantize), problem)
        calibrate(model, problem.inputs)
        settle(model, problem.inputs)
        return model.eval()

    def _fitting(self, model: QuantInr, cycles: int) -> dict[str, float]:
        """What a network takes; _GivenUp if the part has not as much, or it is too slow."""
        layers = layer_codes(model, self.problem.inputs[:1])
        used = sum(self.estimator(cycles)(layers), Resources())
        if used.cycles > cycles:
            raise _GivenUp(f"takes {used.cycles} cycles a sample, not {cycles}")
        for name, more in self.limits.exceeded(used).items():
            there = self.limits.given()[name]
            raise _GivenUp(f"takes {there + more} {name}, the part has {there}")
        return asdict(used) | {
            "samples_per_second": round(1e9 / (self.shared["clk_ns"] * used.cycles), 1),
            "bits_per_sample": round(weight_bits(model.plans) / len(self.problem.codes), 4),
        }

    def _check_reachable(
        self, used: Mapping[str, float], bound: float, others: Iterable[Mapping[str, Any]]
    ) -> None:
        """_GivenUp if one of ``others`` is nowhere worse than ``used``, and beyond ``bound`` dB."""
        names = {*LIMITED, *self.objectives} - {"psnr"}
        signs = {name: -1 if DIRECTIONS.get(name) == "maximize" else 1 for name in names}
        for other in others:
            nowhere_worse = all(sign * other[n] <= sign * used[n] for n, sign in signs.items())
            if nowhere_worse and other["psnr"] > bound + GAIN_DB:
                raise _GivenUp(
                    f"float networks reach {bound:.2f} dB, trial {other['trial']} has "
                    f"{other['psnr']:.2f} dB and takes no more"
                )


def _silent(text: str) -> None:
    """What the stages of a trial say."""


class _GivenUp(Exception):
    """Why a design is not worth going on with."""
