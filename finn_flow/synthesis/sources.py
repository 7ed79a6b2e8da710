# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sources of one design as Yosys gets them.

What read_slang does not accept in FINN's library, or does not take as it is meant, is changed in
the copy that is read, on top of the changes that Verilator needs
(:mod:`dhq_brevitas.finn_flow.rtlsim.sources`). The library stays as it is.

===============================  ===================================================================
``.sv``                          `` `default_nettype`` inside a module goes
``mvu.sv``                       the block ``blkRecoveryWatch`` goes; it only warns, after 100 ns
``thresholding.sv``              a part-select that is empty in the first stage becomes a shift
``requant_decoupled.sv``         part-selects that may reach out of their vector become shifts
``memstream.sv``, ``fifo.sv``,   shift registers marked SHREG_EXTRACT become one vector a bit, which
``mvu_vvu_axi.sv``               is what Yosys makes SRL16E and SRLC32E of; as arrays of words they
                                 would be flip-flops and multiplexers
===============================  ===================================================================
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from dhq_brevitas.finn_flow import patches
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources, collect

_WATCHDOG = re.compile(
    r"[ \t]*if\s*\(1\)\s*begin : blkRecoveryWatch\b.*?end : blkRecoveryWatch\b", re.S
)
_MODULE = re.compile(r"^\s*module\b", re.M)
_SHIFT_REGISTER = re.compile(r"(\(\* SHREG_EXTRACT[^)]*\*\))\s*(\w+)\s+(\w+)\[([^;]+)\];")

_WITH_SHIFT_REGISTERS = ("memstream.sv", "fifo.sv", "mvu_vvu_axi.sv")

# Part-selects that reach out of their vector, or are empty, for some parameters; the depth of an
# array as the other files give it.
_REPLACED = {
    "mvu_vvu_axi.sv": (("OBuf[0:MAX_IN_FLIGHT];", "OBuf[MAX_IN_FLIGHT+1];"),),
    "thresholding.sv": (("p.ptr[M-1:SN+1] <", "(p.ptr[M-1:0] >> (SN+1)) <"),),
    "requant_decoupled.sv": (
        (
            "idat[pe][K-X_WIDTH+:X_WIDTH]",
            "idat[pe][(K > X_WIDTH? K-X_WIDTH : 0)+:(K > X_WIDTH? X_WIDTH : K)]",
        ),
        ("win = P3[SHIFT_MAX+N-1 : SHIFT_MIN];", "win = P3 >>> SHIFT_MIN;"),
        ("|P3[$left(P3)-1:SHIFT_MAX+N]", "|(P3[$left(P3)-1:0] >> (SHIFT_MAX+N))"),
        ("|shifted[$left(shifted):N]", "|(shifted >> N)"),
        (
            "|(P3[$left(P3)-1:SHIFT_MAX+N-1] ^ {($left(P3)-SHIFT_MAX-N+1){neg}})",
            "|((P3[$left(P3)-1:0] ^ {$left(P3){neg}}) >> (SHIFT_MAX+N-1))",
        ),
    ),
}


def read_sources(paths: Sequence[Path] | Sequence[str], *, queues_in_ram: bool = False) -> Sources:
    """Sources as Yosys gets them; SimulationError for files that are missing or not Verilog.

    With ``queues_in_ram``, for devices without shift registers, what is marked SHREG_EXTRACT
    becomes a memory in a ring.
    """
    return patch_for_yosys(collect(list(map(Path, paths))), queues_in_ram=queues_in_ram)


def patch_for_yosys(sources: Sources, *, queues_in_ram: bool = False) -> Sources:
    """Sources made for Verilator, with the changes of the module docstring."""
    form = _IN_RAM if queues_in_ram else _BY_BIT
    texts = {name: patched(name, text, form) for name, text in sources.texts.items()}
    return dataclasses.replace(sources, texts=texts)


# ``array`` holds ``depth`` words of type ``word``, the last one at 0; ``given`` enters.
_BY_BIT = """\
		for(genvar  i = 0; i < $bits({word}); i++) begin : gen{array}
			{attribute}
			logic [({depth})-1:0]  {array};
			always_ff @(posedge {clock}) begin
				if({enable})  {array} <= {{ {array}[({depth})-2:0], {array}_given[i] }};
			end
			assign	{array}_word[i] = {array}[{array}_at];
		end"""
_IN_RAM = """\
		logic [$clog2({depth})-1:0]  {array}_last = 0;
		uwire [$clog2({depth})-1:0]  {array}_next = {array}_last + 1;
		uwire [$clog2({depth})-1:0]  {array}_from = {array}_last - {array}_at;
		(* ram_style = "distributed" *)
		logic [$bits({word})-1:0]  {array}[2**$clog2({depth})];
		always_ff @(posedge {clock}) begin
			if({enable}) begin
				{array}[{array}_next] <= {array}_given;
				{array}_last <= {array}_next;
			end
		end
		assign	{array}_word = {array}[{array}_from];"""


def patched(name: str, text: str, shift_register: str = _BY_BIT) -> str:
    """``text`` of file ``name`` with the changes of the module docstring."""
    if name == "mvu.sv":
        text = patches.patched(text, _WATCHDOG, "", name)
    for before, after in _REPLACED.get(name, ()):
        text = patches.patched(text, re.escape(before), after, name)
    if name in _WITH_SHIFT_REGISTERS:
        text = _shift_registers_as(shift_register, name, text)
    module = _MODULE.search(text)
    if name.endswith(".sv") and module is not None:
        # Of any origin, and in few files.
        body = re.sub(r"`default_nettype\s+\w+", "", text[module.end() :])
        text = text[: module.end()] + body
    return text


def _shift_registers_as(form: str, name: str, text: str) -> str:
    """Shift registers ``type name[depth]`` in another form; the word read is ``name_word``."""
    registers = list(_SHIFT_REGISTER.finditer(text))
    if not registers:
        raise patches.unknown_text(name, "it has no shift register")
    for declared in registers:
        attribute, word, array, depth = declared.groups()
        shift = re.search(
            rf"always_ff @\(posedge (\w+)\) begin\s*if\((\w+)\)\s*{array} <= "
            rf"\{{ (\w+), {array}\[0:[^\n]*\] \}};\s*end\b",
            text,
        )
        read = re.search(rf"<= {array}\[(.*)\];", text)
        if shift is None or read is None:
            raise FlowError(
                f"{name} of this FINN has a shift register {array} of a form that is not known "
                "here; install finn-plus 1.6.1"
            )
        clock, enable, given = shift.groups()
        ends = f"""\
uwire [$clog2({depth})-1:0]  {array}_at = {read[1]};
		uwire [$bits({word})-1:0]  {array}_given = {given};
		uwire [$bits({word})-1:0]  {array}_word;
"""
        body = form.format(
            attribute=attribute, word=word, array=array, depth=depth, clock=clock, enable=enable
        )
        text = text.replace(declared[0], "").replace(shift[0], ends + body)
        text = text.replace(read[0], f"<= {array}_word;")
    return text
