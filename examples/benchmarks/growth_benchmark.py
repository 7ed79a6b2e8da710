# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How time and memory of each stage grow with width, picture, depth, and samples of a sound.

    python examples/benchmarks/growth_benchmark.py --out growth --until export

From one small network, one size at a time is enlarged; each stage runs by itself, with few training
steps, on one thread. The table gives CPU seconds and MB beyond those of a process that has only
imported everything, the exponents of growth between the two largest sizes, and OUT/growth.png the
curves. A run that was interrupted goes on with what OUT/growth.json lacks.
"""

import argparse
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dhq_brevitas.run import cli
from dhq_brevitas.util.files import write_json

STAGES = ("fit", "quantize", "export", "build", "simulate")
BASE = {"hidden": 64, "size": 128, "layers": 3}
SIZES = {
    "hidden": (64, 128, 256, 512, 1024),
    "size": (128, 256, 512, 1024, 2048),
    "layers": (2, 4, 8, 16, 32),
    "sound": (65536, 131_072, 441_000),
}


def measured(command: list[str]) -> dict[str, float]:
    """CPU seconds and peak memory in MB of ``dhq command``, in a process of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            torch.set_num_threads(1)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            status = cli.main(command) if command else 0
        finally:
            os._exit(status)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"dhq {' '.join(command)} failed")
    return {"seconds": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}


def picture(folder: Path, side: int) -> Path:
    """Some waves, as a file."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (a * x + b * y * y)) for a, b in ((3, 2), (9, 5), (2, 7))]
    path = folder / f"waves{side}.png"
    Image.fromarray(np.uint8(127.5 + 127 * np.stack(waves, axis=-1))).save(path)
    return path


def stages(sizes: dict[str, Any], steps: int, last: str) -> dict[str, dict[str, float]]:
    """What each stage takes for a network of these sizes."""
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        shape = {key: sizes[key] for key in BASE}
        if samples := sizes.get("sound"):
            signal, shape = "chirp", {**shape, "task": "audio", "size": samples}
        else:
            signal = str(picture(Path(name), sizes["size"]))
        given = [f"--{key}={value}" for key, value in shape.items()]
        options = {
            "fit": [signal, *given, f"--steps={steps}", "--device=cpu"],
            "quantize": [f"--qat-steps={steps}", "--device=cpu"],
        }
        found = {}
        for stage in STAGES[: STAGES.index(last) + 1]:
            command = [stage, *options.get(stage, []), f"--out={run}", "--quiet"]
            found[stage] = measured(command)
        return found


def exponents(points: dict[int, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """By stage, of seconds and MB between the two largest sizes."""
    if len(points) < 2:
        return {}
    (small, few), (large, many) = sorted(points.items())[-2:]
    span = math.log(large / small)
    return {
        stage: {
            unit: math.log(max(many[stage][unit], 1e-3) / max(few[stage][unit], 1e-3)) / span
            for unit in many[stage]
        }
        for stage in many
        if stage in few
    }


def beyond(points: dict[str, Any], start: dict[str, float]) -> dict[int, Any]:
    """The same without what a process takes that does nothing; by size as a number."""
    return {
        int(size): {
            stage: {unit: max(value - start[unit], 0.0) for unit, value in used.items()}
            for stage, used in by_stage.items()
        }
        for size, by_stage in points.items()
    }


def draw(curves: dict[str, dict[int, Any]], path: Path) -> None:
    figure = Figure(figsize=(4 * len(curves), 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(curves), squeeze=False)
    for column, (name, points) in enumerate(curves.items()):
        for row, unit in enumerate(("seconds", "mb")):
            for stage in next(iter(points.values())):
                values = [max(points[size][stage][unit], 1e-2) for size in sorted(points)]
                axes[row, column].loglog(sorted(points), values, "o-", label=stage)
            axes[row, column].set(xlabel=name, ylabel={"seconds": "CPU s", "mb": "MB"}[unit])
    axes[0, 0].legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of growth.json and .png")
    parser.add_argument("--until", choices=STAGES, default="export", help="last stage (export)")
    parser.add_argument("--steps", type=int, default=5, help="training steps (%(default)s)")
    for name, sizes in SIZES.items():
        text = f"sizes, in place of {' '.join(map(str, sizes))}; none: left out"
        parser.add_argument(f"--{name}", type=int, nargs="*", default=sizes, help=text)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "growth.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    # The memory that this process had is that of its children from the start.
    start = measured([])
    for name in SIZES:
        points = found.setdefault(name, {})
        for size in sorted(getattr(args, name)):
            if args.until not in points.get(str(size), {}):
                points[str(size)] = stages(BASE | {name: size}, args.steps, args.until)
                write_json(kept, found)
                print(f"{name} {size}: done", flush=True)
    curves = {name: beyond(points, start) for name, points in found.items() if points}
    for name, points in curves.items():
        for size, by_stage in sorted(points.items()):
            used = "  ".join(
                f"{stage} {x['seconds']:.1f} s {x['mb']:.0f} MB" for stage, x in by_stage.items()
            )
            print(f"{name:7s} {size:5d}  {used}")
        grown = "  ".join(
            f"{stage} {x['seconds']:.2f}, {x['mb']:.2f}" for stage, x in exponents(points).items()
        )
        print(f"{name:7s} exponents of time and memory: {grown}")
    if curves:
        draw(curves, args.out / "growth.png")


if __name__ == "__main__":
    main()
