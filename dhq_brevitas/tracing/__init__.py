# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Float modules of users' own, read and rebuilt from Brevitas layers."""
