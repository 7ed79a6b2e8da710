# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq cache``: compiled simulators and synthesis results, which all runs of a user share."""

from pathlib import Path

from dhq_brevitas.run.backends import check_finn
from dhq_brevitas.util.tables import text_table

__all__ = ["cache_text", "clear"]


def cache_text() -> str:
    """A table of the caches: where they are, their entries and bytes."""
    check_finn("the caches are of simulation and synthesis, which need FINN", "leave them")
    from dhq_brevitas.finn_flow.cache import cache_entries

    rows = [["cache", "entries", "bytes", "folder"]]
    for name, folder in _folders().items():
        entries = cache_entries(folder)
        total = sum(entry.bytes for entry in entries)
        rows.append([name, str(len(entries)), f"{total:,}".replace(",", " "), str(folder)])
    return text_table(rows)


def clear() -> int:
    """Empties the caches, but for entries of the last hour; returns the bytes that were freed."""
    check_finn("the caches are of simulation and synthesis, which need FINN", "leave them")
    from dhq_brevitas.finn_flow.cache import clear_cache

    return sum(clear_cache(folder) for folder in _folders().values())


def _folders() -> dict[str, Path]:
    from dhq_brevitas.finn_flow.environment import simulator_cache_dir, synthesis_cache_dir

    return {"simulators": simulator_cache_dir(), "synthesis": synthesis_cache_dir()}
