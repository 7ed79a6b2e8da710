# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The kernels for CUDA: interpreted and compiled here, run where there is a card."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dhq_brevitas.nn import hadamard_kernel
from dhq_brevitas.nn.activation_kernel import Grid, activation, in_kernel
from dhq_brevitas.nn.hadamard import random_signs
from dhq_brevitas.nn.rotation import Rotation, Side

INTERPRETED = Path(__file__).with_name("interpreted_kernels.py")
on_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def triton():
    return pytest.importorskip("triton", reason="comes with PyTorch for CUDA")


@pytest.mark.usefixtures("triton")
@pytest.mark.parametrize(
    "chosen", ["not exhaustive", pytest.param("exhaustive", marks=pytest.mark.exhaustive)]
)
def test_interpreted_they_give_the_bits_of_cpus(chosen):
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-m", chosen, str(INTERPRETED)]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


ROTATED = {"ORDER": 256, "NUMBERS": 1024}
STAGES = ROTATED | {"DIVIDES": True, "AFTER": False, "FLOORS": False}


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("_transform_kernel", ROTATED),
        ("_activation_kernel", STAGES),
        ("_activation_backward_kernel", STAGES | {"PASSES": False}),
    ],
)
def test_they_compile_for_hopper_without_shortened_arithmetic(
    triton, monkeypatch, tmp_path, name, constants
):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from dhq_brevitas.nn import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    integers = {"channels", "share", "chunks", "offset", "last", "size"}
    floats = {"factor", "unit", "bins", "least", "most", "low", "high"}
    if name == "_transform_kernel":
        floats |= {"scale"}
        constants = constants | {"TYPE": triton.language.float32}
    types = dict.fromkeys(integers, "i32") | dict.fromkeys(floats, "fp32")
    types |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "*fp32") for name in kernel.arg_names},
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    options = {"num_warps": 4, "enable_fp_fusion": False}
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert made.asm["cubin"][:4] == b"\x7fELF"
    assert not any(short in made.asm["ptx"] for short in ("fma.rn.f32", ".ftz", "div.full"))
    assert ("div.rn.f32" in made.asm["ptx"]) == (name != "_transform_kernel")


def test_without_triton_one_sentence_says_so(monkeypatch):
    hadamard_kernel.triton_kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "dhq_brevitas.nn.triton_kernels", None)
    with pytest.warns(
        hadamard_kernel.KernelWarning, match="slower: .*; they need Triton"
    ) as caught:
        assert not hadamard_kernel.on_cuda()
    assert not hadamard_kernel.on_cuda()
    assert len(caught) == 1
    with pytest.raises(RuntimeError, match="hadamard was called without its kernel for CUDA"):
        hadamard_kernel._run_on_cuda(torch.ones(2), None, None, 2, 1.0)
    hadamard_kernel.triton_kernels.cache_clear()


@on_a_card
def test_on_a_card_values_and_gradients_are_those_of_cpus_also_in_a_graph():
    x = torch.randn(500, 192, generator=torch.Generator().manual_seed(0))
    rotation = Rotation.seeded(Side.INPUT, 64, 192, seed=1)
    grid, results = Grid(-8.0, 7.0, floors=False, passes=False), []
    for device in ("cpu", "cuda"):
        leaf = x.to(device).requires_grad_()
        scale = torch.tensor(0.3, device=device).requires_grad_()
        assert in_kernel(leaf)
        y = activation(leaf, rotation=rotation, scale=scale, grid=grid)
        grads = torch.autograd.grad(y.square().sum(), (leaf, scale))
        results.append([t.detach().cpu() for t in (y, *grads)])
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-5, atol=1e-3)
    signs, graph = random_signs(192, 1).cuda(), torch.cuda.CUDAGraph()
    given = x.cuda()
    with torch.cuda.graph(graph):
        y = hadamard_kernel.transform(given, signs, None, 64, 0.3)
    given.mul_(2)
    graph.replay()
    assert torch.equal(
        y.cpu(), 2 * hadamard_kernel.transform(x, random_signs(192, 1), None, 64, 0.3)
    )
