"""The border between a command and the shell: what is raised becomes a message and an exit status."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import click
from click.exceptions import Exit

from kubedoctor.cli.app import App
from kubedoctor.errors import ExitCode, KubedoctorError, PluginError

MENDABLE = {
    errno.ENOSPC: "the disk is full: make room, or move the cluster with $KUBEDOCTOR_HOME",
    errno.EDQUOT: "the disk quota is used up: make room, or move the cluster with $KUBEDOCTOR_HOME",
    errno.EROFS: "the file system is read-only: choose another directory with $KUBEDOCTOR_HOME",
    errno.ELOOP: "a link stands where a file of kubedoctor's should be; none is followed there: move it away",
    errno.EACCES: "run as the user it belongs to, or choose another directory with $KUBEDOCTOR_HOME",
}
"""Failures of the machine that no command can do anything about: the file and the hint say all there is to say."""

INTERRUPTED = int(ExitCode.INTERRUPTED)
PIPE_CLOSED = 128 + 13
"""What a shell reports of a program that SIGPIPE ended, as `kubedoctor logs | head` would without Python."""


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP, taken as Ctrl-C is: what was begun is put in order, then the status is that of a shell."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def end_as_interrupted() -> None:
    """Have SIGTERM and SIGHUP raise Ended: a service manager's word, or the terminal's that it is gone."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1)
            signal.signal(number, end)


def boundary(app: App, args: Sequence[str], command: Callable[[], int]) -> int:
    """Run *command* and return the exit status of the program; tell on stderr what went wrong."""
    try:
        status = command()
        app.tell_plugin_problems()
        app.console.stdout.flush()
    except BaseException as error:
        status = _report(app, args, error)
    _silence_closed_streams()
    return status


def _report(app: App, args: Sequence[str], error: BaseException) -> int:
    console = app.console
    if not isinstance(error, (BrokenPipeError, SystemExit, Exit)):
        app.tell_plugin_problems()
    match error:
        case PluginError() if error.__cause__ is not None:
            return _defect(app, args, error)
        case KubedoctorError():
            console.error(error.message, hint=error.hint)
            return error.exit_code
        case Exit():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return 128 + error.number if isinstance(error, Ended) else ExitCode.INTERRUPTED
        case click.ClickException():
            console.error(_sentence(error.format_message()), hint=_usage_hint(error))
            return error.exit_code
        case SystemExit():
            return _exit_status(app, error)
        case BrokenPipeError() if _is_closed(1) or _is_closed(2):
            return PIPE_CLOSED
        case OSError() if error.errno in MENDABLE and (error.filename or error.errno != errno.EACCES):
            name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
            console.error(f"{name}{os.strerror(error.errno or 0)}", hint=MENDABLE[error.errno or 0])
            return ExitCode.NOT_WELL
        case _:
            return _defect(app, args, error)


def _defect(app: App, args: Sequence[str], error: BaseException) -> int:
    from kubedoctor.cli import crash

    loaded = app.loaded.plugins if app.loaded else []
    problems = app.loaded.problems if app.loaded else []
    culprit = crash.culprit(error, loaded)
    reason = error.message if isinstance(error, PluginError) else crash.one_line(error)
    where = f"in plugin {culprit.owner}" if culprit else "of its own"
    message = reason if isinstance(error, PluginError) else f"kubedoctor hit a defect {where}: {reason}"
    hints = [error.hint] if isinstance(error, PluginError) and error.hint else []
    if culprit and not hints:
        hints.append(f"leave the plugin out with --no-plugin {culprit.name}")
    file = crash.write(crash.report(error, args, loaded, problems))
    if file is not None:
        hints.insert(0, f"details for a report are in {file}")
    if file is None or app.verbose:
        print(crash.traceback_of(error), file=app.console.stderr)
    app.console.error(message, hint="\n".join(hints))
    return ExitCode.DEFECT


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else ""


def _sentence(text: str) -> str:
    """Return click's message in our manner: lower case at the start, no full stop at the end."""
    text = text.removesuffix(".")
    return text[:1].lower() + text[1:]


def _exit_status(app: App, error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    app.console.error(str(error.code))
    return ExitCode.NOT_WELL


def _is_closed(descriptor: int) -> bool:
    """Return whether the reader of our stdout (1) or stderr (2) has gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _silence_closed_streams() -> None:
    # The interpreter flushes at its end, and would complain about a reader that has gone.
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
