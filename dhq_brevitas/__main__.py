# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``python -m dhq_brevitas`` is ``dhq``."""

import sys

from dhq_brevitas.run.cli import main

if __name__ == "__main__":
    sys.exit(main())
