# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import os

import pytest
from PIL import Image

from dhq_brevitas.util import figures
from dhq_brevitas.util.files import write_text


def test_size_and_format(tmp_path):
    figure = figures.new_figure((3, 2))
    figure.subplots().plot([0, 1], [1, 0])
    figures.save(figure, tmp_path / "line.png", dpi=50)
    with Image.open(tmp_path / "line.png") as image:
        assert (image.format, image.size) == ("PNG", (150, 100))
        assert len(image.getcolors(15000)) > 2


def test_what_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "picture.nothing"
    write_text(path, "old")
    with pytest.raises(ValueError, match="nothing"):
        figures.save(figures.new_figure((1, 1)), path, dpi=50)
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == [path.name]
