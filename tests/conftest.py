# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""One hypothesis profile for all tests: the same examples on every run, and no timing failures."""

from hypothesis import settings

settings.register_profile("dhq", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("dhq")
