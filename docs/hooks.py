# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What MkDocs adds to the pages of this folder: those that are written elsewhere.

README.md becomes the first page; CONTRIBUTING.md and CHANGELOG.md are pages; so is each notebook of
examples/notebooks. The page of the command line gets the help of every command.
"""

import argparse
import contextlib
import os
import re
from pathlib import Path
from typing import Any

import jupytext
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
FIRST = {"README.md": "index.md"}
BESIDE = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE"]
NOTEBOOKS = ROOT / "examples" / "notebooks"
HELP = "<!-- the help of every command -->"


def on_startup(**_: Any) -> None:
    """Lays the package out as it is installed, so that its docstrings are found."""
    os.environ["COLUMNS"] = "100"  # of the commands' help
    package = ROOT / "build" / "docs" / "dhq_brevitas"
    package.mkdir(parents=True, exist_ok=True)
    siblings = [ROOT / "export", ROOT / "finn_flow"]
    inner = [p for p in (ROOT / "dhq_brevitas").iterdir() if p.name not in ("export", "finn_flow")]
    wanted = {package / path.name: path for path in [*inner, *siblings]}
    for link in set(package.iterdir()) - set(wanted):
        link.unlink(missing_ok=True)
    for link, path in wanted.items():
        # Another build may be under way, and have made it.
        with contextlib.suppress(FileExistsError):
            link.symlink_to(path)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages and files from outside the folder docs/."""
    for name in BESIDE:
        text = (ROOT / name).read_text().replace("](docs/", "](")
        files.append(File.generated(config, FIRST.get(name, name), content=text))
    for script in sorted(NOTEBOOKS.glob("*.py")):
        name = f"notebooks/{script.stem}.md"
        files.append(File.generated(config, name, content=notebook_text(script)))
    return files


def notebook_text(script: Path) -> str:
    """A notebook as Markdown, without the lines about its license."""
    shown = []
    for cell in jupytext.read(script).cells:
        if cell.cell_type == "markdown":
            shown.append(cell.source)
        elif "SPDX" not in cell.source:
            shown.append(f"```python\n{cell.source}\n```")
    return "\n\n".join(shown)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links out of docs/ into links to the added pages; puts in the commands' help."""
    up = "../" * page.file.src_uri.count("/")

    def inside(match: re.Match[str]) -> str:
        return f"]({up}{FIRST.get(match[1], match[1])}"

    outside = "|".join(map(re.escape, BESIDE))
    markdown = re.sub(rf"\]\({re.escape(up)}\.\./({outside})", inside, markdown)
    return markdown.replace(HELP, commands_help()) if HELP in markdown else markdown


def commands_help() -> str:
    """A section for each command of ``dhq``, with what ``dhq COMMAND --help`` prints."""
    from dhq_brevitas.run.cli import build_parser

    parser = build_parser()
    actions = parser._subparsers._group_actions if parser._subparsers else []
    commands = next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction))
    sections = [("dhq", parser), *((f"dhq {name}", of) for name, of in commands.items())]
    return "\n".join(f"## {title}\n\n```text\n{of.format_help()}```\n" for title, of in sections)
