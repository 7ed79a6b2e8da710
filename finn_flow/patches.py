# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``patched``: the one way in which copies of FINN's library sources are changed."""

import importlib.metadata
import re
from collections.abc import Callable

from dhq_brevitas.finn_flow.errors import FlowError

KNOWN_VERSION = "1.6.1"


def patched(
    text: str,
    pattern: str | re.Pattern[str],
    replacement: str | Callable[[re.Match[str]], str],
    where: str,
) -> str:
    """``text`` of the library file ``where`` with every match of a regular expression replaced.

    FlowError if there is none: a patch that no longer applies would leave an error in the design,
    or code that the tools do not take.
    """
    result, count = re.subn(pattern, replacement, text)
    if not count:
        raise unknown_text(where, f"no match of {getattr(pattern, 'pattern', pattern)!r}")
    return result


def unknown_text(where: str, what: str) -> FlowError:
    """Error for a file of FINN's library that differs from what its patch was written for."""
    return FlowError(
        f"{where} of finn-plus {importlib.metadata.version('finn-plus')} is not the file that "
        f"dhq_brevitas changes in its copy: {what}; install finn-plus {KNOWN_VERSION}"
    )
