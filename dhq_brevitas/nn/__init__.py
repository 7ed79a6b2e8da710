# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a user's own model is made of: rotations, scales, quantizers, proxies, activations."""
