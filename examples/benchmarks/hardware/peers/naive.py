# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The network as one writes it down: all products of all layers at once, or one after another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.lookup_activation_rtl import memory_text
from dhq_brevitas.finn_flow.ops.widths import signed_bits
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, Sources
from hardware.peers.network import (
    IntegerLayer,
    Peer,
    output_bits,
    pipeline_top,
    signed_stream,
    sum_bits,
)

CORE = "unrolled"
SERIAL = Path(__file__).with_name("naive_serial.sv")


def unrolled_design(layers: Sequence[IntegerLayer], bits: int) -> Peer:
    """A sample a cycle; the tool makes of ``37 * x`` what it likes."""
    sources, wanted = Sources(), output_bits(layers)
    columns, rows = layers[0].weight.shape[1], len(layers[-1].weight)
    body = [
        _register("x0", bits, columns, [f"model_inp[{i * bits} +: {bits}]" for i in range(columns)])
    ]
    low, high, width, latency = -(1 << (bits - 1)), (1 << (bits - 1)) - 1, bits, 1
    for index, layer in enumerate(layers):
        own = sum_bits(layer, low, high)
        sums = [
            " + ".join([str(b), *(f"{own}'sd0 + x{index}_{i} * ({w})" for i, w in enumerate(row))])
            for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        body.append(_register(f"sum{index}", own, len(sums), sums))
        latency += 1
        if layer.table is not None:
            width = signed_bits(int(layer.table.min()), int(layer.table.max()))
            low, high = int(layer.table.min()), int(layer.table.max())
            body.append(_table(index, layer, width, sources))
            latency += 2
    packed = ", ".join(f"{wanted}'(sum{len(layers) - 1}_{i})" for i in reversed(range(rows)))
    text = (
        f"module {CORE} (input logic clk, input logic [{columns * bits - 1}:0] model_inp,\n"
        f"    output logic [{rows * wanted - 1}:0] model_out);\n"
        + "".join(body)
        + f"  assign model_out = {{{packed}}};\nendmodule\n"
    )
    sources.texts["unrolled.sv"] = text
    outputs = f"  logic [{rows * wanted - 1}:0] results;\n  assign m_axis_0_tdata = results;"
    top = pipeline_top(CORE, columns * bits, rows * wanted, latency, outputs)
    sources.texts["peer.sv"] = top
    formats = signed_stream(bits, columns, 1), signed_stream(wanted, rows, 1)
    return Peer("plain Verilog, unrolled", sources, formats)


def _register(name: str, width: int, count: int, values: Sequence[str]) -> str:
    names = ", ".join(f"{name}_{i}" for i in range(count))
    lines = [f"    {name}_{i} <= {value};\n" for i, value in enumerate(values)]
    return (
        f"  logic signed [{width - 1}:0] {names};\n"
        "  always_ff @(posedge clk) begin\n" + "".join(lines) + "  end\n"
    )


def _table(index: int, layer: IntegerLayer, width: int, sources: Sources) -> str:
    """Registers of addresses and of what is found there; two lanes share a memory."""
    file = f"peer/table{index}.mem"
    sources.data[file] = memory_text(layer.table, width).encode()
    rows, bits = len(layer.weight), layer.table_bits
    addresses = [f"sum{index}_{row}[{layer.shift} +: {bits}]" for row in range(rows)]
    found = [f"table{index}_{row // 2}[at{index}_{row}]" for row in range(rows)]
    memories = "".join(
        f'  (* rom_style = "block" *) logic [{width - 1}:0] table{index}_{pair}[{1 << bits}];\n'
        f'  initial $readmemh("{DATA_FOLDER}/{file}", table{index}_{pair});\n'
        for pair in range((rows + 1) // 2)
    )
    return (
        memories
        + _register(f"at{index}", bits, rows, addresses)
        + _register(f"x{index + 1}", width, rows, found)
    )


def serial_design(layers: Sequence[IntegerLayer], bits: int) -> Peer:
    """One multiplier and one table; products follow each other."""
    tables = [layer.table for layer in layers if layer.table is not None]
    if any(len(table) != len(tables[0]) or np.any(table != tables[0]) for table in tables):
        raise FlowError("one table for all layers needs equal ones")
    shift = max(layer.shift for layer in layers)
    scaled = [
        layer
        if layer.table is None
        else IntegerLayer(
            layer.weight << (shift - layer.shift),
            layer.bias << (shift - layer.shift),
            shift,
            layer.table,
        )
        for layer in layers
    ]
    table, wanted = tables[0], output_bits(layers)
    width = max(bits, signed_bits(int(table.min()), int(table.max())))
    limit = 1 << (bits - 1)
    sums = max(
        sum_bits(scaled[0], -limit, limit - 1),
        *(sum_bits(layer, int(table.min()), int(table.max())) for layer in scaled[1:]),
    )
    weights = np.concatenate([layer.weight.reshape(-1) for layer in scaled])
    biases = np.concatenate([layer.bias for layer in scaled])
    weight_bits = signed_bits(int(weights.min()), int(weights.max()))
    sources = Sources()
    for name, values, size in (
        ("weights", weights, weight_bits),
        ("biases", biases, sums),
        ("table", table, width),
    ):
        sources.data[f"peer/{name}.mem"] = memory_text(values, size).encode()
    parameters = {
        "LAYERS": len(layers),
        "HIDDEN": len(layers[0].weight),
        "INPUTS": layers[0].weight.shape[1],
        "OUTPUTS": len(layers[-1].weight),
        "WEIGHTS": len(weights),
        "ROWS": len(biases),
        "WEIGHT_WIDTH": weight_bits,
        "WIDTH": width,
        "SUM_WIDTH": sums,
        "IN_WIDTH": bits,
        "OUT_WIDTH": wanted,
        "SHIFT": shift,
        "TABLE_BITS": layers[0].table_bits,
    }
    text = SERIAL.read_text().replace("@FOLDER@", f"{DATA_FOLDER}/peer")
    for name, value in parameters.items():
        text = text.replace(f"@{name}@", str(value))
    sources.texts["naive_serial.sv"] = text
    formats = (
        signed_stream(bits, 1, layers[0].weight.shape[1]),
        signed_stream(wanted, 1, len(layers[-1].weight)),
    )
    return Peer("plain Verilog, one multiplier", sources, formats)
