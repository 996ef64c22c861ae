"""`explain` for people: what a check looks at, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from kubedoctor.checks import Check, Phase
from kubedoctor.report.text import columns, styled, visible
from kubedoctor.report.wrapping import NARROWEST, WIDEST, wrapped

_ROOM = 10  # columns of the word at the left
_ANY = "*"


def render(check: Check, *, owner: str = "", width: int = 80, colour: bool = False) -> list[str]:
    """Return the lines of `kubedoctor explain ID`; *owner* is the plugin and its distribution."""
    width = max(NARROWEST, min(width, WIDEST))
    lines = [f"{styled(visible(check.id), 'bold', colour=colour)}   {visible(check.title)}", ""]
    for word, text in rows(check, owner):
        lines += _row(word, text, width)
    return lines


def rows(check: Check, owner: str = "") -> Iterator[tuple[str, str]]:
    """Yield each word with what there is to say under it."""
    yield "what", check.what
    yield "looks at", check.looks_at
    yield "fix", check.fix
    for words in check.seen_as:
        yield "seen as", f'"{words}"'
    yield "runs on", where(check)
    if check.requires:
        yield "after", f"{', '.join(check.requires)}; it is skipped when one of them fails"
    yield "default", f"{check.severity}, {check.deadline:g} s at most"
    yield "needs", check.needs or "nothing"
    if check.aliases:
        yield "kubeadm", ", ".join(check.aliases)
    if check.tags:
        yield "tags", ", ".join(check.tags)
    yield "since", check.since
    if owner:
        yield "plugin", owner


def where(check: Check) -> str:
    """Return on what the check runs."""
    names = "cluster" if _ANY in check.of else " or ".join(check.of)
    places = {
        Phase.PREFLIGHT: f"the machine, before `up` starts {names}",
        Phase.RUNNING: f"every {names}" if _ANY in check.of else f"every cluster with {names}",
    }
    if not check.of:
        return f"the machine ({', '.join(check.phases)})"
    return "; ".join(places[phase] for phase in check.phases)


def listing(checks: Sequence[Check]) -> list[str]:
    """Return a line for each check, by plugin; however long, since it may be searched in."""
    lines: list[str] = []
    for _, group in groupby(checks, key=lambda check: check.id.partition(".")[0]):
        lines += ["", *columns((visible(check.id), visible(check.title)) for check in group)]
    return lines[1:]


def by_plugin(checks: Sequence[Check]) -> Mapping[str, list[Check]]:
    """Return the checks by the plugin they are of."""
    return {name: list(group) for name, group in groupby(checks, key=lambda check: check.id.partition(".")[0])}


def _row(word: str, text: str, width: int) -> list[str]:
    later = " " * (_ROOM + 2)
    lines: list[str] = []
    for number, paragraph in enumerate(text.split("\n\n")):
        first = later if number else f"  {word:<{_ROOM}}"
        if number:
            lines.append("")
        if paragraph.startswith(" "):  # an example: as it stands
            lines += [f"{later}{visible(line)}" for line in paragraph.splitlines()]
        else:
            lines += wrapped(paragraph, width, first=first, later=later)
    return lines
