# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The command line, called from tests."""

from dhq_brevitas.run.cli import main

SMALL = ["--size", "16", "--hidden", "16", "--layers", "1", "--steps", "30", "--qat-steps", "4"]


def run(*arguments) -> int:
    """Exit status."""
    return main([str(argument) for argument in arguments])


def failure(capsys, *arguments) -> tuple[int, str]:
    """(exit status, the last line on standard error)"""
    status = run(*arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    return status, lines[-1]
