"""Log records and problems as lines for people."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from kubedoctor.cluster.logs.lines import Level
from kubedoctor.cluster.logs.problems import Problem
from kubedoctor.cluster.logs.records import Record
from kubedoctor.report.text import columns, shortened, styled, visible

_COMPONENT_STYLES = ("cyan", "green", "magenta", "blue", "bold")
_LEVEL_STYLES = {Level.WARNING: "yellow", Level.ERROR: "red", Level.FATAL: "red"}


class LogText:
    """Writes records as they stand in the logs, each line behind its component's name when there are several."""

    def __init__(self, components: Sequence[str], *, terminal: bool, colour: bool) -> None:
        """*terminal*: what could steer a terminal is made visible; a file or a pipe gets the lines as they are."""
        self._components = list(components)
        self._terminal = terminal
        self._colour = colour

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the lines of *record*."""
        if record.component not in self._components:
            self._components.append(record.component)
        prefix = self._prefix(record.component) if len(self._components) > 1 else ""
        style = _LEVEL_STYLES.get(record.level, "")
        for line in record.text.split("\n"):
            shown = visible(line) if self._terminal else line
            yield f"{prefix}{styled(shown, style, colour=self._colour)}"

    def _prefix(self, component: str) -> str:
        style = _COMPONENT_STYLES[self._components.index(component) % len(_COMPONENT_STYLES)]
        width = max(len(name) for name in self._components)
        return f"{styled(f'{component:<{width}}', style, colour=self._colour)} | "


def problem_lines(problems: Iterable[Problem], *, width: int | None, colour: bool) -> list[str]:
    """Return the lines of `logs --problems`: a block a component, `!` before what ended it; cut to *width* if given."""
    blocks: dict[str, list[Problem]] = {}
    for problem in problems:
        blocks.setdefault(problem.component, []).append(problem)
    lines: list[str] = []
    for component, found in blocks.items():
        rows = [_row(problem) for problem in found]
        texts = [line if width is None else shortened(line, width - 2) for line in columns(rows, right=(2,))]
        lines += ["", styled(component, "bold", colour=colour)]
        lines += [
            f"  {styled(text, 'red' if problem.fatal else '', colour=colour)}"
            for text, problem in zip(texts, found, strict=True)
        ]
    return lines[1:]


def _row(problem: Problem) -> tuple[str, str, str, str]:
    times = f"{problem.count} x" if problem.count > 1 else ""
    text = visible(" ".join(problem.text.split()))
    return ("!" if problem.fatal else "", time.strftime("%m-%d %H:%M:%S", time.localtime(problem.last)), times, text)
