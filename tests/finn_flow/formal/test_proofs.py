# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Some of the proofs of ``make prove``: kernels proved for ever, faults put into them refuted."""

import re

import pytest

pytest.importorskip("pyosys", reason="pip install 'dhq-brevitas[synth]'")

from cases import CASES, FAST
from engine import HERE, RTL, decide
from faults import FAST_MUTANTS, MUTANTS
from prove import result

HARNESSES = sorted(HERE.glob("prove_*.sv"))


@pytest.mark.parametrize("case", FAST, ids=str)
def test_proved(case):
    assert result(case).outcome == "proved"


@pytest.mark.parametrize("mutant", FAST_MUTANTS, ids=str)
def test_fault_is_found(mutant):
    """Negative control: the property that is for it has a counterexample."""
    verdict = result(mutant)
    assert verdict.outcome == "refuted"
    assert mutant.prop in (None, verdict.prop)


def test_every_fault_is_of_a_line_that_is_there():
    for mutant in MUTANTS:
        assert mutant.sources() != mutant.case.sources()


def test_a_search_that_is_too_short_proves_nothing(tmp_path):
    """FINN's queue overflows in the 15th cycle; 14 show nothing, and are not called a proof."""
    (queue,) = (m for m in FAST_MUTANTS if m.case.kernel == "finn_mvau")
    verdict = decide(queue.case, tmp_path, sources=queue.sources(), refute=14)
    assert (verdict.outcome, verdict.depth) == ("bounded", 14)


def test_everything_is_covered():
    """Each kernel has a harness, and each property of each harness a fault."""
    texts = {path.stem.removeprefix("prove_"): path.read_text() for path in HARNESSES}
    kernels = {path.stem for path in RTL.glob("*.sv")} - {"dhq_rtl_pkg", "dhq_stream_monitor"}
    proved = {k for k in kernels if any(f"  {k} #" in text for text in texts.values())}
    assert proved == kernels
    assert {case.kernel for case in CASES} == set(texts)
    checker = (HERE / "stream_checker.sv").read_text()
    for kernel, text in texts.items():
        whole = text + checker if "stream_checker" in text and kernel != "finn_mvau" else text
        properties = set(re.findall(r"(a_\w+) : assert", whole))
        assert properties <= {m.prop for m in MUTANTS if m.case.kernel == kernel}, kernel
