# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Keeps FINN's messages out of the terminal and in a file."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def finn_log_to_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Writes FINN's log, prints and warnings to ``path`` (replaced) while the context lasts.

    FINN logs to ``finn_logger``; with no handler Python would print its warnings. All is restored
    on exit. Progress bars write to standard error and stay visible.
    """
    logger = logging.getLogger("finn_logger")
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def to_log(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        logger.warning("%s:%s: %s: %s", filename, lineno, category.__name__, message)

    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_LoggerStream(logger)):
            warnings.showwarning = to_log
            yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


class _LoggerStream:
    """File-like object that logs each line written to it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                self._logger.info(line.rstrip())
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""
