# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sources of one design: copies, corrected, with their memory contents.

Five files of FINN's library are changed in the copy, and marked there; the library stays as it is.
Three hold constructs that Verilator does not accept. One holds an error and one wastes logic.

====================  ======================================================================
``add_multi.sv``      Verilator: a constant function declared inside a generate block moves,
                      with its type, to module scope
``fifo.sv``           Verilator: the unpacked structure returned by a constant function becomes
                      a packed one
``skid.sv``           Verilator: a message that announces a number gets it (tiled MVAUs, which
                      then stop at input_gen.sv, see compiler.py)
``mvu_vvu_axi.sv``    error: the output queue of the MVAU is one or two words too short. It has
                      room for CORE_PIPELINE_DEPTH + 1 results; when the output stalls while a
                      result comes in every cycle (SIMD = MW), one is waiting, one is pushed in
                      the cycle before the lock takes effect and the pipeline holds as many as
                      it has stages, one more than CORE_PIPELINE_DEPTH where SIMD + 1 is a power
                      of two above 2. The file's own assertion reports the loss.
``dwc_axi.sv``        waste: a converter to a width that divides the other one is told of vectors
                      of width · width bits, for which it builds a barrel shifter over the wider
                      word (672 to 21 bits: 5 678 LUTs by Yosys) where a shift register does. The
                      vectors get the wider width; the stream is the same.
====================  ======================================================================

FINN writes absolute paths of memory contents into its wrappers. They are replaced by paths of
copies named by content, so that the same design generated twice is the same text, and so that a
compiled simulator does not depend on files that may be gone.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dhq_brevitas.finn_flow.patches import patched
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError

HEADERS = (".vh", ".svh")
SOURCES = (".v", ".sv")
#: Stands in texts for the folder of the memory contents.
DATA_FOLDER = "@DHQ_DATA@"
_PATH = re.compile(r'"(\.?/[^"\s]+)"')
_PACKAGE = re.compile(r"_pkg\.s?v$")
#: Stands beside every change.
MARK = "dhq_brevitas"


@dataclass
class Sources:
    """Texts by file name in the order of compilation, and memory contents by path."""

    texts: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)

    def digest(self, *more: str) -> str:
        """SHA-256 of all texts and contents and of ``more``."""
        digest = hashlib.sha256()
        parts: list[bytes] = [part.encode() for part in more]
        for name, text in [*self.texts.items(), *self.headers.items()]:
            parts += [name.encode(), text.encode()]
        for name, content in sorted(self.data.items()):
            parts += [name.encode(), content]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()

    def write(self, folder: Path, data_folder: str) -> list[str]:
        """Writes everything below ``folder``; memory contents will be read from ``data_folder``.

        Returns the names of the sources to compile.
        """
        for name, text in [*self.texts.items(), *self.headers.items()]:
            (folder / name).write_text(text.replace(DATA_FOLDER, data_folder))
        for name, content in self.data.items():
            path = folder / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return list(self.texts)


def collect(paths: list[str] | list[Path]) -> Sources:
    """Reads the files, packages first, each once, with the changes above.

    SimulationError for a missing file, for a kind of file that Verilator does not read (VHDL,
    netlists) and for two different files of one name; FlowError if a file to be changed is not the
    one that is known.
    """
    sources = Sources()
    ordered = sorted(map(Path, paths), key=lambda path: _PACKAGE.search(path.name) is None)
    for path in ordered:
        if path.suffix not in HEADERS + SOURCES:
            raise SimulationError(
                f"{path.name}: Verilator reads Verilog and SystemVerilog only; a design with "
                f"{path.suffix or 'such'} files needs Vivado's simulator"
            )
        if not path.is_file():
            raise SimulationError(f"source {path} does not exist; generate the HDL again")
        text = corrected(path.name, _with_data(path.read_text(), path.parent, sources.data))
        group = sources.headers if path.suffix in HEADERS else sources.texts
        if group.setdefault(path.name, text) != text:
            raise SimulationError(f"two different source files are called {path.name}: {path}")
    return sources


def _with_data(text: str, folder: Path, data: dict[str, bytes]) -> str:
    """``text`` with the paths of existing files, or prefixes of them, replaced by copies."""

    def replace(match: re.Match[str]) -> str:
        given = Path(match[1])
        path = given if given.is_absolute() else folder / given
        if path.is_file():
            files = [path]
        elif path.parent.is_dir() and not match[1].endswith("/"):
            # Thresholding appends the indices of the lane and the stage.
            files = sorted(p for p in path.parent.glob(path.name + "*.dat") if p.is_file())
        else:
            files = []
        if not files:
            return match[0]
        contents = {file.name: file.read_bytes() for file in files}
        digest = hashlib.sha256()
        for name, content in contents.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        key = digest.hexdigest()[:24]
        data.update({f"{key}/{name}": content for name, content in contents.items()})
        return f'"{DATA_FOLDER}/{key}/{path.name}"'

    return _PATH.sub(replace, text)


def corrected(name: str, text: str) -> str:
    """``text`` of file ``name`` of FINN's library with the changes above, each marked."""
    if name not in CHANGES or MARK in text:  # as stitch wrote it
        return text
    return CHANGES[name](name, text)


def _move_constant_function(name: str, text: str) -> str:
    """The leaf count of add_multi.sv from the generate block to module scope."""
    found: list[str] = []

    def take(match: re.Match[str]) -> str:
        found.append(match[0])
        return ""

    function = r"(?s)[ \t]*typedef int unsigned\s+leaf_load_t\b.*?endfunction : init_leaf_loads\n"
    text = patched(text, function, take, name)
    anchor = r"[ \t]*localparam int unsigned\s+L = \$clog2\(N\);[^\n]*\n"
    moved = f"// {MARK}: moved here from a generate block\n"
    return patched(text, anchor, lambda match: match[0] + moved + found[0], name)


def _queue_of_mvau(name: str, text: str) -> str:
    pattern = r"(localparam int unsigned\s+MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH);"
    mark = rf"\1 + 2;  // {MARK}: was CORE_PIPELINE_DEPTH, which overflows"
    return patched(text, pattern, mark, name)


def _vectors_of_converter(name: str, text: str) -> str:
    length = "IBITS % OBITS == 0? IBITS : OBITS % IBITS == 0? OBITS : IBITS * OBITS"
    mark = f".N({length} /* {MARK}: was the last in all cases */)"
    return patched(text, re.escape(".N(IBITS * OBITS)"), mark, name)


def _argument_of_message(name: str, text: str) -> str:
    pattern = r'(\$error\("[^"]*%0d FEED_STAGES[^"]*")\)'
    return patched(text, pattern, rf"\1, FEED_STAGES /* {MARK}: was missing */)", name)


def _packed_structure(name: str, text: str) -> str:
    pattern = r"typedef struct \{(\s*int unsigned\s+lo;)"
    return patched(text, pattern, rf"typedef struct packed {{  // {MARK}: was unpacked\1", name)


CHANGES: dict[str, Callable[[str, str], str]] = {
    "add_multi.sv": _move_constant_function,
    "dwc_axi.sv": _vectors_of_converter,
    "fifo.sv": _packed_structure,
    "mvu_vvu_axi.sv": _queue_of_mvau,
    "skid.sv": _argument_of_message,
}
