"""`check` for people: what is wrong first, then how much was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor.documents import Report, failed_before
from kubedoctor.report.check_findings import Style, following, ignored, problem, remark
from kubedoctor.report.check_order import Shown, in_order
from kubedoctor.report.check_summary import header, is_machine, notes, summary, timings
from kubedoctor.report.text import styled, visible
from kubedoctor.report.wrapping import NARROWEST, WIDEST, wrapped


def render(
    report: Report,
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    complete: bool = False,
    with_timings: bool = False,
    advice: Mapping[str, str] | None = None,
    recorded: str = "",
) -> list[str]:
    """Return the lines of `kubedoctor check`.

    *complete* says that every check was selected; *advice* is what checks say of their fix, by id; *recorded* is when
    and by what the recording was made that was looked at.
    """
    clusters = [target for target in report.targets if not is_machine(target)]
    style = Style(
        width=max(NARROWEST, min(width, WIDEST)),
        colour=colour,
        verbose=verbose,
        advice=advice or {},
        targets={target.id: target for target in report.targets},
        several=len(clusters) > 1,
        hidden=_hidden(report),
    )
    shown = in_order(report)
    parts = [
        [*(wrapped(recorded, style.width) if recorded else ()), *header(report, style, complete=complete)],
        *_problems(shown, style),
        _remarks(shown, style),
        _ignored(report, style),
        _everything(report, style) if verbose else [],
        [*summary(report, style), *notes(report.targets, style), *_more(shown)],
        timings(report) if with_timings else [],
    ]
    return [line for part in parts if part for line in ("", *part)][1:]


def _problems(shown: Sequence[Shown], style: Style) -> Iterator[list[str]]:
    for one in shown:
        if one.severity is Severity.ERROR:
            yield [*problem(one.result, one.finding, style), *following(one.following, style)]


def _remarks(shown: Sequence[Shown], style: Style) -> list[str]:
    lines = [
        line
        for one in shown
        if one.severity is not Severity.ERROR
        for line in (*remark(one.result, one.finding, style), *following(one.following, style, indent="    "))
    ]
    has_problems = any(one.severity is Severity.ERROR for one in shown)
    return ["also", *lines] if lines and has_problems else lines


def _ignored(report: Report, style: Style) -> list[str]:
    found = [(one, finding) for one in report.results if one.outcome is Outcome.IGNORED for finding in one.findings]
    found.sort(key=lambda item: list(Severity).index(item[1].severity))
    lines = [line for result, finding in found for line in ignored(result, finding, style)]
    return [styled(line, "dim", colour=style.colour) for line in ("ignored", *lines)] if lines else []


def _hidden(report: Report) -> dict[tuple[str, str], list[str]]:
    """Return for each check that failed those that were skipped for it, by their target."""
    hidden: dict[tuple[str, str], list[str]] = {}
    for result in report.results:
        if root := failed_before(result):
            hidden.setdefault((root, result.target), []).append(result.check)
    return hidden


def _everything(report: Report, style: Style) -> list[str]:
    """Return a line for each result, by target."""
    lines = []
    for target in report.targets:
        results = [result for result in report.results if result.target == target.id]
        if not results:
            continue
        lines += wrapped(target.title, style.width)
        for result in results:
            first = f"  {result.outcome.value.replace('-', ' '):<14}  {visible(result.check)}  "
            said = result.reason or ("see above" if result.findings else result.title)
            lines += wrapped(said, style.width, first=first, later=" " * 18)
    return lines


def _more(shown: Sequence[Shown]) -> list[str]:
    return [f"more: kubedoctor explain {visible(shown[0].result.check)}"] if shown else []
