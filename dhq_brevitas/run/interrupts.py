# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C and kill (SIGTERM): one sentence, whatever is going on."""

import os
import signal
from types import FrameType

__all__ = ["INTERRUPTED", "handle_interrupts"]

INTERRUPTED = "interrupted; finished stages are kept. Repeat the command to continue"


class CommandInterrupt(KeyboardInterrupt):
    """What handlers raise.

    A class of its own, since Python ends by a signal, not with main()'s status, when a plain
    KeyboardInterrupt has passed an ``exec``, as imports and dataclasses call.
    """


def handle_interrupts() -> None:
    """Both signals raise KeyboardInterrupt; while a module is imported they end the process.

    Compiled modules are not made to be left in the middle of their import: some abort with a
    traceback, others turn the exception into an ImportError. All files are written whole or not at
    all, so nothing is lost by an end without further ado.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, f"dhq: error: {INTERRUPTED}\n".encode())
            os._exit(1)
        frame = frame.f_back
    raise CommandInterrupt
