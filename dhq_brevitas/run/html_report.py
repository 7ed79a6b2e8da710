# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq report --html``: a run as one page that needs nothing else, no network either.

The template ``report.html.j2`` has the page; here is what it shows, all from the run's records and
the files that they name.
"""

import base64
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from dhq_brevitas.planning.parts import part_resources
from dhq_brevitas.run.folder import SIGNAL
from dhq_brevitas.run.records import RunFolder, StageRecord
from dhq_brevitas.run.report import (
    COMPARISON,
    LEVELS,
    TABLES,
    figure_rows,
    layer_rows,
    level_rows,
    node_rows,
    title_of,
    write_comparison,
)
from dhq_brevitas.run.stage import flag_of
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.run.stages.synth import synthesis_rows
from dhq_brevitas.util.files import read_json, write_text

__all__ = ["PAGE", "data_address", "environment", "write_page"]

PAGE = "report.html"
TEMPLATE = "report.html.j2"
#: Longest side of a picture in the page: larger ones are shown reduced, so that it stays small.
MAX_SIDE = 448
DIFFERENCE_GAIN = 8.0
RESOURCES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18", "uram": "URAM"}


@dataclass(frozen=True)
class Shown:
    """A picture of the page: its name, what it shows in words, and its bytes as a data address."""

    title: str
    alt: str
    source: str


@dataclass(frozen=True)
class Box:
    """A hardware layer in the drawing of the dataflow.

    ``cycles`` a sample, estimated or measured; ``share`` of those of the slowest layer; ``fifo``:
    depths on the stream into it.
    """

    name: str
    kind: str
    folding: str
    stream_in: str
    stream_out: str
    cycles: int
    share: float
    resources: str
    fifo: str
    slowest: bool


def write_page(folder: RunFolder) -> Path:
    """Writes report.html to the folder, whole or not at all; its path.

    ValueError for a folder in which nothing has been computed.
    """
    chain, summary = folder.chain(), folder.summary()
    if not chain:
        raise ValueError(title_of(summary))
    pictures = _pictures(folder, chain)
    boxes = _boxes(folder, chain, summary)
    page = (
        environment(Path(__file__).parent)
        .get_template(TEMPLATE)
        .render(
            title=title_of(summary).splitlines(),
            notes=summary["signal"].get("notes", []),
            pictures=pictures,
            figure=None if pictures else _comparison(folder, summary),
            levels=level_rows(summary),
            layers=layer_rows(summary),
            plan=_text(folder, chain.get("plan"), ".txt"),
            distributions=_distributions(folder, chain.get("analyze")),
            boxes=boxes,
            nodes=node_rows(summary),
            fifo_depths=[] if any(box.fifo for box in boxes) else summary.get("fifo_depths", []),
            figures=[rows for rows in (figure_rows(summary, name) for name in TABLES) if rows],
            resources=_resource_rows(summary),
            part=_part(summary),
            synthesis=synthesis_rows(summary),
            tool=summary.get("synthesis_tool", ""),
            commands=[command_of(name, record, folder.path) for name, record in chain.items()],
            seconds=[[name, f"{record.seconds:.0f}"] for name, record in chain.items()],
            versions=summary["versions"],
        )
    )
    write_text(folder.file(PAGE), page)
    return folder.file(PAGE)


def environment(folder: Path) -> Any:
    """Of Jinja templates in ``folder``; a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# -- pictures --------------------------------------------------------------------------------------


def _pictures(folder: RunFolder, chain: Mapping[str, StageRecord]) -> list[Shown]:
    """Original, float and last reconstruction, and its difference; empty where none is a picture.

    A signal on a grid of two axes with one or three channels is one.
    """
    from dhq_brevitas.signals.tasks import Problem

    problem = Problem.load(folder.file(SIGNAL))
    if len(problem.shape) != 2 or problem.channels not in (1, 3):
        return []
    files = {name for record in chain.values() for name in record.files}
    levels = [level for level in LEVELS if f"{level}.npz" in files]
    shown = {"original": problem.values} if problem.reference else {}
    for level in dict.fromkeys([*levels[:1], *levels[-1:]]):
        shown[LEVELS[level][0]] = folder.array(f"{level}.npz", "outputs")
    if problem.reference and levels:
        last = LEVELS[levels[-1]][0]
        error = (shown[last] - problem.values) * DIFFERENCE_GAIN
        shown[f"difference of {last}, {DIFFERENCE_GAIN:g} times"] = error
    size = " x ".join(map(str, problem.shape))
    return [
        Shown(title, f"{title}: {problem.name}, {size}", _png(problem.grid(values)))
        for title, values in shown.items()
    ]


def _png(pixels: Any) -> str:
    from PIL import Image

    from dhq_brevitas.signals.pictures import to_bytes

    picture = Image.fromarray(to_bytes(pixels))
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return data_address(buffer.getvalue())


def data_address(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _comparison(folder: RunFolder, summary: Mapping[str, Any]) -> Shown | None:
    """What the task draws: waveforms, surfaces."""
    if not write_comparison(folder):
        return None
    alt = f"{summary['signal']['name']}: original, reconstructions, and the error of the last one"
    return Shown("comparison", alt, data_address(folder.file(COMPARISON).read_bytes()))


def _distributions(folder: RunFolder, record: StageRecord | None) -> list[Shown]:
    """Histograms before and after rotation, where the run was analyzed."""
    if record is None:
        return []
    names = [name for name in record.files if name.endswith(".png")]
    shown = []
    for name, layer in zip(names, record.results["analysis"], strict=True):
        parts = []
        for kind in ("weight", "act"):
            found = [
                f"{turn if turn != 'none' else 'as it is'} {tensor['kurtosis']:.1f}"
                for turn, tensor in list(layer[kind].items())[:2]
                if tensor["kurtosis"] is not None
            ]
            parts.append(f"{'weight' if kind == 'weight' else 'input'} {', '.join(found)}")
        alt = f"histograms of {layer['name']}; kurtosis: {'; '.join(parts)}"
        shown.append(Shown(layer["name"], alt, data_address(folder.file(name).read_bytes())))
    return shown


def _text(folder: RunFolder, record: StageRecord | None, ending: str) -> str:
    names = [] if record is None else [name for name in record.files if name.endswith(ending)]
    return "\n\n".join(folder.file(name).read_text(encoding="utf-8") for name in names)


# -- hardware --------------------------------------------------------------------------------------


def _boxes(
    folder: RunFolder, chain: Mapping[str, StageRecord], summary: Mapping[str, Any]
) -> list[Box]:
    """The hardware layers in order; empty without a build."""
    layers = summary.get("build_layers", [])
    measured = {
        node["name"]: round(node["cycles"] / node["samples"]) for node in summary.get("nodes", [])
    }
    cycles = [measured.get(x["name"], x.get("cycles_estimate", 0)) for x in layers]
    synthesized = {node["name"]: node for node in summary.get("synthesis_nodes", [])}
    depths = _depths(folder, chain, summary, [layer["name"] for layer in layers])
    most = max(cycles, default=0)
    return [
        Box(
            name=layer["name"],
            kind=re.sub(r"_(rtl|hls)$", "", layer["op_type"]),
            folding=", ".join(f"{key} {layer[key]}" for key in ("PE", "SIMD") if key in layer),
            stream_in=layer["input_datatype"],
            stream_out=layer["output_datatype"],
            cycles=count,
            share=count / most if most else 0.0,
            resources=_resources_of(layer, synthesized.get(layer["name"])),
            fifo=depths.get(layer["name"], ""),
            slowest=count == most,
        )
        for layer, count in zip(layers, cycles, strict=True)
    ]


def _resources_of(layer: Mapping[str, Any], synthesized: Mapping[str, Any] | None) -> str:
    if synthesized is not None:
        found = {title: synthesized[key] for key, title in RESOURCES.items()}
        return ", ".join(f"{count} {title}" for title, count in found.items() if count)
    found = {title: layer.get(f"{key}_estimate") for key, title in RESOURCES.items()}
    shown = ", ".join(f"{count} {title}" for title, count in found.items() if count)
    return f"{shown} (estimate)" if shown else ""


def _depths(
    folder: RunFolder,
    chain: Mapping[str, StageRecord],
    summary: Mapping[str, Any],
    layers: Sequence[str],
) -> dict[str, str]:
    """Depths of the FIFOs on the stream into each layer, where it is known which they are."""
    nodes = [node["name"] for node in summary.get("synthesis_nodes", [])]
    if nodes:
        stored = read_json(folder.file("synth/fifo_depths.json")) or {}
        depths = [str(depth) for depth in stored.get("fifo_depths", [])]
        if len(depths) != sum(name.startswith("StreamingFIFO") for name in nodes):
            return {}
    else:
        depths = [str(depth) for depth in summary.get("fifo_depths", [])]
        if len(depths) != len(layers) + 1:  # converters of width have FIFOs of their own
            return {}
        nodes = [name for layer in layers for name in ("StreamingFIFO", layer)]
    found: dict[str, str] = {}
    passed: list[str] = []
    for name in nodes:
        if name.startswith("StreamingFIFO"):
            passed.append(depths.pop(0))
        elif name in layers:
            found[name], passed = " + ".join(passed), []
    return found


def _part(summary: Mapping[str, Any]) -> str:
    built = summary["options"].get("build", {}).get("fpga_part", "")
    return summary.get("synthesis_part", built)


def _resource_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Synthesized and estimated resources against those of the part, a heading first."""
    of_part = part_resources(_part(summary)) or {}
    rows = []
    for key, title in RESOURCES.items():
        found = summary.get(key) if "synthesis_tool" in summary else None
        estimate, there = summary.get(f"{key}_estimate"), of_part.get(key)
        used = estimate if found is None else found
        if used is None:
            continue
        share = f"{100 * used / there:.1f} %" if there else ""
        rows.append(
            [title, *("" if x is None else str(x) for x in (found, estimate, there)), share]
        )
    return [["", "synthesized", "estimate", "the part has", "used"], *rows] if rows else []


# -- how it was made -------------------------------------------------------------------------------


def command_of(stage: str, record: StageRecord, folder: Path) -> str:
    """The command that gives this record; options that are the defaults are left out."""
    words, options = ["dhq", stage], []
    for given in fields(STAGES[stage].options):
        value = record.options.get(given.name, given.default)
        if given.default is MISSING:
            words.append(str(value))
        elif value != given.default and value is not None and given.name != "device":
            flag = flag_of(given.name)
            options += [flag] if value is True else [flag, str(value)]
    return shlex.join([*words, "--out", str(folder), *options])
