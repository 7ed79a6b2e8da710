# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
from dhq_brevitas.planning.parts import part_resources


def test_parts():
    assert part_resources("XC7Z020clg400-1")["bram18"] == 280
    assert part_resources("xczu9eg-ffvb1156-2-e")["dsp"] == 2520
    assert part_resources("tin") is None
