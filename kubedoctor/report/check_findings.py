"""One finding for people: what is wrong, its check, and what to type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from kubedoctor.checks import Fix, Severity
from kubedoctor.doctor.documents import ReportedFinding, ReportedTarget, Result
from kubedoctor.records import dataclass
from kubedoctor.report.fix_text import command_of
from kubedoctor.report.text import cells, styled, visible
from kubedoctor.report.wrapping import wrapped

MARKS = {Severity.ERROR: "", Severity.WARNING: "! ", Severity.INFO: "- "}
"""What stands before a finding, so that no colour is needed."""

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: ""}
_GAP = "   "
_SUMMARY = 40  # columns for what a fix does, before the command that does it


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How findings are shown. `advice` is what a check says of its fix, for findings that bring none."""

    width: int = 80
    colour: bool = False
    verbose: bool = False
    advice: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, ReportedTarget] = field(default_factory=dict)  # by id: commands are for one of them
    several: bool = False  # clusters, so that a finding has to say on which
    hidden: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # by what failed, and target; told once


def problem(result: Result, finding: ReportedFinding, style: Style) -> list[str]:
    """Return the lines of an error."""
    lines = headline(result, finding, style)
    if style.verbose:
        lines += evidence(finding, style)
    return lines + fixes(result, finding.fixes, style) + _hidden(result, style)


def remark(result: Result, finding: ReportedFinding, style: Style) -> list[str]:
    """Return the lines of a warning or a hint: one, if there is room for all of it."""
    target = style.targets.get(result.target)
    command = next(filter(None, (command_of(fix, target) for fix in finding.fixes)), "")
    one = f"  {MARKS[finding.severity]}{_plain(finding.message)}{_GAP}{label(result, style)}{_GAP}{command}"
    if command and not style.verbose and cells(one) <= style.width:
        return [one, *_hidden(result, style)]
    lines = headline(result, finding, style, indent="  ")
    if style.verbose:
        lines += evidence(finding, style, indent="    ")
    offered = finding.fixes if style.verbose else finding.fixes[:1]
    return lines + fixes(result, offered, style, indent="    ") + _hidden(result, style)


def following(found: Iterable[tuple[Result, ReportedFinding]], style: Style, *, indent: str = "  ") -> list[str]:
    """Return the lines of what follows from a finding; it needs no fix of its own, so none is told but with -v."""
    lines = []
    for result, finding in found:
        lines += headline(result, finding, style, indent=f"{indent}so    ")
        if style.verbose:
            inner = f"{indent}      "
            lines += evidence(finding, style, indent=inner)
            lines += fixes(result, finding.fixes, style, indent=inner)
        lines += _hidden(result, style)
    return lines


def ignored(result: Result, finding: ReportedFinding, style: Style) -> list[str]:
    """Return the lines of a finding that does not count."""
    return headline(result, finding, style, indent="  ") + _hidden(result, style)


def _hidden(result: Result, style: Style) -> list[str]:
    """Return the line on checks that were not worth running since this one failed; nothing the second time."""
    concerned = [key for key in style.hidden if key[0] == result.check and result.target in ("machine", key[1])]
    names = [name for key in concerned for name in style.hidden.pop(key)]
    if not names:
        return []
    text = f"{len(names)} more not looked at: {shortlist(names, style)}"
    return [styled(line, "dim", colour=style.colour) for line in wrapped(text, style.width, first="  ")]


def headline(result: Result, finding: ReportedFinding, style: Style, *, indent: str = "") -> list[str]:
    """Return the message with the id of its check at the right end."""
    mark = f"{indent}{MARKS[finding.severity]}"
    lines = wrapped(finding.message, style.width, first=mark)
    name = label(result, style)
    tone = _STYLES[finding.severity]
    last = lines[-1]
    shown = [styled(line, tone, colour=style.colour) for line in lines]
    column = style.width - cells(name)
    if cells(last) + len(_GAP) <= column:
        shown[-1] += " " * (column - cells(last)) + name
    else:
        shown.append(" " * max(0, column) + name)
    return shown


def label(result: Result, style: Style) -> str:
    """Return the id of the check, with the target where that could be another one."""
    elsewhere = f" ({result.target})" if style.several and result.target != "machine" else ""
    return visible(f"{result.check}{elsewhere}")


def evidence(finding: ReportedFinding, style: Style, *, indent: str = "  ") -> list[str]:
    """Return what was seen where."""
    lines = []
    for one in finding.evidence:
        expected = f" (expected: {one.expected})" if one.expected else ""
        lines += wrapped(f"{one.source}: {one.observed}{expected}", style.width, first=indent, later=f"{indent}  ")
    return lines


def fixes(result: Result, offered: Sequence[Fix], style: Style, *, indent: str = "  ") -> list[str]:
    """Return a line for each fix: what it does, and the command; two fixes unless everything is wanted."""
    advice, target = style.advice.get(result.check, ""), style.targets.get(result.target)
    shown = list(offered if style.verbose else offered[:2])
    if not shown and advice:
        return wrapped(advice, style.width, first=f"{indent}fix   ")
    lines = []
    room = min(_SUMMARY, max((cells(_plain(fix.summary)) for fix in shown), default=0))
    for number, fix in enumerate(shown):
        lines += _fix(fix, f"{indent}{'or ' if number else 'fix'}   ", room, style, target)
        if style.verbose and fix.link:
            lines.append(f"{indent}      {_plain(fix.link)}")
    return lines


def shortlist(names: Iterable[str], style: Style, *, most: int = 4) -> str:
    """Return *names* joined by commas, not all of them when there are many."""
    found = list(dict.fromkeys(names))
    if style.verbose or len(found) <= most + 1:
        return ", ".join(found)
    return f"{', '.join(found[:most])} and {len(found) - most} more"


def _fix(fix: Fix, first: str, room: int, style: Style, target: ReportedTarget | None) -> list[str]:
    summary, command = _plain(fix.summary), command_of(fix, target)
    if not command:
        return wrapped(summary, style.width, first=first)
    line = f"{first}{summary}{' ' * max(0, room - cells(summary))}{_GAP}{command}"
    if cells(line) <= style.width:
        return [line]
    return [*wrapped(summary, style.width, first=first), f"{' ' * len(first)}{command}"]


def _plain(text: str) -> str:
    return " ".join(wrapped(text, 1 << 30))
