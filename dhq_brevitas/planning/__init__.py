# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Rotation and bits of every layer, chosen from measured errors within limits."""
