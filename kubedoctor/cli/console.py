"""What a person sees: data on stdout, everything else on stderr, colour only where it is wanted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def printable(text: str) -> str:
    """Return *text* with control characters written as escapes, so that nothing shown can drive the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text)


def table(rows: Iterable[Sequence[object]], headers: Sequence[str] = (), *, align: str = "", indent: int = 0) -> str:
    """Return *rows* as aligned plain text, two spaces between columns, without a final newline.

    *align* has a letter per column: `r` for numbers, anything else is left; columns beyond it are left. None is shown
    as `-`. The last column is never padded.
    """
    lines = [tuple(headers)] if headers else []
    lines += [tuple("-" if cell is None else printable(str(cell)).replace("\n", " ") for cell in row) for row in rows]
    if not lines:
        return ""
    columns = max(len(line) for line in lines)
    widths = [max(len(line[column]) if column < len(line) else 0 for line in lines) for column in range(columns)]

    def cell(text: str, column: int) -> str:
        return text.rjust(widths[column]) if align[column : column + 1] == "r" else text.ljust(widths[column])

    return "\n".join(
        (" " * indent + "  ".join(cell(text, column) for column, text in enumerate(line))).rstrip() for line in lines
    )


class Console:
    """The two streams of one run. `quiet` silences `say`, never `data`, `warn` or `error`."""

    def __init__(
        self,
        *,
        color: bool | None = None,
        quiet: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.color = color
        self.quiet = quiet
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> TextIO:
        """The stream of data: the process's one as it is now, unless another was given."""
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> TextIO:
        """The stream of everything that is not data."""
        return self._stderr or sys.stderr

    @property
    def width(self) -> int:
        """Columns of the terminal ($COLUMNS comes first); 80 when there is none."""
        return shutil.get_terminal_size((80, 24)).columns

    @property
    def is_live(self) -> bool:
        """Whether lines on stderr can be rewritten in place."""
        return _is_terminal(self.stderr) and os.environ.get("TERM") != "dumb"

    def data(self, text: object = "") -> None:
        """Write what was asked for, and a newline, to stdout."""
        print(text, file=self.stdout)

    def json(self, document: object) -> None:
        """Write *document* (one of our dataclasses, or what `json.dumps` takes) to stdout."""
        self.data(self.as_json(document))

    def as_json(self, document: object) -> str:
        """Return *document* as `json` writes it."""
        import json

        from kubedoctor.jsonform import to_json

        return json.dumps(to_json(document), indent=2)

    def say(self, text: object = "") -> None:
        """Write a line for the person to stderr."""
        if not self.quiet:
            print(text, file=self.stderr)

    def warn(self, message: str, *, hint: str = "") -> None:
        """Write a warning: something is not as it should be, and the command goes on."""
        self._message("warning", "yellow", message, hint)

    def error(self, message: str, *, hint: str = "") -> None:
        """Write why the command failed and, after a blank line, what to do next; each line of *hint* is one thing."""
        self._message("error", "red", message, hint)

    def style(self, text: str, *styles: str, stream: TextIO | None = None) -> str:
        """Return *text* in the given STYLES where *stream* (default: stdout) shows them."""
        if not styles or not self._has_color(stream or self.stdout):
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def _message(self, word: str, color: str, message: str, hint: str) -> None:
        print(f"{self.style(f'{word}:', 'bold', color, stream=self.stderr)} {printable(message)}", file=self.stderr)
        if hint:
            first, *others = printable(hint).splitlines()
            print(f"\n{self.style('hint:', 'bold', 'cyan', stream=self.stderr)} {first}", file=self.stderr)
            for line in others:
                print(f"      {line}", file=self.stderr)

    def _has_color(self, stream: TextIO) -> bool:
        if self.color is not None:
            return self.color
        if os.environ.get("NO_COLOR"):  # https://no-color.org: set and not empty
            return False
        return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False
