# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Check the operators on a CUDA device against those of the CPU, and time them.

    python examples/benchmarks/cuda_kernels.py

First how many values differ from the CPU's, and by how much; then the transform beside a copy and
one dense product (float32, GB/s count each number once in and once out), and the operator of
training, forwards and backwards, beside the same in PyTorch. Times are medians with a cold cache.
A case that fails prints its error, and the others follow. Needs PyTorch and Triton, not Brevitas.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from dhq_brevitas.nn import hadamard_kernel
from dhq_brevitas.nn.activation_kernel import FakeQuantize, Grid, Table, activation
from dhq_brevitas.nn.hadamard import hadamard_matrix, hadamard_transform, random_signs
from dhq_brevitas.nn.rotation import Rotation, Side

GRID = Grid(-8.0, 7.0, floors=False, passes=False)


def attempt(name: str, case: Callable[..., str], *arguments: object) -> None:
    try:
        print(f"{name:40}{case(*arguments)}", flush=True)
    except Exception as error:  # the other cases say more about it
        lines = str(error).strip().splitlines() or [""]
        print(f"{name:40}{type(error).__name__}: {lines[0]}", flush=True)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def compared(found: Tensor, expected: Tensor) -> str:
    found = found.detach().cpu()
    apart = (found.double() - expected.double()).abs().max()
    return f"{int((found != expected).sum())} of {found.numel()} differ, by {float(apart):.2g}"


def checked_transform(order: int, dtype: torch.dtype, inverse: bool) -> str:
    x, signs = random(77, 3 * order).to(dtype), random_signs(3 * order, 1)
    pair = (None, signs) if inverse else (signs, None)
    cuda = [None if d is None else d.cuda() for d in pair]
    found = hadamard_kernel.transform(x.cuda(), *cuda, order, 0.3)
    return compared(found, hadamard_kernel.transform(x, *pair, order, 0.3))


def checked_activation(table: bool, order: int, after: bool, rows: bool, floors: bool) -> str:
    x, weights = random(500, 3 * order), random(500, 3 * order).flip(0)
    grid = Grid(-8.0, 7.0, floors, passes=floors)
    results = []
    for device in ("cpu", "cuda"):
        leaf = x.to(device).requires_grad_()
        scale = torch.full((500, 1) if rows else (), 0.25, device=device).requires_grad_()
        signs = None if after else random_signs(3 * order, 1).to(device)
        rotation = Rotation(Side.INPUT, 1 if rows else order, signs)
        y = activation(
            leaf,
            table=sines(device) if table else None,
            rotation=rotation,
            after=after,
            scale=scale,
            grid=grid,
        )
        grads = torch.autograd.grad((y * weights.to(device)).sum(), (leaf, scale))
        results.append([tensor.detach().cpu() for tensor in (y, *grads)])
    names = "y", "dx", "ds"
    return "; ".join(
        f"{name} {compared(found, expected)}"
        for name, found, expected in zip(names, results[1], results[0], strict=True)
    )


def sines(device: str) -> Table:
    phases = torch.arange(4096, device=device).cpu() / 4096
    return Table.of(
        torch.sin(2 * math.pi * phases).to(device), torch.cos(2 * math.pi * phases).to(device),
        unit=3.0, bins=4096.0, least=-(2.0**23), most=2.0**23 - 1, offset=0, passes=False,
    )  # fmt: skip


def checked_graph() -> str:
    x = random(300, 256)
    given = x.cuda()
    hadamard_transform(given)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = hadamard_transform(given)
    given.copy_(2 * x)
    graph.replay()
    return compared(y, hadamard_transform(2 * x))


def checked_compiled() -> str:
    x = random(300, 256)
    given = x.cuda().requires_grad_()
    y = torch.compile(lambda x: hadamard_transform(2 * x), backend="aot_eager", fullgraph=True)(
        given
    )
    (grad,) = torch.autograd.grad(y.sum(), given)
    one = hadamard_transform(torch.full_like(x, 2.0))
    return f"{compared(y, hadamard_transform(2 * x))}; dx {compared(grad, one)}"


def median_ms(function: Callable[[], object]) -> float:
    from triton.testing import do_bench

    return float(do_bench(function, warmup=10, rep=40, return_mode="median"))


def timed_transform(order: int, numbers: int) -> str:
    x = torch.randn(numbers // order, order, device="cuda")
    dense = hadamard_matrix(order, device="cuda") / math.sqrt(order)
    signs = random_signs(order, 1).cuda()
    contenders: dict[str, Callable[[], object]] = {
        "clone": x.clone,
        "transform": lambda: hadamard_transform(x, signs=signs),
        "dense": lambda: x @ dense,
    }
    parts = []
    for name, run in contenders.items():
        ms = median_ms(run)
        parts.append(f"{name} {ms:7.3f} ms {8e-6 * numbers / ms:5.0f} GB/s")
    return "   ".join(parts)


def timed_training(rows: int, after: bool) -> str:
    """One layer's rotation and quantizer forwards and backwards, 256 numbers a row."""
    x = torch.randn(rows, 256, device="cuda").requires_grad_()
    weights = torch.randn(rows, 256, device="cuda")
    scale = torch.tensor(0.25, device="cuda").requires_grad_()
    rotation = Rotation(Side.INPUT, 256, None if after else random_signs(256, 1).cuda())

    def operator() -> Tensor:
        return activation(x, rotation=rotation, after=after, scale=scale, grid=GRID)

    def composed() -> Tensor:
        y: Tensor = FakeQuantize.apply(x if after else rotation.rotate_input(x), scale, GRID)
        return rotation.rotate_input(y) if after else y

    def products() -> Tensor:  # as without Triton
        kernel, hadamard_kernel.on_cuda = hadamard_kernel.on_cuda, lambda: False
        try:
            return composed()
        finally:
            hadamard_kernel.on_cuda = kernel

    parts = []
    for name, run in ("operator", operator), ("composed", composed), ("products", products):

        def step(run: Callable[[], Tensor] = run) -> object:
            return torch.autograd.grad(run(), (x, scale), weights)

        ms = median_ms(step)
        parts.append(f"{name} {ms:7.3f} ms")
    return "   ".join(parts)


def timed_calls() -> str:
    """What a call takes of the CPU, on a tensor so small that the device waits."""
    x = torch.randn(64, 256, device="cuda")
    parts = []
    for name, run in ("clone", x.clone), ("transform", lambda: hadamard_transform(x)):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(1000):
            run()
        torch.cuda.synchronize()
        parts.append(f"{name} {1e3 * (time.perf_counter() - start):.1f} µs")
    return "   ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = "numbers of the tensors that are timed, a multiple of 4096 (%(default)s)"
    parser.add_argument("--numbers", type=int, default=1 << 26, help=size)
    args = parser.parse_args()
    if args.numbers < 1 or args.numbers % 4096:
        parser.error(f"--numbers {args.numbers} is not a positive multiple of 4096")
    if not torch.cuda.is_available():
        raise SystemExit("cuda_kernels needs a CUDA device, and PyTorch finds none")
    begun = time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for order in (1, 2, 16, 64, 256, 1024, 4096):
        attempt(f"transform {order}", checked_transform, order, torch.float32, False)
    for dtype in (torch.float64, torch.bfloat16):
        attempt(f"transform 256 {dtype}", checked_transform, 256, dtype, False)
    attempt("inverse 256", checked_transform, 256, torch.float32, True)
    attempt("transform 256 in a CUDA graph", checked_graph)
    attempt("quantizer, a scale a row", checked_activation, False, 1, False, True, False)
    attempt("rotation, quantizer", checked_activation, False, 256, False, False, False)
    attempt("quantizer, rotation", checked_activation, False, 256, True, False, False)
    attempt("table, rotation, floor", checked_activation, True, 64, False, False, True)
    attempt("µs a call", timed_calls)
    for order in (16, 64, 256, 1024, 4096):
        attempt(f"transform {order}", timed_transform, order, args.numbers)
    for after in (False, True):
        for rows in (4096, args.numbers // 256):
            name = f"training, {rows} x 256" + (", after" if after else "")
            attempt(name, timed_training, rows, after)
    attempt("transform 256, compiled", checked_compiled)
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
