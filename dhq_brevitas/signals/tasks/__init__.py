# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Reconstruction tasks, one module each, and their registry.

A task of your own is a :class:`Task` in your own file: hand it to :func:`register_task`, or name
the file on the command line (``--task my_task.py``), where its ``TASK`` is taken.
"""

from dhq_brevitas.signals.tasks import (
    audio,
    denoising,
    inpainting,
    picture,
    radiance,
    shape,
    super_resolution,
    tomography,
)
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.plugins import SUFFIX, from_file

__all__ = ["TASKS", "Problem", "Request", "Task", "get_task", "register_task"]

_MODULES = (
    picture,
    super_resolution,
    denoising,
    inpainting,
    audio,
    shape,
    tomography,
    radiance,
)
TASKS: dict[str, Task] = {module.TASK.name: module.TASK for module in _MODULES}


def register_task(task: Task) -> None:
    """Makes ``task`` known by its name; a task of that name is replaced."""
    TASKS[task.name] = task


def get_task(name: str) -> Task:
    """The task called ``name``, or the ``TASK`` of the Python file of that path.

    Raises ValueError when there is none, or when the file defines none.
    """
    if name in TASKS:
        return TASKS[name]
    if name.endswith(SUFFIX):
        return from_file(name, "task", "TASK", Task)
    known = ", ".join(TASKS)
    raise ArgumentError(
        "task", name, f"is unknown: use {known}, or a Python file that defines TASK"
    )
