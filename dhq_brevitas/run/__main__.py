# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The command ``dhq``: signals are handled ahead of all other imports."""

import sys

from dhq_brevitas.run.interrupts import handle_interrupts

__all__ = ["main"]


def main() -> int:
    """Runs ``dhq``; returns the exit status."""
    handle_interrupts()
    from dhq_brevitas.run import cli
    from dhq_brevitas.util.processes import keep_freed_memory

    keep_freed_memory()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
