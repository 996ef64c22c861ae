"""A defect of our own or of a plugin: whose it is, and a file that can be attached to a report."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cluster.files import make_directory, write_atomically
from kubedoctor.cluster.paths import home

if TYPE_CHECKING:
    from kubedoctor.contributions import Plugin, PluginProblem

HIDDEN = "<hidden>"
_SECRET_NAME = re.compile(r"token|passw|secret|credential|authorization|bearer|api-?key|private", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{8,1000}(\.[\w-]*)*"  # a JSON web token, such as a service account's
    r"|-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|\Z)"
    r"|(?<=//)[^/@\s]+(?=@)"  # user:password@ of a URL
    r"|(?<=[Bb]earer )\S+",
    re.DOTALL,
)


def one_line(error: BaseException) -> str:
    """Return the exception's type and message on one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Return the traceback without secrets: what was raised is searched for names and shapes, lines of code for shapes.

    A variable is called `token` in many of them, and its value does not stand there.
    """
    from kubedoctor.host import redacted as without_secrets

    pieces = traceback.TracebackException.from_exception(error).format()
    told = (piece if piece.startswith("  File ") else without_secrets([piece])[0] for piece in pieces)
    return hide_secrets("".join(told).rstrip())


def hide_secrets(text: str) -> str:
    """Return *text* with tokens, keys and passwords of URLs replaced."""
    return _SECRET_TEXT.sub(HIDDEN, text)


def redacted(args: Sequence[str]) -> list[str]:
    """Return *args* with the values of options, flags and variables hidden whose names speak of a secret.

    The whole value of `--env C.K=V` is hidden: an environment holds secrets under any name.
    """
    shown: list[str] = []
    hide_next = False
    for word in args:
        name, equals, value = word.partition("=")
        if hide_next or (name == "--env" and equals):
            head, _, rest = (word if hide_next else value).partition("=")
            kept = f"{head}={HIDDEN}" if rest else HIDDEN
            shown.append(kept if hide_next else f"--env={kept}")
            hide_next = False
        elif equals and _SECRET_NAME.search(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            hide_next = word == "--env" or (word.startswith("-") and _SECRET_NAME.search(word) is not None)
            shown.append(hide_secrets(word))
    return shown


def culprit(error: BaseException, loaded: Iterable[Plugin]) -> Plugin | None:
    """Return the plugin whose code raised *error*, None when it was the core's own.

    The innermost frame that is the core's or a plugin's decides; those of libraries they called do not.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    core = Path(__file__).parent.parent
    plugins = list(loaded)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        for plugin in plugins:
            if plugin.owns(file):
                return plugin
        if file.is_relative_to(core):
            return None
    return None


def report(
    error: BaseException, args: Sequence[str], loaded: Iterable[Plugin], problems: Iterable[PluginProblem]
) -> str:
    """Return the crash file's text: Markdown, to be pasted into a report as it is."""
    from importlib.metadata import version

    lines = [
        "# kubedoctor crashed",
        "",
        "Please attach this file to a report. Look through it first: it should hold no secret, but only you can tell.",
        "",
        f"    kubedoctor {version('kubedoctor')}",
        f"    Python {platform.python_version()}, {platform.platform()}, {platform.machine()}",
        f"    arguments: {redacted(args)}",
        *(f"    plugin {plugin.owner}" for plugin in loaded),
        *(f"    plugin {problem.owner}: {problem.message}" for problem in problems),
        "",
        "```",
        traceback_of(error),
        "```",
        "",
    ]
    return "\n".join(lines)


def write(text: str) -> Path | None:
    """Write *text* as crash-<time>.md where our state is, else where temporary files are; None when neither works."""
    name = f"crash-{datetime.now(UTC):%Y-%m-%dT%H%M%S.%f}Z.md"
    for directory in (home(), Path(tempfile.gettempdir())):
        try:
            if directory != Path(tempfile.gettempdir()):
                make_directory(directory)
            write_atomically(directory / name, text)
            return directory / name
        except (OSError, RuntimeError) as problem:  # RuntimeError: a user without a home directory
            print(f"{directory}: cannot write the crash file: {problem}", file=sys.stderr)
    return None
