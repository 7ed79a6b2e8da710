# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Turns what docstrings write for Sphinx and doctest into Markdown, for the API reference."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(\w+):`~?([\w.]+)`")
EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", flags=re.MULTILINE | re.DOTALL)


class MarkdownDocstrings(griffe.Extension):
    """Links for ``:func:`name```, code for ``>>>``."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None and not obj.is_alias:
            obj.docstring.value = markdown(obj.docstring.value, obj)


def markdown(text: str, obj: griffe.Object) -> str:
    """A docstring as Markdown; a name that no page has stays without a link."""

    def link(match: re.Match[str]) -> str:
        role, name = match.groups()
        if not name.startswith("dhq_brevitas."):
            inner = role in ("meth", "attr") and "." not in name
            home = obj if obj.is_class or not inner else obj.parent
            name = f"{(home if inner and home else obj.module).path}.{name}"
        return f'<autoref optional identifier="{name}"><code>{match[2]}</code></autoref>'

    return EXAMPLE.sub(r"```pycon\n\g<0>\n```", ROLE.sub(link, text))
