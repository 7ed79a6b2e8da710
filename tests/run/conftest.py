# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import pytest

from dhq_brevitas.run import cli


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch):
    """main() prepares the whole process; here that process is pytest's."""
    monkeypatch.setattr(cli, "_prepare_process", lambda debug: None)
