# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of the transform: the operator ``dhq_brevitas::hadamard`` on CPUs and on CUDA.

hadamard.cpp is compiled once for each kind of processor, by ``CXX`` or g++, into the folder
``dhq_brevitas/kernels`` in ``XDG_CACHE_HOME`` or ~/.cache; ``DHQ_KERNELS_CACHE`` names another one.
It shares PyTorch's OpenMP threads. Where that is not possible, :func:`on_cpu` says why, once.
:func:`built` does the same for other sources. On CUDA Triton, which comes with PyTorch, compiles
:mod:`dhq_brevitas.nn.triton_kernels`; :func:`on_cuda` says why where it cannot.
"""

import ctypes
import errno
import importlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.util.errors import first_line
from dhq_brevitas.util.files import text_digest

__all__ = ["KernelWarning", "built", "kernels_for", "on_cpu", "on_cuda", "transform"]

SOURCE = Path(__file__).with_name("hadamard.cpp")
# No operation of ours traps, and with such a reservation few loops with a choice are vectorized.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-trapping-math", "-fPIC", "-fopenmp")
COMPILE_SECONDS = 120
OPERATOR = "dhq_brevitas::hadamard"


class KernelWarning(UserWarning):
    """The transform, or a training, runs without its compiled kernel."""


# A compiler that captures a graph takes the answer for a constant.
@torch.compiler.assume_constant_result
def on_cpu() -> bool:
    """Whether the operator can be used; the first call in a process may compile for seconds."""
    return _library() is not None


@torch.compiler.assume_constant_result
def on_cuda() -> bool:
    """The same for CUDA."""
    return triton_kernels() is not None


@cache
def triton_kernels() -> ModuleType | None:
    """The kernels for CUDA, tried once; None, with a warning, where they do not run."""
    try:
        kernels = importlib.import_module("dhq_brevitas.nn.triton_kernels")
        kernels.transform(torch.ones(2, device="cuda"), None, None, 2, 1.0)
    except Exception as error:  # no Triton, no C compiler, a card that Triton does not know
        warnings.warn(
            "the Hadamard transform and training run on CUDA without their compiled kernels, "
            f"several times slower: {first_line(error)}; they need Triton, which comes with "
            "PyTorch for CUDA",
            KernelWarning,
            stacklevel=4,
        )
        return None
    return kernels


def kernels_for(operator: str) -> ModuleType:
    """The kernels for CUDA; RuntimeError, naming the operator that was called, without them."""
    kernels = triton_kernels()
    if kernels is None:
        raise RuntimeError(f"{operator} was called without its kernel for CUDA")
    return kernels


def transform(
    x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
) -> Tensor:
    """((x · diag(before)) (I ⊗ H) · scale) · diag(behind), a new contiguous tensor.

    Shapes and dtypes as for :func:`dhq_brevitas.nn.hadamard.hadamard_transform`, ``before`` and
    ``behind`` like its signs. Compiles, and differentiates backwards.
    """
    return torch.ops.dhq_brevitas.hadamard(x, before, behind, order, scale)


def _run(
    x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
) -> Tensor:
    library = _library()
    if library is None:
        raise RuntimeError("dhq_brevitas::hadamard was called without its compiled kernel")
    given, dtype = x.dtype, torch.float64 if x.dtype == torch.float64 else torch.float32
    if x.dtype == dtype and x.is_contiguous():
        y = torch.empty(x.shape, dtype=dtype)
    else:  # transformed in place
        x = y = x.to(dtype, copy=True, memory_format=torch.contiguous_format)
    signs = [None if d is None else d.to(dtype).contiguous() for d in (before, behind)]
    if y.numel():
        run = library.dhq_hadamard_double if dtype == torch.float64 else library.dhq_hadamard_float
        run(
            x.data_ptr(),
            y.data_ptr(),
            y.numel() // order,
            order,
            y.shape[-1] // order,
            *(None if d is None else d.data_ptr() for d in signs),
            scale,
            torch.get_num_threads(),
        )
    return y if y.dtype == given else y.to(given)


def _run_on_cuda(
    x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
) -> Tensor:
    y: Tensor = kernels_for(OPERATOR).transform(x, before, behind, order, scale)
    return y


def _shaped(
    x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
) -> Tensor:
    return x.new_empty(x.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, before, behind, ctx.order, ctx.scale = inputs
    ctx.save_for_backward(before, behind)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    before, behind = ctx.saved_tensors
    return transform(grad, behind, before, ctx.order, ctx.scale), None, None, None, None


if not hasattr(torch.ops.dhq_brevitas, "hadamard"):  # this module may be imported anew
    torch.library.define(
        OPERATOR, "(Tensor x, Tensor? before, Tensor? behind, int order, float scale) -> Tensor"
    )
    torch.library.impl(OPERATOR, "cpu", _run)
    torch.library.impl(OPERATOR, "cuda", _run_on_cuda)
    torch.library.register_fake(OPERATOR, _shaped)
    torch.library.register_autograd(OPERATOR, _backward, setup_context=_save)


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernel, from the cache if it is there; None, with a warning, if it cannot be."""
    library = built(SOURCE, "the Hadamard transform", "several times slower")
    if library is not None:
        for function in (library.dhq_hadamard_float, library.dhq_hadamard_double):
            pointers, sizes = [ctypes.c_void_p] * 2, [ctypes.c_int64] * 3
            function.argtypes = [*pointers, *sizes, *pointers, ctypes.c_double, ctypes.c_int]
            function.restype = None
    return library


def built(source: Path, what: str, cost: str) -> ctypes.CDLL | None:
    """The library made of a C++ file, which may include others beside it, compiled at most once.

    None where it cannot be; a warning then says that ``what`` runs without it, at which ``cost``.
    """
    try:
        digest = text_digest(_identity(source))[:32]
        path = _cache_folder() / f"{source.stem}-{digest}.so"
        if not path.exists():
            _compile(source, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError, _Unusable) as error:
        warnings.warn(
            f"{what} runs without its compiled kernel, {cost}: {_reason(error)}",
            KernelWarning,
            stacklevel=5,
        )
        return None


class _Unusable(Exception):
    """Why there is no kernel, as the end of a sentence."""


def _identity(source: Path) -> list[str]:
    """What a library depends on: its source and what lies beside it, the flags, the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            kinds = ("model name", "flags", "Features", "CPU part")
            processor = sorted({line.strip() for line in lines if line.startswith(kinds)})
    except OSError:
        processor = [platform.processor()]
    included = [path.read_text() for path in sorted(source.parent.glob("*.cpp")) if path != source]
    return [source.read_text(), *included, *FLAGS, platform.machine(), *processor]


def _cache_folder() -> Path:
    """The folder for compiled kernels, which nobody else may write to: what is there is loaded."""
    named = os.environ.get("DHQ_KERNELS_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(named or Path(caches) / "dhq_brevitas" / "kernels").absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _Unusable(
            f"others can write to {folder}; make it yours alone (chmod 700), or set "
            "DHQ_KERNELS_CACHE to a folder that is"
        )
    return folder


def _compile(source: Path, path: Path) -> None:
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        raise _Unusable(f"there is no compiler {compiler}; install g++, or name another with CXX")
    with tempfile.TemporaryDirectory(prefix=".kernel-", dir=path.parent) as folder:
        # Linked without the flag for OpenMP: its symbols are those of the library of PyTorch.
        for command in (
            [compiler, *FLAGS, "-c", str(source), "-o", "kernel.o"],
            [compiler, "-shared", "kernel.o", "-o", "kernel.so"],
        ):
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=COMPILE_SECONDS,
                check=False,
            )
            if done.returncode:
                first = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[0]
                raise _Unusable(f"{compiler} failed ({first}); use g++ 9 or newer")
        os.replace(Path(folder) / "kernel.so", path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {error.filename}; set DHQ_KERNELS_CACHE to a folder that can be"
    return str(error)
