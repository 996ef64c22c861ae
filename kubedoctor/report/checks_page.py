"""docs/reference/checks.md: what `explain` says of every bundled check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kubedoctor.checks import Check
from kubedoctor.report.explain_text import by_plugin, rows


def page(checks: Sequence[Check], introduction: str, about: Mapping[str, str]) -> str:
    """Return the page; *about* says of each plugin what its checks are about."""
    parts = [introduction, "| check | well when |\n|---|---|"]
    parts[-1] += "".join(f"\n| [{check.id}](#{_anchor(check.id)}) | {_cell(check.title)} |" for check in checks)
    for plugin, group in by_plugin(checks).items():
        parts.append(f"## {plugin}\n\n{about.get(plugin, '')}".rstrip())
        parts += ["\n\n".join(_section(check)) for check in group]
    return "\n\n".join(parts) + "\n"


def _section(check: Check) -> Iterator[str]:
    said = list(rows(check))
    yield f"### {check.id}"
    yield f"Well when {check.title}."
    yield check.what
    yield "\n".join(f"- **{word}**: {_line(word, text)}" for word, text in said if word != "what")


def _line(word: str, text: str) -> str:
    flat = " ".join(text.split())
    return f"`{flat[1:-1]}`" if word == "seen as" and "`" not in flat else flat


def _anchor(title: str) -> str:
    """Return the anchor of a heading, as forges make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
