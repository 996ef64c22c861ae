"""`up --timeline`: the bring-up as a picture, SVG or a page that holds it; no script, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from kubedoctor.cluster.documents import WELL, Event, State
from kubedoctor.cluster.files import write_atomically
from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.jsonform import from_json
from kubedoctor.records import dataclass
from kubedoctor.report.text import elapsed, shortened, visible

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BAR = 1100, 210, 250, 92, 34, 16  # in the picture's own units

_STYLE = """
svg { font: 13px ui-sans-serif, system-ui, sans-serif; background: #ffffff; }
text { fill: #1f2328; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
.title { font-size: 17px; font-weight: 600; }
.soft { fill: #59636e; }
.axis { stroke: #d1d9e0; stroke-width: 1; }
.wait { stroke: #818b98; stroke-width: 1.5; stroke-dasharray: 2 4; }
.exec { fill: #9cc4f5; }
.answer { fill: #2f6fd0; }
.ready { fill: #1a7f37; }
.failed { fill: #cf222e; }
.end { stroke: #1a7f37; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  text { fill: #e6edf3; stroke: #0d1117; }
  .soft { fill: #9198a1; }
  .axis { stroke: #30363d; }
  .exec { fill: #2a4a75; }
  .answer { fill: #5b9bf5; }
  .ready { fill: #3fb950; }
  .failed { fill: #f85149; }
  .end { stroke: #3fb950; }
}
"""

_PAGE_STYLE = """
body { margin: 2rem; background: #ffffff; }
svg { max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; } }
"""
_LONGEST_FAILURE = 140


@dataclass(slots=True)
class Span:
    """The moments of one component's start, in seconds since the keeper's; None for what did not happen."""

    name: str
    executed: float | None = None
    answered: float | None = None
    ready: float | None = None
    failed: float | None = None
    failure: str = ""

    @property
    def end(self) -> float:
        """The last of its moments."""
        return max(m for m in (0.0, self.executed, self.answered, self.ready, self.failed) if m is not None)


def draw(events: Path, file: Path) -> None:
    """Write a picture of the bring-up that *events* (an events.jsonl) tells of: .svg, or .html for a page.

    Raise UsageError for another ending of *file*, KubedoctorError when the events cannot be read or tell nothing.
    """
    if file.suffix not in (".svg", ".html"):
        raise UsageError(f"--timeline draws .svg or .html, not `{file.name}`")
    try:
        told = read_events(events.read_text(errors="replace").splitlines())
    except OSError as problem:
        raise KubedoctorError(f"the events cannot be read: {events}: {problem.strerror}") from problem
    spans, ready = bring_up(told)
    if not spans:
        raise KubedoctorError(f"{events} tells of no component")
    title = f"kubedoctor up, cluster {events.absolute().parents[2].name}" if len(events.absolute().parents) > 2 else ""
    picture = svg(spans, ready, title=title)
    write_atomically(file, picture if file.suffix == ".svg" else page(picture, title), mode=0o644)


def read_events(lines: Iterable[str]) -> list[Event]:
    """Return the events of *lines*; a line that is none is left out: the last one may be half written."""
    found = []
    for line in lines:
        try:
            found.append(from_json(Event, json.loads(line)))
        except ValueError:
            continue
    return found


def bring_up(events: Sequence[Event]) -> tuple[list[Span], float | None]:
    """Return what each component did until the place was ready first, in the order of their starts, and when that was.

    What happened afterwards is no part of the bring-up. A component that failed and was started again counts from its
    first start to its being ready.
    """
    spans: dict[str, Span] = {}
    for event in events:
        if event.event == "ready":
            return _in_order(spans), event.elapsed
        if not event.component:
            continue
        span = spans.setdefault(event.component, Span(event.component))
        if event.event == "answer" and span.answered is None:
            span.answered = event.elapsed
        elif event.state == State.STARTING and span.executed is None:
            span.executed = event.elapsed
        elif event.state in WELL and span.ready is None:
            span.ready = event.elapsed
        elif event.state in (State.FAILED, State.BACKOFF) and span.ready is None and span.failed is None:
            span.failed, span.failure = event.elapsed, event.message or event.exit
    return _in_order(spans), None


def _in_order(spans: dict[str, Span]) -> list[Span]:
    return sorted(spans.values(), key=lambda span: float("inf") if span.executed is None else span.executed)


def svg(spans: Sequence[Span], ready: float | None, *, title: str) -> str:
    """Return the picture: a row a component, from its execution over its first answer to its being ready."""
    longest = max([0.1, ready or 0.0, *(span.end for span in spans)])
    bottom = _TOP + len(spans) * _ROW
    failures = [f"{span.name}: {span.failure}" for span in spans if span.failure]
    height = bottom + 42 + 20 * len(failures)
    outcome = "not ready" if ready is None else f"ready in {elapsed(ready)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" width="{_WIDTH}">',
        f"<title>{_text(title)}: {outcome}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="20" y="32">{_text(title)}: {outcome}</text>',
        *_legend(any(span.failed is not None for span in spans)),
        *_axis(longest, bottom),
    ]
    if ready is not None:
        x = _x(ready, longest)
        parts.append(f'<line class="end" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{bottom + 8}"/>')
    for number, span in enumerate(spans):
        parts += _row(span, _TOP + number * _ROW, longest)
    for number, failure in enumerate(failures):
        line = _text(shortened(failure, _LONGEST_FAILURE))
        parts.append(f'<text class="failed" x="20" y="{bottom + 46 + 20 * number}">{line}</text>')
    return "\n".join([*parts, "</svg>\n"])


def page(picture: str, title: str) -> str:
    """Return a page that shows *picture* as wide as the window allows."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{_PAGE_STYLE}</style>\n"
        f"</head>\n<body>\n{picture}</body>\n</html>\n"
    )


def _legend(failed: bool) -> list[str]:
    entries = [
        ("exec", "executed, not answering yet"),
        ("answer", "answers, not ready yet"),
        ("ready", "ready"),
    ] + ([("failed", "ended")] if failed else [])
    parts, x = [], _LEFT
    for style, text in entries:
        parts.append(f'<rect class="{style}" x="{x}" y="48" width="12" height="12" rx="2"/>')
        parts.append(f'<text class="soft" x="{x + 18}" y="59">{text}</text>')
        x += 44 + 7 * len(text)
    return parts


def _axis(longest: float, bottom: int) -> list[str]:
    parts, step, number = [], _step(longest), 0
    while number * step <= longest * 1.0001:
        x = _x(number * step, longest)
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{bottom + 8}"/>')
        parts.append(f'<text class="soft" x="{x}" y="{bottom + 26}" text-anchor="middle">{number * step:g} s</text>')
        number += 1
    return parts


def _step(longest: float) -> float:
    """Return the distance of the axis' lines: 1, 2 or 5 times a power of ten, so that there are at most eight."""
    step = 0.01
    while longest / step > 8:
        for factor in (2, 2.5, 2):  # 1, 2, 5, 10
            step = round(step * factor, 6)
            if longest / step <= 8:
                break
    return step


def _row(span: Span, y: int, longest: float) -> list[str]:
    middle, bar = y + _ROW // 2, y + (_ROW - _BAR) // 2
    told = [f"{what} {elapsed(at)}" for what, at in _moments(span)]
    parts = [
        "<g>",
        f"<title>{_text(span.name)}: {_text(', '.join(told) or 'never started')}{_text(_because(span))}</title>",
        f'<text x="{_LEFT - 14}" y="{middle + 4}" text-anchor="end">{_text(span.name)}</text>',
    ]
    begin = span.end if span.executed is None else span.executed
    parts.append(f'<line class="wait" x1="{_LEFT}" x2="{_x(begin, longest)}" y1="{middle}" y2="{middle}"/>')
    end = span.ready if span.ready is not None else span.failed if span.failed is not None else longest
    answered = end if span.answered is None else min(span.answered, end)
    if span.executed is not None:
        parts += _bar("exec", begin, answered, bar, longest) + _bar("answer", answered, end, bar, longest)
        style, word = ("ready", "") if span.ready is not None else ("failed", "ended ")
        x = _x(end, longest)
        if span.ready is not None or span.failed is not None:
            parts.append(f'<rect class="{style}" x="{x - 1.5}" y="{bar - 3}" width="4" height="{_BAR + 6}" rx="1"/>')
            before = ", ".join(f"{what} {at:.1f}" for what, at in (("exec", begin), ("answer", span.answered)) if at)
            parts.append(f'<text x="{x + 9}" y="{middle + 4}">{word}{elapsed(end)}')
            parts.append(f'<tspan class="soft" dx="6">{before}</tspan></text>')
    else:
        parts.append(f'<text class="soft" x="{_LEFT + 8}" y="{middle + 4}">never started</text>')
    return [*parts, "</g>"]


def _bar(style: str, begin: float, end: float, y: int, longest: float) -> list[str]:
    x, width = _x(begin, longest), round(_x(end, longest) - _x(begin, longest), 1)
    return [f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{_BAR}"/>'] if width > 0 else []


def _moments(span: Span) -> list[tuple[str, float]]:
    moments = (
        ("executed", span.executed),
        ("first answer", span.answered),
        ("ready", span.ready),
        ("ended", span.failed),
    )
    return [(what, at) for what, at in moments if at is not None]


def _because(span: Span) -> str:
    return f" ({span.failure})" if span.failure else ""


def _x(seconds: float, longest: float) -> float:
    return round(_LEFT + seconds / longest * (_WIDTH - _LEFT - _RIGHT), 1)


def _text(text: str) -> str:
    return escape(visible(text).replace("\t", " "))
