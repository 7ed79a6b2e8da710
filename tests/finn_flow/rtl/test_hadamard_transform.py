# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""hadamard_transform under Verilator: every N and SIMD against the NumPy reference.

The scenarios are the cocotb tests of ``hadamard_bench``; here are the parameter sets. The default
sets hold every N from 2 to 256 and every SIMD once, with changing width, signs and requantizer,
and special cases to N = 4096. Marker ``exhaustive``: every N and SIMD with all of VARIANTS.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import transform
from simulate import Bits, Instance, build, simulate

from dhq_brevitas.nn.hadamard import hadamard_transform_int

SCENARIOS = 7
WIDTHS = (8, 4, 12, 1, 24, 16, 2)
# signs: "" none, "row" a row of -H, else random; "+" and "-" are the sign of element 0, by block.
# bits: output width, None the exact one.
VARIANTS: tuple[dict, ...] = (
    {},
    {"signs": "+"},
    {"signs": "-", "shift": 3, "bits": 8},
    {"shift": 1, "bits": 4, "narrow": True},
    {"signs": "+-", "blocks": 3, "shift": 2, "bits": 6},
)


def instance(
    order: int,
    lanes: int,
    width: int,
    *,
    signs: str = "",
    blocks: int = 1,
    shift: int = 0,
    bits: int | None = None,
    narrow: bool = False,
    ram_style: str = "auto",
) -> Instance:
    source = random.Random(order * lanes + width)
    channels = order * blocks
    pattern = 0
    if signs == "row":
        row = source.randrange(order)
        pattern = sum(1 << c for c in range(order) if not (c & row).bit_count() & 1)
    elif signs:
        pattern = source.getrandbits(channels)
        for block in range(blocks):
            first = 1 << (block * order)
            negative = signs[block % len(signs)] == "-"
            pattern = pattern | first if negative else pattern & ~first
    out_width = bits or width + order.bit_length() - 1
    return Instance(
        "hadamard_transform",
        {
            "N": order,
            "SIMD": lanes,
            "IN_WIDTH": width,
            "CHANNELS": channels,
            "SIGNS": Bits(channels, pattern),
            "SHIFT": min(shift, width + order.bit_length() - 2),
            "OUT_WIDTH": out_width,
            "NARROW": int(narrow),
            "RAM_STYLE": ram_style,
        },
        lanes * width,
        lanes * out_width,
    )


def lanes_of(order: int) -> list[int]:
    return [1 << k for k in range(order.bit_length())]


def default_groups() -> dict[str, list[Instance]]:
    """Every N to 256 and SIMD once; one Verilator model per group."""
    count = 0
    groups: dict[str, list[Instance]] = {}
    for name, orders in (("2-64", (2, 4, 8, 16, 32, 64)), ("128-256", (128, 256))):
        groups[name] = []
        for order in orders:
            for lanes in lanes_of(order):
                groups[name].append(
                    instance(
                        order, lanes, WIDTHS[count % len(WIDTHS)], **VARIANTS[count % len(VARIANTS)]
                    )
                )
                count += 1
    groups["special"] = [
        # The one more bit of signs that are a row of -H: kept, and saturated.
        instance(8, 2, 4, signs="row", bits=8),
        instance(8, 4, 4, signs="row"),
        instance(16, 1, 3, signs="row", shift=2, bits=5),
        # All bits but the sign shifted out, and hardly any kept.
        instance(16, 4, 6, shift=99, bits=2),
        instance(16, 4, 6, shift=99, bits=2, narrow=True),
        instance(4, 1, 2, bits=32),
        # The lowest sum is the one value that only NARROW clips.
        instance(4, 2, 3, bits=5, narrow=True),
        # Both memory styles at the depths where the other is the default.
        instance(64, 2, 5, signs="+", ram_style="block"),
        instance(1024, 2, 5, signs="-", ram_style="distributed"),
        # More blocks than one, signs of blocks that differ, not a power of two of them.
        instance(32, 32, 4, signs="-+", blocks=5),
        instance(32, 4, 4, signs="+-", blocks=3),
        instance(512, 8, 12, signs="-", shift=3, bits=8),
        instance(2048, 16, 8, signs="+", shift=6, bits=8),
        instance(4096, 16, 8),
    ]
    return groups


DEFAULT = default_groups()


def run(model_cache: Path, work_dir: Path, instances: list[Instance]) -> None:
    folder = build(model_cache, instances)
    outcome = simulate(folder, instances, "hadamard_bench", work_dir)
    outcome.check(SCENARIOS * len(instances))


@pytest.mark.parametrize(
    "group",
    [
        pytest.param(name, marks=pytest.mark.exhaustive if name == "128-256" else ())
        for name in DEFAULT
    ],
)
def test_equals_reference(group: str, model_cache: Path, tmp_path: Path) -> None:
    run(model_cache, tmp_path, DEFAULT[group])


def test_every_size_is_covered() -> None:
    covered = {(i.parameters["N"], i.parameters["SIMD"]) for g in DEFAULT.values() for i in g}
    assert covered >= {(1 << k, lanes) for k in range(1, 9) for lanes in lanes_of(1 << k)}


@pytest.mark.exhaustive
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
@pytest.mark.parametrize("order", [1 << k for k in range(1, 13)])
def test_every_variant(order: int, variant: int, model_cache: Path, tmp_path: Path) -> None:
    instances = [
        instance(order, lanes, WIDTHS[(variant + k) % len(WIDTHS)], **VARIANTS[variant])
        for k, lanes in enumerate(lanes_of(order))
    ]
    run(model_cache, tmp_path, instances)


@pytest.mark.exhaustive
@pytest.mark.parametrize("width", range(1, 25))
def test_every_width(width: int, model_cache: Path, tmp_path: Path) -> None:
    instances = [
        instance(order, lanes, width, **VARIANTS[(width + order + lanes) % len(VARIANTS)])
        for order, lanes in ((8, 2), (64, 1), (64, 8), (256, 256))
    ]
    run(model_cache, tmp_path, instances)


@pytest.mark.parametrize(
    "flipped", [37, *(pytest.param(x, marks=pytest.mark.exhaustive) for x in (0, 63))]
)
def test_flipped_sign_is_detected(flipped: int, model_cache: Path, tmp_path: Path) -> None:
    """Negative control: hardware with one sign other than the reference's fails every scenario."""
    instances = DEFAULT["2-64"]
    folder = build(model_cache, instances)
    index = next(
        i
        for i, one in enumerate(instances)
        if one.parameters["N"] == 64 and one.parameters["CHANNELS"] == 64
    )
    parameters = dict(instances[index].parameters)
    signs = parameters["SIGNS"]
    assert isinstance(signs, Bits)
    parameters["SIGNS"] = Bits(signs.width, signs.value ^ 1 << flipped)
    altered = list(instances)
    altered[index] = replace(instances[index], parameters=parameters)
    outcome = simulate(folder, altered, "hadamard_bench", tmp_path)
    assert {name.split("index=")[1] for name in outcome.failed} == {str(index)}
    # Reset before the first output compares nothing.
    assert len(outcome.failed) >= SCENARIOS - 1
    assert all("outputs differ" in message for message in outcome.failed.values())


@pytest.mark.parametrize("order", [2, 8, 256, 4096])
def test_reference_is_the_projects(order: int) -> None:
    x = np.random.default_rng(order).integers(-128, 128, (3, 2 * order))
    np.testing.assert_array_equal(transform(x, order), hadamard_transform_int(x, order=order))
