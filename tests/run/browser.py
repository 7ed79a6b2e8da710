# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Pages opened in Chromium, from tests."""

import html
import re
import shutil
import subprocess
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
# Chromium's windows are at least 500 pixels wide, so the page is in a frame.
FRAME = """<!doctype html><title>-</title>
<iframe id="frame" style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById("frame");
frame.addEventListener("load", () => {{
  const inside = frame.contentWindow, page = frame.contentDocument;
{probe}
}});
</script>"""


def probed(folder: Path, page: str, width: int, probe: str) -> list[str]:
    """What the script ``probe`` put into the frame's title, behind "PROBE|", between bars.

    It sees ``inside`` and ``page``, window and document of a frame ``width`` pixels wide. No error
    may be on the console.
    """
    file = folder / "page.html"
    file.write_text(FRAME.format(width=width, page=html.escape(page), probe=probe))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1700,950"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run([*command, f"file://{file}"], capture_output=True, text=True, check=True)
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>PROBE\|(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    return title[1].split("|")
