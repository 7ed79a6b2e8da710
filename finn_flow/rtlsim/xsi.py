# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Stand-in for FINN's extension module ``xsi`` over a shared object compiled by Verilator.

``Kernel``, ``Design`` and ``Port`` have the methods of ``finn_xsi/xsi.pyi``, so that FINN's
``SimEngine`` runs unmodified, AXI-Lite tasks included. Differences to Vivado's simulator: signals
have two states (what is X there is random here, the same in every run), and any number of designs
may be open at once.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError

_MESSAGE_SIZE = 2000
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "dhq_create": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_size_t]),
    "dhq_destroy": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]),
    "dhq_trace": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    "dhq_error": (ctypes.c_char_p, [ctypes.c_void_p]),
    "dhq_num_ports": (ctypes.c_int, [ctypes.c_void_p]),
    "dhq_port_name": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int]),
    "dhq_port_direction": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
    "dhq_port_width": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
    "dhq_read": (None, [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]),
    "dhq_write": (None, [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]),
    "dhq_run": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_uint64]),
    "dhq_stream": (
        ctypes.c_int,
        [
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_uint64,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ],
    ),
}


class Kernel:
    """Placeholder: a compiled design brings its own simulation kernel."""

    def __init__(self, name: str) -> None:
        self.name = name


class Port:
    """A port of the top module with a buffer; ``read`` fills it, ``write_back`` drives the port."""

    def __init__(self, design: "Design", index: int) -> None:
        self._design = design
        self.index = index
        library, handle = design.library, design.handle
        self._name = library.dhq_port_name(handle, index).decode()
        self._direction = library.dhq_port_direction(handle, index)
        self._width = library.dhq_port_width(handle, index)
        self._words = (ctypes.c_uint32 * ((self._width + 31) // 32))()

    def name(self) -> str:
        """Name in the top module."""
        return str(self._name)

    def dir(self) -> int:
        """1 input, 2 output, 3 inout, as in Vivado's XSI."""
        return int(self._direction)

    def width(self) -> int:
        """Width in bits."""
        return int(self._width)

    def isInput(self) -> bool:
        """Whether the port is an input."""
        return self._direction == 1

    def isOutput(self) -> bool:
        """Whether the port is an output."""
        return self._direction == 2

    def isInout(self) -> bool:
        """Whether the port is an inout."""
        return self._direction == 3

    def read(self) -> "Port":
        """Takes the value of the port into the buffer."""
        self._design.library.dhq_read(self._design.handle, self.index, self._words)
        return self

    def write_back(self) -> None:
        """Drives the port with the buffer."""
        self._design.library.dhq_write(self._design.handle, self.index, self._words)

    def hasUnknown(self) -> bool:
        """False: Verilator's signals have two states."""
        return False

    def isZero(self) -> bool:
        """Whether the buffer is zero."""
        return not any(self._words)

    def as_bool(self) -> bool:
        """Lowest bit of the buffer."""
        return bool(self._words[0] & 1)

    def as_unsigned(self) -> int:
        """Lowest 32 bits of the buffer."""
        return int(self._words[0])

    def as_binstr(self) -> str:
        """Buffer in binary, as many digits as the port has bits."""
        return f"{self._value():0{self._width}b}"

    def as_hexstr(self) -> str:
        """Buffer in hexadecimal digits."""
        return f"{self._value():0{(self._width + 3) // 4}x}"

    def as_hexstr_2state(self) -> str:
        """As :meth:`as_hexstr`."""
        return self.as_hexstr()

    def clear(self) -> "Port":
        """Sets the buffer to zero."""
        return self._store(0)

    def set(self, value: int) -> "Port":
        """Sets the lowest 32 bits of the buffer."""
        self._words[0] = value
        return self

    def set_binstr(self, value: str) -> "Port":
        """Sets the buffer from binary digits; X and Z count as 0."""
        return self._store(int(value.lower().translate(_UNKNOWN) or "0", 2))

    def set_hexstr(self, value: str) -> "Port":
        """Sets the buffer from hexadecimal digits; X and Z count as 0."""
        return self._store(int(value.lower().translate(_UNKNOWN) or "0", 16))

    def _value(self) -> int:
        return int.from_bytes(bytes(self._words), "little")

    def _store(self, value: int) -> "Port":
        size = ctypes.sizeof(self._words)
        value &= (1 << (8 * size)) - 1
        ctypes.memmove(self._words, value.to_bytes(size, "little"), size)
        return self


_UNKNOWN = str.maketrans("xz?", "000")


class Design:
    """One instance of a compiled design.

    Args:
        kernel: ignored.
        design_lib: the shared object.
        log_file: ignored; messages of the design become exceptions.
        wdb_file: waveform to write once :meth:`trace_all` is called; always FST. A name that ends
            in ``.wdb``, as FINN chooses by itself, gets ``.fst`` instead.
    """

    def __init__(
        self,
        kernel: Kernel,
        design_lib: str,
        log_file: str | None = None,
        wdb_file: str | None = None,
    ) -> None:
        path = Path(design_lib).resolve()
        try:
            self.library = ctypes.CDLL(str(path))
        except OSError as error:
            raise SimulationError(f"{path} is no compiled design: {error}") from error
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        self.label = path.parent.name
        self.handle: int | None = self.library.dhq_create(message, _MESSAGE_SIZE)
        if not self.handle:
            raise SimulationError(f"{self.label}: {message.value.decode()}")
        self._trace = None if not wdb_file else Path(wdb_file).absolute()
        ports = [Port(self, i) for i in range(self.library.dhq_num_ports(self.handle))]
        self._ports = {port.name(): port for port in ports}

    def close(self) -> None:
        """Runs the final blocks, completes the waveform and frees the design. Idempotent."""
        if self.handle is None:
            return
        handle, self.handle = self.handle, None
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        if self.library.dhq_destroy(handle, message, _MESSAGE_SIZE):
            raise SimulationError(f"{self.label}: {message.value.decode()}")

    def __del__(self) -> None:
        if getattr(self, "handle", None) is not None:
            self.close()

    def is_open(self) -> bool:
        """Whether :meth:`close` was not called yet."""
        return self.handle is not None

    def trace_all(self) -> None:
        """Starts the waveform of all signals."""
        if self._trace is not None:
            path = self._trace.with_suffix(".fst") if self._trace.suffix == ".wdb" else self._trace
            self.check(self.library.dhq_trace(self.handle, str(path).encode()))

    def run(self, cycles: int) -> None:
        """Evaluates the design with the current inputs and advances the time."""
        self.check(self.library.dhq_run(self.handle, cycles))

    def check(self, status: int) -> int:
        """``status``, or SimulationError with the design's message if it is negative."""
        if status < 0:
            message = self.library.dhq_error(self.handle).decode()
            raise SimulationError(f"{self.label}: {message}")
        return status

    def restart(self) -> None:
        """Not available: open the design again."""
        raise SimulationError("a Verilated design cannot be restarted; close it and open it again")

    def get_status(self) -> int:
        """0: errors are raised where they happen."""
        return 0

    def get_error_info(self) -> str:
        """Message of the last error."""
        return str(self.library.dhq_error(self.handle).decode())

    def num_ports(self) -> int:
        """Number of ports of the top module."""
        return len(self._ports)

    def getPort(self, name: str) -> Port:
        """The port; RuntimeError if there is none of that name."""
        if name not in self._ports:
            raise RuntimeError(f"there is no port {name}")
        return self._ports[name]

    def ports(self) -> Iterator[Port]:
        """All ports."""
        return iter(self._ports.values())
