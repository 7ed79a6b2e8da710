# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""stream_fork, stream_concat, stream_add and stream_multiply against their references.

Bit-exact under back-to-back traffic, stalls of every stream by itself, one late stream, and reset
in the middle, at every instance. Marker ``exhaustive``: random parameter sets.
"""

import random
from pathlib import Path

import pytest
from simulate import Bits, Instance, build, simulate

SCENARIOS = 4


def fork(outputs: int = 2, width: int = 8) -> Instance:
    bench = {"kind": "fork", "widths": [width], "lanes": [1], "beats": [3]}
    parameters = {"OUTPUTS": outputs, "WIDTH": width}
    return Instance("stream_fork", parameters, width, width, bench, outputs=outputs)


def concat(*beats: int, width: int = 8) -> Instance:
    inputs = len(beats)
    bench = {"kind": "concat", "widths": [width] * inputs, "lanes": [1] * inputs, "beats": beats}
    packed = Bits(16 * inputs, sum(count << (16 * i) for i, count in enumerate(beats)))
    parameters = {"INPUTS": inputs, "WIDTH": width, "BEATS": packed}
    return Instance("stream_concat", parameters, inputs * width, width, bench, inputs=inputs)


def add(a: int = 8, b: int = 8, factors: tuple[int, int] = (1, 1), lanes: int = 1) -> Instance:
    largest = (abs(factors[0]) << (a - 1)) + (abs(factors[1]) << (b - 1))
    width = largest.bit_length() + 1
    parameters = {"PE": lanes, "A_WIDTH": a, "B_WIDTH": b, "OUT_WIDTH": width}
    parameters |= {"A_FACTOR": factors[0], "B_FACTOR": factors[1]}
    return two_operands("stream_add", "add", parameters)


def multiply(a: int = 8, b: int = 8, lanes: int = 1, out: int | None = None) -> Instance:
    parameters = {"PE": lanes, "A_WIDTH": a, "B_WIDTH": b, "OUT_WIDTH": out or a + b}
    return two_operands("stream_multiply", "multiply", parameters)


def two_operands(module: str, kind: str, parameters: dict[str, int]) -> Instance:
    lanes, widths = parameters["PE"], [parameters["A_WIDTH"], parameters["B_WIDTH"]]
    bench = {"kind": kind, "widths": widths, "lanes": [lanes] * 2, "beats": [4, 4]}
    bits = lanes * sum(widths), lanes * parameters["OUT_WIDTH"]
    return Instance(module, parameters, *bits, bench, inputs=2)


DEFAULT = [
    fork(),
    fork(3, 1),
    fork(5, 40),
    concat(1, 1),
    concat(8, 3),
    concat(1, 6, 2, width=21),
    concat(17, 1, 1, 5, width=1),
    add(),
    add(8, 6, (1, 4), lanes=3),
    add(1, 1),
    add(5, 12, (-1, 1), lanes=2),
    add(8, 8, (853, 1731)),
    add(20, 3, (1, -(2**20)), lanes=4),
    add(24, 8, (2**24 - 1, 3)),
    multiply(),
    multiply(1, 1),
    multiply(8, 21, lanes=2),
    multiply(32, 32),
    multiply(6, 7, lanes=3, out=12),
]


def run(model_cache: Path, work_dir: Path, instances: list[Instance], seed: int = 1) -> None:
    outcome = simulate(build(model_cache, instances), instances, "joint_bench", work_dir, seed)
    outcome.check(SCENARIOS * len(instances))


def test_equal_reference(model_cache: Path, tmp_path: Path) -> None:
    run(model_cache, tmp_path, DEFAULT)


def random_instance(source: random.Random) -> Instance:
    kind = source.choice(("fork", "concat", "add", "multiply"))
    if kind == "fork":
        return fork(source.randint(2, 6), source.randint(1, 70))
    if kind == "concat":
        beats = [source.randint(1, 20) for _ in range(source.randint(2, 6))]
        return concat(*beats, width=source.randint(1, 50))
    if kind == "multiply":
        widths = source.randint(1, 32), source.randint(1, 32)
        return multiply(*widths, lanes=source.randint(1, 5))
    a, b = (
        source.choice((1, -1))
        * source.choice((2 ** source.randint(0, 20), source.randint(1, 9999)))
        for _ in range(2)
    )
    return add(source.randint(1, 30), source.randint(1, 30), (a, b), lanes=source.randint(1, 5))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(6))
def test_random_parameters(seed: int, model_cache: Path, tmp_path: Path) -> None:
    source = random.Random(seed)
    run(model_cache, tmp_path, [random_instance(source) for _ in range(16)], seed + 1)


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (4, {"beats": [3, 8]}),  # the inputs in another rhythm
        (8, {"B_FACTOR": 2}),
        (11, {"A_FACTOR": 852}),
    ],
)
def test_another_reference_is_detected(
    index: int, changes: dict, model_cache: Path, tmp_path: Path
) -> None:
    """Negative control: the bench expects other numbers of one instance."""
    folder = build(model_cache, DEFAULT)
    instances = list(DEFAULT)
    kept = DEFAULT[index]
    instances[index] = Instance(
        kept.module,
        {**kept.parameters, **{k: v for k, v in changes.items() if k in kept.parameters}},
        kept.in_bits,
        kept.out_bits,
        {**kept.bench, **changes},
        kept.inputs,
        kept.outputs,
    )
    outcome = simulate(folder, instances, "joint_bench", tmp_path)
    assert {name.split("index=")[1] for name in outcome.failed} == {str(index)}
    assert any("outputs differ" in message for message in outcome.failed.values())
