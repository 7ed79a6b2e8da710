# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SystemVerilog of an adder graph, with the ports of this package's kernels."""

from dhq_brevitas.finn_flow.ops.adder_graph import Adder, AdderGraph

#: What the module instantiates.
INSTANTIATED = ("dhq_pipeline_control", "dhq_stream_monitor")

_MODULE = """\
// {title}: y = W·x of {rows} rows and {columns} columns; generated, do not edit.
//
// A word is a vector: {columns} lanes of {in_bits} bits in, {rows} of {out_bits} out, the first in
// the low bits. One a cycle, latency {stages}, while the source has words and the sink takes them.
// Handshake and reset are those of dhq_pipeline_control; m_axis_tdata is adders behind registers.
// v<i>_<s> is value i as it is s registers behind the inputs.

module {name} (
    input  logic clk,
    input  logic rst_n,
    // Of a column of zeros nothing reads.
    // verilator lint_off UNUSEDSIGNAL
    input  logic [{in_high}:0] s_axis_tdata,
    // verilator lint_on UNUSEDSIGNAL
    input  logic s_axis_tvalid,
    output logic s_axis_tready,
    output logic [{out_high}:0] m_axis_tdata,
    output logic m_axis_tvalid,
    input  logic m_axis_tready
);

  logic [{last}:0] enable;

  dhq_pipeline_control #(
      .STAGES({stages})
  ) control (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready),
      .enable
  );

{body}

`ifndef SYNTHESIS
  dhq_stream_monitor #(
      .WIDTH({out_width}),
      .LATENCY({stages})
  ) monitor (
      .clk,
      .rst_n,
      .s_valid(s_axis_tvalid),
      .s_ready(s_axis_tready),
      .m_data (m_axis_tdata),
      .m_valid(m_axis_tvalid),
      .m_ready(m_axis_tready)
  );
`endif

endmodule
"""


def adder_graph_text(graph: AdderGraph, name: str, title: str, in_bits: int, out_bits: int) -> str:
    """The module ``name`` for lanes of ``in_bits`` bits, unsigned if the graph's inputs are, in.

    Sums have ``out_bits`` bits, which hold all of them.
    """
    rows, columns = len(graph.outputs), graph.inputs
    return _MODULE.format(
        title=title,
        name=name,
        rows=rows,
        columns=columns,
        in_bits=in_bits,
        out_bits=out_bits,
        in_high=columns * in_bits - 1,
        out_high=rows * out_bits - 1,
        out_width=rows * out_bits,
        stages=graph.last,
        last=graph.last - 1,
        body="\n".join(_Body(graph).lines(in_bits, out_bits)),
    )


class _Body:
    def __init__(self, graph: AdderGraph) -> None:
        self.graph = graph

    def lines(self, in_bits: int, out_bits: int) -> list[str]:
        """Declarations, sums and registers, value by value, then the outputs."""
        graph, lines, held = self.graph, [], self.graph.held()
        registers: list[list[str]] = [[] for _ in range(graph.last)]
        stages = (*graph.stages, graph.last)
        for value, count in enumerate(held):
            if not graph.bits[value]:
                continue
            own = stages[value]
            names = [f"v{value}_{own + i}" for i in range(count + 1)]
            sign = "signed " if graph.signed[value] else ""
            lines.append(f"  logic {sign}[{graph.bits[value] - 1}:0] {', '.join(names)};")
            if value < graph.inputs:
                text = f"s_axis_tdata[{value * in_bits} +: {graph.bits[value]}]"
            else:
                text = self._sum(graph.adders[value - graph.inputs], graph.bits[value], own)
            lines.append(f"  assign {names[0]} = {text};")
            for i in range(count):
                registers[own + i].append(f"      {names[i + 1]} <= {names[i]};")
        lines += ["", "  always_ff @(posedge clk) begin"]
        for stage, assignments in enumerate(registers):
            lines += [f"    if (enable[{stage}]) begin", *assignments, "    end"]
        lines += ["  end", ""]
        for row, output in enumerate(graph.outputs):
            text = "'0" if output is None else self._output(*output, out_bits)
            lines.append(f"  assign m_axis_tdata[{row * out_bits} +: {out_bits}] = {text};")
        return lines

    def _output(self, value: int, power: int, bits: int) -> str:
        word = self._part(value, self.graph.last, 0, bits - power)
        return f"{{{word}, {power}'d0}}" if power else word

    def _sum(self, adder: Adder, bits: int, stage: int) -> str:
        """An adder; the low bits of an operand that nothing is added to go around it."""
        low, sign = adder.passed, "-" if adder.subtract else "+"
        operands = list(zip(adder.operands, adder.shifts, strict=True))
        if adder.a is None:
            return f"-{self._part(adder.b, stage, 0, bits)}"
        if low == 0 or low >= bits:
            a, b = (
                self._part(value, stage, 0, bits) + (f" <<< {shift}" if shift else "")
                for value, shift in operands
            )
            return f"({a}) {sign} ({b})"
        high = [self._part(value, stage, low - shift, bits - low) for value, shift in operands]
        (own,) = (self._part(value, stage, 0, low) for value, shift in operands if shift == 0)
        return f"{{{high[0]} {sign} {high[1]}, {own}}}"

    def _part(self, value: int, stage: int, low: int, bits: int) -> str:
        """``bits`` bits of a value from bit ``low`` on, extended by its sign."""
        name, own = f"v{value}_{stage}", self.graph.bits[value]
        signed = self.graph.signed[value]
        if low >= own:
            return f"{{{bits}{{{name}[{own - 1}]}}}}" if signed else f"{bits}'d0"
        if bits <= own - low:
            return f"{name}[{low} +: {bits}]"
        part = name if low == 0 else f"{name}[{own - 1}:{low}]"
        return f"{bits}'($signed({part}))" if signed else f"{bits}'({part})"
