# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The results of a run as a text table, and its pictures side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from dhq_brevitas.run.folder import SIGNAL
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages.synth import synthesis_rows
from dhq_brevitas.util.tables import text_table

__all__ = [
    "COMPARISON",
    "LEVELS",
    "figure_rows",
    "layer_rows",
    "level_rows",
    "node_rows",
    "report_text",
    "title_of",
    "write_comparison",
]

COMPARISON = "comparison.png"
LEVELS = {
    "float": ("float network", "psnr_float"),
    "quant": ("quantized, PyTorch", "psnr_quant"),
    "qonnx": ("QONNX", "psnr_qonnx"),
    "finn": ("FINN, Python", "psnr_finn"),
    "rtl": ("RTL", "psnr_rtl"),
    "engine": ("RTL, engine's samples", "psnr_engine"),
}
MISMATCHES = {
    "qonnx": "mismatch_quant_qonnx",
    "finn": "mismatch_qonnx_finn",
    "rtl": "mismatch_finn_rtl",
    "engine": "mismatch_host_engine",
}
MEASURED = {"cycles_per_sample": "cycles a sample", "latency_cycles": "latency in cycles"}
ESTIMATES = {
    "cycles_per_sample_estimate": "cycles a sample",
    "latency_cycles_estimate": "latency in cycles",
    "lut_estimate": "LUT",
    "dsp_estimate": "DSP",
    "dsp_rtl_estimate": "DSP in its RTL",
    "bram18_estimate": "BRAM18",
    "uram_estimate": "URAM",
}
TABLES = {"FINN's estimate": ESTIMATES, "measured in RTL simulation": MEASURED}
LAYER_COLUMNS = {
    "name": "layer",
    "rotation": "rotation",
    "weight_bits": "W bits",
    "act_bits": "A bits",
    "weight_kurtosis": "W kurtosis",
    "weight_sqnr": "W SQNR",
    "act_kurtosis": "A kurtosis",
    "act_sqnr": "A SQNR",
}


def report_text(summary: Mapping[str, Any]) -> str:
    """``summary`` (of :meth:`RunFolder.summary`) for people; what was not measured is left out."""
    layers = _table(layer_rows(summary))
    if layers:
        layers += "\n(before -> after rotation; SQNR in dB)"
    parts = [title_of(summary), _table(level_rows(summary)), layers, _table(node_rows(summary))]
    parts += [_table(figure_rows(summary, heading)) for heading in TABLES]
    parts += [_synthesis(summary), _placement(summary)]
    seconds = summary.get("seconds", {})
    if seconds:
        times = ", ".join(f"{stage} {value:.0f}" for stage, value in seconds.items())
        parts.append(f"seconds: {times}, together {sum(seconds.values()):.0f}")
    versions = summary.get("versions", {})
    if versions:
        parts.append("with " + ", ".join(f"{name} {value}" for name, value in versions.items()))
    return "\n\n".join(part for part in parts if part)


def _table(rows: Sequence[Sequence[str]]) -> str:
    return text_table(rows) if rows else ""


def title_of(summary: Mapping[str, Any]) -> str:
    """Signal, network and quantization, a line each; what there is to say where there are none."""
    signal = summary.get("signal")
    if signal is None:
        return "nothing has been computed in this folder yet, or its files are not those any more"
    size = " x ".join(map(str, signal["shape"]))
    channels = "1 channel" if signal["channels"] == 1 else f"{signal['channels']} channels"
    title = f"{signal['task']}: {signal['name']}, {size}, {channels}"
    options = summary.get("options", {})
    fit, quantize = options.get("fit"), options.get("quantize")
    if fit:
        title += f"\n{fit['family']}: {fit['layers']} hidden layers of {fit['hidden']}"
    if quantize:
        title += (
            f", {quantize['scheme']}, W{quantize['weight_bits']}A{quantize['act_bits']}, "
            f"{quantize['scale']} scales per {quantize['granularity']}"
        )
    return title


def level_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Quality and agreement of every level, a heading first; empty without any."""
    rows = [["level", "PSNR dB", "codes differing from the level above"]]
    for level, (title, key) in LEVELS.items():
        mismatch = summary.get(MISMATCHES.get(level, ""))
        if key not in summary and mismatch is None:
            continue
        # Layers simulated one by one may have seen a part of the picture, which has no PSNR then.
        quality = f"{summary[key]:.2f}" if key in summary else ""
        compared = summary.get(f"{level}_codes_compared", summary.get("codes_compared"))
        difference = "" if mismatch is None else f"{mismatch} of {compared}"
        rows.append([title, quality, difference])
    return rows if len(rows) > 1 else []


def layer_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Rotation, widths, kurtosis and SQNR of every linear layer, a heading first."""
    layers = summary.get("layers")
    if not layers:
        return []
    rows = [list(LAYER_COLUMNS.values())]
    return rows + [[_cell(layer, key) for key in LAYER_COLUMNS] for layer in layers]


def _cell(layer: Mapping[str, Any], key: str) -> str:
    if key in layer:
        return str(layer[key])
    before, after = layer.get(f"{key}_before"), layer.get(f"{key}_after")
    if before is None:
        return ""
    return f"{before:.1f}" if after is None else f"{before:.1f} -> {after:.1f}"


def node_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Cycles and agreement of every layer that was simulated by itself, a heading first."""
    rows = [["layer in RTL", "cycles a sample", "estimate", "codes differing from its Python"]]
    rows += [
        [
            node["name"],
            f"{node['cycles'] / node['samples']:.1f}",
            str(node["cycles_estimate"]),
            f"{node['mismatches']} of {node['codes']}",
        ]
        for node in summary.get("nodes", ())
    ]
    return rows if len(rows) > 1 else []


def figure_rows(summary: Mapping[str, Any], heading: str) -> list[list[str]]:
    """One of TABLES, its heading first; empty without any of its numbers."""
    rows = [[heading, ""]]
    rows += [
        [title, f"{round(summary[key], 2)}"]
        for key, title in TABLES[heading].items()
        if key in summary
    ]
    return rows if len(rows) > 1 else []


def _synthesis(summary: Mapping[str, Any]) -> str:
    rows = synthesis_rows(summary)
    if not rows:
        return ""
    return (
        f"{text_table(rows)}\n(by {summary['synthesis_tool']} for {summary['synthesis_part']}, "
        "before "
        "placement; LUT includes LUTRAM; estimates are FINN's and ours)"
    )


def _placement(summary: Mapping[str, Any]) -> str:
    """Clock rate, utilization and critical path of a routed design."""
    if "place_clock_mhz" not in summary:
        return ""
    rows = [["placed", summary.get("place_board", summary["place_device"])]]
    rows.append(["clock in MHz", f"{summary['place_clock_mhz']:g}"])
    rows += [
        [name, f"{used} of {there} ({used / there:.0%})"]
        for name, (used, there) in summary["place_utilization"].items()
    ]
    path = summary["place_critical_path"]
    rows.append(["critical path", f"{path['ns']:g} ns in {' -> '.join(path['layers'])}"])
    if "mismatch_host_board" in summary:
        differing = f"{summary['mismatch_host_board']} of {summary['board_codes_compared']}"
        rows.append(["samples from its pins that differ", differing])
    return f"{text_table(rows)}\n(by {summary['place_tools']})"


def write_comparison(folder: RunFolder) -> bool:
    """Writes ``comparison.png``: the original and the float and last quantized reconstruction.

    Returns False, and writes nothing, when there is no reconstruction yet, or no original.
    """
    from dhq_brevitas.run.stages.fit import FitOptions
    from dhq_brevitas.signals.tasks import Problem, get_task

    chain = folder.chain()
    files = {name for record in chain.values() for name in record.files}
    levels = [level for level in LEVELS if f"{level}.npz" in files]
    if not levels:
        return False
    panels = [
        (LEVELS[level][0], folder.array(f"{level}.npz", "outputs"))
        for level in dict.fromkeys([levels[0], levels[-1]])
    ]
    problem = Problem.load(folder.file(SIGNAL))
    if not problem.reference:
        return False
    get_task(folder.chosen().get(FitOptions).task).compare(folder.file(COMPARISON), problem, panels)
    return True
