# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Errors that say which argument is wrong."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

__all__ = ["ArgumentError", "check_integer", "first_line"]


class ArgumentError(ValueError):
    """A value that an argument cannot have; the text is ``argument=value problem``.

    Whoever took the value under another name, such as an option of a command line, can say so.

    Attributes:
        argument: its name.
        value: what was given.
        problem: the rest of the sentence: what is wrong, and what to use instead.
    """

    def __init__(self, argument: str, value: Any, problem: str) -> None:
        super().__init__(argument, value, problem)
        self.argument, self.value, self.problem = argument, value, problem

    def __str__(self) -> str:
        return f"{self.argument}={self.value!r} {self.problem}"

    def renamed(self, names: Mapping[str, str]) -> "ArgumentError":
        """The same error with ``names[argument]`` instead, if there is one."""
        return ArgumentError(names.get(self.argument, self.argument), self.value, self.problem)


def first_line(error: Exception) -> str:
    """What an error says first, or its kind if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_integer(argument: str, value: Any, least: int) -> None:
    """ArgumentError unless ``value`` is an integer, and no bool, of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentError(argument, value, f"must be an integer of at least {least}")
    if value < least:
        raise ArgumentError(argument, value, f"must be at least {least}")
