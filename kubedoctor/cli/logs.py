"""`kubedoctor logs`: what the components write, as one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.logs.merging import Wanted
    from kubedoctor.cluster.logs.records import Record
    from kubedoctor.cluster.paths import ClusterPaths

_LEVELS = ("debug", "info", "warning", "error", "fatal")
_FOLLOW_LAST = 20
"""Records shown before those that are followed, as tail -f shows ten lines."""


def _complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cluster.logs.sources import logs_of
    from kubedoctor.cluster.paths import ClusterPaths

    cluster = ClusterPaths.of(ctx.params.get("name") or "local")
    return [CompletionItem(name) for name in logs_of(cluster) if name.startswith(incomplete)]


@click.command("logs")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...", shell_complete=_complete)
@cluster_option
@click.option("-f", "--follow", is_flag=True, help="go on with what is written, until interrupted")
@click.option("--grep", metavar="RE", help="only records that hold this regular expression")
@click.option("--since", metavar="TIME", help="only what was written since: 5m, 2h, 1d or RFC 3339")
@click.option("--level", type=click.Choice(_LEVELS), help="only records at least as grave")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="only the last N records")
@click.option("--problems", is_flag=True, help="each kind of error once, with its number; `!` marks what ended one")
@pass_app
def logs(
    app: App,
    components: tuple[str, ...],
    name: str,
    follow: bool,
    grep: str | None,
    since: str | None,
    level: str | None,
    tail: int | None,
    problems: bool,
) -> int:
    """Show what components write, in time order.

    All formats of Kubernetes and etcd are understood; a record of many lines stays together. `keeper` is the log of
    kubedoctor's own processes.
    """
    if problems and follow:
        raise UsageError("--problems counts what there is and cannot be followed", hint="use --level error with -f")
    from kubedoctor.cluster.logs.merging import read
    from kubedoctor.cluster.logs.sources import choose, logs_of
    from kubedoctor.cluster.status import existing

    cluster = existing(name)
    chosen = choose(logs_of(cluster), components)
    wanted = _wanted(grep, since, level or ("error" if problems else "debug"))
    if problems:
        return _show_problems(app, read(chosen, wanted, last=tail))
    if follow:
        _follow(app, cluster, components, wanted, last=_FOLLOW_LAST if tail is None and not since else tail)
    _write(app, list(chosen), read(chosen, wanted, last=tail))
    return ExitCode.OK


def _wanted(grep: str | None, since: str | None, level: str) -> Wanted:
    from kubedoctor.cluster.logs.clock import parse_since
    from kubedoctor.cluster.logs.lines import Level
    from kubedoctor.cluster.logs.merging import Wanted

    try:
        pattern = re.compile(grep) if grep else None
    except re.error as problem:
        raise UsageError(f"--grep {grep}: {problem}", hint="escape what is meant as it stands: \\[ \\( \\*") from None
    try:
        moment = parse_since(since, time.time()) if since else 0.0
    except (ValueError, OverflowError):
        raise UsageError(f"--since {since}: this is no time", hint="5m, 2h, 1d, or 2026-11-23T03:41:48Z") from None
    return Wanted(since=moment, level=Level[level.upper()], pattern=pattern)


def _follow(app: App, cluster: ClusterPaths, components: tuple[str, ...], wanted: Wanted, *, last: int | None) -> None:
    from kubedoctor.cluster.logs.following import follow
    from kubedoctor.cluster.logs.sources import choose, logs_of

    names = list(choose(logs_of(cluster), components))
    _write(app, names, follow(lambda: choose(logs_of(cluster), components), wanted, last=last, tell=app.console.warn))


def _write(app: App, components: list[str], records: Iterable[Record | None]) -> None:
    from kubedoctor.report.log_text import LogText

    console = app.console
    stream = console.stdout
    terminal = stream.isatty()
    text = LogText(components, terminal=terminal, colour=console.style("x", "red") != "x")
    # Bytes that are no UTF-8 stand in a record as lone surrogates: a pipe gets them back as they were.
    errors = "backslashreplace" if terminal else "surrogateescape"
    raw = getattr(stream, "buffer", None)
    for record in records:
        if record is None:
            stream.flush()
            continue
        lines = "".join(f"{line}\n" for line in text.lines(record))
        if raw is None:
            stream.write(lines)
        else:
            raw.write(lines.encode(stream.encoding or "utf-8", errors))


def _show_problems(app: App, records: Iterable[Record]) -> int:
    from kubedoctor.cluster.logs.problems import problems
    from kubedoctor.report.log_text import problem_lines

    console = app.console
    found = problems(records)
    width = console.width if console.stdout.isatty() else None
    for line in problem_lines(found, width=width, colour=console.style("x", "red") != "x"):
        console.data(line)
    if not found:
        console.say("no component has logged an error")
    return ExitCode.OK
