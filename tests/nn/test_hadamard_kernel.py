# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The compiled kernel: where it comes from, what it does without a compiler, the operator."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from dhq_brevitas.nn import hadamard_kernel
from dhq_brevitas.nn.hadamard import hadamard_transform, hadamard_transform_int, random_signs
from dhq_brevitas.nn.hadamard_kernel import SOURCE, KernelWarning

CODES = np.random.default_rng(0).integers(-9, 10, (6, 384))


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """A cache that is empty, and a process that has not looked for a kernel yet."""
    monkeypatch.setenv("DHQ_KERNELS_CACHE", str(tmp_path / "kernels"))
    hadamard_kernel._library.cache_clear()
    yield tmp_path / "kernels"
    hadamard_kernel._library.cache_clear()


def transformed():
    return hadamard_transform(torch.from_numpy(CODES).float(), order=128, scale=1.0).numpy()


def test_it_is_compiled_once(anew, monkeypatch):
    np.testing.assert_array_equal(transformed(), hadamard_transform_int(CODES, order=128))
    (library,) = anew.iterdir()
    assert stat.S_IMODE(anew.stat().st_mode) == 0o700
    hadamard_kernel._library.cache_clear()
    monkeypatch.setenv("CXX", "/no/compiler")  # none is needed any more
    np.testing.assert_array_equal(transformed(), hadamard_transform_int(CODES, order=128))
    assert list(anew.iterdir()) == [library]


def test_negative_control_a_wrong_sum_is_noticed(anew, monkeypatch, tmp_path):
    wrong = tmp_path / "wrong.cpp"
    text = SOURCE.read_text()
    assert "v[i] - v[i + span]" in text
    wrong.write_text(text.replace("v[i] - v[i + span]", "v[i + span] - v[i]"))
    monkeypatch.setattr(hadamard_kernel, "SOURCE", wrong)
    assert not np.array_equal(transformed(), hadamard_transform_int(CODES, order=128))


def no_compiler(folder, monkeypatch):
    monkeypatch.setenv("CXX", "c++-of-nobody")


def failing_compiler(folder, monkeypatch):
    compiler = folder.parent / "broken"
    compiler.write_text("#!/bin/sh\necho 'out of luck' >&2\nexit 1\n")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))


def folder_of_all(folder, monkeypatch):
    folder.mkdir()
    folder.chmod(0o777)


def file_for_a_folder(folder, monkeypatch):
    folder.write_text("")


def read_only(folder, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)


def damaged_library(folder, monkeypatch):
    hadamard_kernel.on_cpu()
    (library,) = folder.iterdir()
    # In another folder: a process does not read a library again that it has loaded.
    other = folder.with_name("other")
    other.mkdir()
    (other / library.name).write_bytes(b"\x7fELF damaged")
    monkeypatch.setenv("DHQ_KERNELS_CACHE", str(other))
    hadamard_kernel._library.cache_clear()


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (no_compiler, "there is no compiler c..-of-nobody; install g.., or name another with CXX"),
        (failing_compiler, r"broken failed \(out of luck\); use g.. 9 or newer"),
        (folder_of_all, "others can write to .*kernels; make it yours alone .chmod 700."),
        (file_for_a_folder, "File exists: .*kernels"),
        (read_only, "cannot write .*kernels; set DHQ_KERNELS_CACHE to a folder that can be"),
        (damaged_library, "hadamard-.*so: "),
    ],
)
def test_without_a_kernel_one_sentence_says_why(anew, monkeypatch, trouble, sentence):
    trouble(anew, monkeypatch)
    with pytest.warns(KernelWarning, match="several times slower: .*" + sentence) as caught:
        first = transformed()
    assert len(caught) == 1
    np.testing.assert_array_equal(first, hadamard_transform_int(CODES, order=128))
    np.testing.assert_array_equal(transformed(), first)  # and no second warning


def test_a_foreign_owner_is_refused(anew, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.warns(KernelWarning, match="others can write to"):
        assert not hadamard_kernel.on_cpu()


@pytest.mark.parametrize("order", [4, 16, 256, 4096])
def test_a_row_does_not_depend_on_the_others_or_on_threads(order):
    x = torch.randn(300_000 // order + 3, order, generator=torch.Generator().manual_seed(order))
    threads = torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(hadamard_transform(x))
    torch.set_num_threads(threads)
    assert torch.equal(*results)
    assert torch.equal(hadamard_transform(x[7]), results[0][7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_operator_is_well_registered(dtype, transposed):
    assert hadamard_kernel.on_cpu()
    x = torch.randn(64, 64, dtype=dtype)
    x = (x.T if transposed else x).requires_grad_()
    signs = random_signs(64, 1)
    for arguments in ((x, None, None, 64, 0.125), (x, signs, signs.flip(0), 16, 0.3)):
        torch.library.opcheck(torch.ops.dhq_brevitas.hadamard.default, arguments)


def test_signs_behind_are_those_of_the_inverse():
    x, signs = torch.randn(5, 96, dtype=torch.float64), random_signs(96, 2)
    y = hadamard_transform(x, order=32, signs=signs)
    assert torch.equal(
        hadamard_kernel.transform(y, None, signs, 32, 0.125),
        hadamard_transform(y, order=32, scale=0.125) * signs,
    )
