"""The errors of logs, each once: what was said, how often, when last, and whether it ended its component."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubedoctor.cluster.logs.lines import Level, is_last_word, message
from kubedoctor.cluster.logs.records import Record
from kubedoctor.records import dataclass

MOST_KINDS = 10_000
"""Problems told apart; beyond them only those known already are counted, so that memory stays flat."""

_VARIABLE = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+|/[^\s\"']+")
_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of error of one component; `text` is the last one of its kind."""

    component: str
    level: Level
    text: str
    count: int
    first: float  # seconds since the epoch
    last: float
    fatal: bool  # what its component says when it ends


def problems(records: Iterable[Record]) -> list[Problem]:
    """Return the kinds of errors among *records*: by component, those that ended it first, then by the last time.

    Errors are of one kind when they differ in numbers and paths only.
    """
    found: dict[tuple[str, str], Problem] = {}
    for record in records:
        if record.continues:
            continue
        text = message(record.text)
        key = (record.component, _VARIABLE.sub("#", text[:_KEY_LENGTH]))
        known = found.get(key)
        if known is None and len(found) >= MOST_KINDS:
            continue
        found[key] = Problem(
            component=record.component,
            level=record.level,
            text=text,
            count=known.count + 1 if known else 1,
            first=known.first if known else record.time,
            last=record.time,
            fatal=record.level is Level.FATAL or is_last_word(record.text),
        )
    order = {component: number for number, component in enumerate(dict.fromkeys(c for c, _ in found))}
    return sorted(found.values(), key=lambda p: (order[p.component], not p.fatal, -p.last))
