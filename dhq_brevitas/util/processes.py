# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Jobs that know nothing of each other, in processes of their own."""

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["in_processes", "keep_freed_memory", "use_cores"]

# Parameters of mallopt (malloc.h) and what they are set to, in bytes.
MALLOC = {-1: 2**31 - 1, -2: 2**28, -3: 2**25}  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed for the next step, instead of handing it back to the system.

    A training step frees and allocates the same tensors; fetched anew, each of their pages is
    cleared and entered first, a tenth of a quantized step's CPU time. For processes of our own,
    since it holds for all of a process. Elsewhere than in Linux nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, size in MALLOC.items():
            mallopt(parameter, size)


def use_cores(processes: int) -> None:
    """Leaves PyTorch as many threads as there are cores for each of ``processes``."""
    import torch

    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(min(torch.get_num_threads(), max(1, cores // processes)))


def in_processes(
    work: Callable[..., Any],
    jobs: Mapping[str, tuple[Any, ...]],
    processes: int,
    preload: Sequence[str] = (),
) -> Iterator[tuple[str, Any]]:
    """(name, what ``work`` returns for the arguments) of each of ``jobs``, as they are done.

    So many ``processes`` at a time, a new one for each job; with one they are done here, one after
    another. Instead of a result there is the exception that a job raised, or ChildProcessError
    for a process that was ended: the others go on. ``work`` is a function of a module; that, and
    those to ``preload``, are imported once for all. Processes are ended when the iterator is left.
    """
    if processes == 1:
        yield from ((name, _result(work, arguments)) for name, arguments in jobs.items())
        return
    # Processes are copies of one that has imported what jobs need, and started no thread.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", work.__module__, *preload])
    waiting, running = list(jobs.items()), dict[Connection, tuple[str, Any]]()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                name, arguments = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_send, args=(sender, work, arguments, processes))
                process.start()
                sender.close()
                running[receiver] = name, process
            ready = wait(list(running))
            for done in [receiver for receiver in running if receiver in ready]:
                name, process = running.pop(done)
                try:
                    result = done.recv()
                except EOFError:
                    process.join()
                    result = ChildProcessError(f"its process ended with status {process.exitcode}")
                process.join()
                yield name, result
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _result(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return work(*arguments)
    except Exception as error:
        return error


def _send(
    sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...], processes: int
) -> None:
    """A job in a process of its own."""
    keep_freed_memory()
    use_cores(processes)
    sender.send(_result(work, arguments))
