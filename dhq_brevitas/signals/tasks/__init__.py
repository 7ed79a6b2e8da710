# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Reconstruction tasks, and their registry.

A task of your own is a :class:`Task` in your own file: hand it to :func:`register_task`, or name
the file on the command line (``--task my_task.py``), where its ``TASK`` is taken.
"""

from dhq_brevitas.signals.tasks.audio import AUDIO
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.signals.tasks.pictures import DENOISING, INPAINTING, PICTURE, SUPER_RESOLUTION
from dhq_brevitas.signals.tasks.shapes import SHAPE
from dhq_brevitas.signals.tasks.tomography import TOMOGRAPHY
from dhq_brevitas.util.plugins import from_file

__all__ = ["TASKS", "Problem", "Request", "Task", "get_task", "register_task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (PICTURE, SUPER_RESOLUTION, DENOISING, INPAINTING, AUDIO, SHAPE, TOMOGRAPHY)
}


def register_task(task: Task) -> None:
    """Makes ``task`` known by its name; a task of that name is replaced."""
    TASKS[task.name] = task


def get_task(name: str) -> Task:
    """The task called ``name``, or the ``TASK`` of the Python file of that path.

    Raises ValueError when there is none, or when the file defines none.
    """
    if name in TASKS:
        return TASKS[name]
    if name.endswith(".py"):
        return from_file(name, "task", "TASK", Task)
    raise ValueError(
        f"task={name!r} is unknown: use {', '.join(TASKS)}, or a Python file that defines TASK"
    )
