# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation as a site: complete, without a warning, and alone."""

import functools
import html
import http.server
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
MKDOCS = importlib.util.find_spec("mkdocs") is not None


def mkdocs(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    return subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built strictly: a warning, such as of a link that leads nowhere, is an error."""
    if not MKDOCS:
        pytest.skip("there is no mkdocs: extra docs")
    folder = tmp_path_factory.mktemp("site")
    done = mkdocs(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site):
    pages = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")}
    written = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    written = {re.sub("README$", "index", page) for page in written}
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "examples/notebooks").glob("*.py")}
    assert pages == written | notebooks | {"index", "404", "CONTRIBUTING", "CHANGELOG"}


def test_nothing_comes_from_elsewhere(site):
    """Links lead to other sites; styles, scripts, fonts and pictures are files of this one."""
    for page in set(site.rglob("*.html")) - {site / "404.html"}:  # whose paths a server completes
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)", text)
        styles = re.findall(r"<link\b[^>]*>", text)
        loaded += [re.search(r'href="([^"]+)', s)[1] for s in styles if "canonical" not in s]
        assert loaded
        for source in loaded:
            assert (page.parent / source.split("?")[0]).exists(), (page, source)


def test_all_markdown_is_rendered(site):
    """Fences, rows of tables and links that Markdown did not take for such."""
    for page in site.rglob("*.html"):
        text = re.sub(r"<(code|pre|script)\b.*?</\1>", "", page.read_text(), flags=re.DOTALL)
        assert re.findall(r"```|^\s*\|.*|\]\([\w./#-]+\)", text, flags=re.MULTILINE) == [], page


def test_notebooks_are_pages(site):
    for script in (ROOT / "examples" / "notebooks").glob("*.py"):
        text = (site / "notebooks" / f"{script.stem}.html").read_text()
        assert "SPDX" not in text
        codes = re.findall(r"^# %%(?: tags.*)?\n", script.read_text(), flags=re.MULTILINE)
        assert text.count('<div class="highlight">') == len(codes)


def test_the_reference_has_every_public_name(site):
    import dhq_brevitas as dhq

    stubs = {"dhq_brevitas": dhq.__all__}
    for package in ("export", "finn_flow"):
        source = (ROOT / package / "__init__.py").read_text()
        names = re.findall(r'^    "(\w+)",$', source, flags=re.MULTILINE)
        stubs[f"dhq_brevitas.{package}"] = names
    wanted = {f"{module}.{name}" for module, names in stubs.items() for name in names}
    assert len(wanted) > 60
    pages = [page.read_text() for page in (site / "reference").glob("*.html")]
    found = {name for page in pages for name in re.findall(r'<h\d id="([\w.]+)"', page)}
    assert wanted - found == set()


def test_docstrings_became_markdown(site):
    text = (site / "reference" / "functions.html").read_text()
    assert not re.search(r":(func|class|meth|mod):", text)
    assert 'href="#dhq_brevitas.unpack"' in text
    assert text.count('<span class="gp">&gt;&gt;&gt; </span>') > 20


def test_the_command_line_is_printed_by_the_parser(site):
    from dhq_brevitas.run.cli import build_parser

    text = html.unescape((site / "cli.html").read_text())
    for command in ("run", "simulate", "place", "doctor"):
        assert f"usage: dhq {command} [-h]" in text
    assert "--cycles-per-sample" in text
    assert build_parser().description[:40] in text


@pytest.mark.skipif(not MKDOCS, reason="there is no mkdocs: extra docs")
def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    """Negative control: with --quiet, say, MkDocs would count no warnings."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[x](none.md)")
    config = tmp_path / "mkdocs.yml"
    config.write_text("site_name: x")
    done = mkdocs(tmp_path / "site", "--config-file", str(config))
    assert done.returncode == 1
    assert "'none.md'" in done.stderr


# -- README ----------------------------------------------------------------------------------------


def test_every_number_of_the_readme_is_on_the_page_it_names():
    rows = re.findall(r"^\| (.+) \| (.+) \| \[`.+`\]\((.+)\) \|$", README, flags=re.MULTILINE)
    assert len(rows) > 5
    for _, number, page in rows:
        assert re.fullmatch(r"[\d.]+( of \d+)?", number)
        text = (ROOT / page.split("#")[0]).read_text()
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", text), (number, page)


def test_the_readme_is_short_and_its_tables_have_three_columns_at_most():
    assert len(README.splitlines()) < 80
    assert all(line.count(" | ") <= 2 for line in README.splitlines() if line.startswith("|"))


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()
    command = ["git", "tag", "--points-at", "HEAD", "v*"]
    tags = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(tags.stdout.split()) <= {f"v{version}"}


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_pictures_are_those_that_the_script_draws(tmp_path):
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    pictures.draw(tmp_path)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(drawn) == sorted(path.name for path in (DOCS / "pictures").iterdir())
    shown = re.findall(r"\(pictures/(.+?)\)", (DOCS / "how.md").read_text())
    assert sorted(shown) == sorted(drawn)
    words = [re.findall(r">([^<>]*kurtosis[^<>]*)<", text) for text in drawn.values()]
    kept = [
        re.findall(r">([^<>]*kurtosis[^<>]*)<", (DOCS / "pictures" / n).read_text()) for n in drawn
    ]
    assert words == kept
    assert "outputs of a sine: kurtosis 1.5" in drawn["bells.svg"]
    assert drawn["bells.svg"].count("rotated: kurtosis 3.") == 3
    assert all(len(text) < 50_000 for text in drawn.values())


# -- in a browser ----------------------------------------------------------------------------------

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
OFFLINE = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync"""
# Chromium's windows are at least 500 pixels wide, so the page is in a frame.
FRAME = """<!doctype html><title>-</title>
<iframe id="frame" style="width: {width}px; height: 900px; border: 0" src="{page}"></iframe>
<script>
document.getElementById("frame").addEventListener("load", event => {{
  const inside = event.target.contentWindow, page = event.target.contentDocument;
  const elsewhere = inside.performance.getEntriesByType("resource")
    .filter(e => !e.name.startsWith(location.origin) && !e.name.startsWith("data:"));
  document.title = ["PROBE", inside.innerWidth, page.documentElement.scrollWidth,
    [...page.images].every(i => i.naturalWidth > 0), elsewhere.length].join("|");
}});
</script>"""


@pytest.fixture
def address(site):
    """Of the site, on loopback."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.exhaustive
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("page", ["index", "tutorial", "how", "cli", "reference/functions"])
def test_in_a_browser(site, address, tmp_path, page, width):
    """Nothing is wider than the window or comes from elsewhere; no error in the console."""
    (site / "frame.html").write_text(FRAME.format(width=width, page=f"{page}.html"))
    options = [*OFFLINE.split(), f"--user-data-dir={tmp_path}", "--window-size=1700,950"]
    options += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"]
    command = [str(BROWSER), *options, f"{address}/frame.html"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(PROBE.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    _, inner, scrolled, *others = title[1].split("|")
    assert int(scrolled) <= int(inner) == width
    assert others == ["true", "0"]
