"""The line of a log that tells why its component ended. Standard library only: the keeper asks when one exits."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from kubedoctor.cluster.logs.lines import CRASH, Level, head, is_last_word, is_normal_end, message, plain_level

LOOK_AT_BYTES = 256 * 1024
"""A crash of kube-apiserver dumps the stacks of up to some hundred goroutines after its reason."""
LONGEST = 300

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_TROUBLE = re.compile(
    r"(?i)error|fail|fatal|cannot|can't|could not|unable|denied|refused|not found|no such|invalid|unknown|exception|"
    r"missing|unexpected|already in use|not permitted|abort|killed"
)
_PLAIN_LINES = 20
_CONNECTION = re.compile(r'failed to connect to \{Addr: "([^"]+)".* desc = "([^"]+)"')
"""gRPC's warning, written for every attempt: the only place where kube-apiserver tells why it cannot reach etcd."""


def last_error(path: str | Path, *, start: int = 0) -> str:
    """Return the last real error of a component's log as one readable line, or "" when its log tells none.

    A real error ended the component: a fatal line, `command failed`, a panic, `Error: …`; else an error that is the
    very last thing it said. Ordinary error lines are not: a healthy kubelet writes some hundred of them. At most the
    last 256 KiB are read; *start* is the log's size when the process was started, so that an earlier one does not
    answer for it. A log that cannot be read tells nothing.
    """
    try:
        lines = _last_lines(path, start)
    except OSError:
        return ""
    return _shortened(_find(lines))


def _last_lines(path: str | Path, start: int) -> list[str]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a fifo put there must not hold us
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
        size = os.fstat(stream.fileno()).st_size
        begin = max(start if start <= size else 0, size - LOOK_AT_BYTES)
        stream.seek(begin)
        data = stream.read(LOOK_AT_BYTES) or b""
    if begin > start and b"\n" in data:
        data = data.partition(b"\n")[2]  # the first line is cut somewhere
    text = data.replace(b"\0", b"").decode(errors="replace")  # a truncated log has holes that read as NUL
    return _ANSI.sub("", text).split("\n")


def _find(lines: Sequence[str]) -> str:
    for index in range(len(lines) - 1, -1, -1):
        if said := _decisive(lines, index):
            return said
    return _last_record(lines) or _last_trouble(lines)


def _decisive(lines: Sequence[str], index: int) -> str:
    """Return the message of line *index* if a program writes it only when it ends."""
    line = lines[index].rstrip()
    if not line:
        return ""
    start = head(line)
    if start is not None:
        last_word = start.level is Level.FATAL or is_last_word(line)
        return _with_connection(message(_record(lines, index)), lines, index) if last_word else ""
    if CRASH.match(line):
        return _crash(lines, index)
    return line if not line[0].isspace() and plain_level(line) >= Level.ERROR else ""


def _record(lines: Sequence[str], index: int) -> str:
    """Return the line with those that go on from it: the value of a klog field may span lines."""
    line = lines[index].rstrip()
    if not line.endswith("=<"):
        return line
    end = next((n for n in range(index + 1, len(lines)) if lines[n].startswith(" >")), len(lines))
    return "\n".join([line, *lines[index + 1 : end + 1]])


def _crash(lines: Sequence[str], index: int) -> str:
    line = lines[index].strip()
    if line.startswith("Traceback"):
        return next((later for later in lines[index + 1 :] if later and not later[0].isspace()), line)
    while index and CRASH.match(lines[index - 1]):  # a panic while another one is handled: the first is the reason
        index -= 1
        line = lines[index].strip()
    before = lines[index - 1] if index else ""
    start = head(before)
    if start is not None and start.level is Level.FATAL:
        return message(before)  # zap logs the reason with its fields, then panics with the bare words
    return line.partition(" [recovered")[0]


def _with_connection(said: str, lines: Sequence[str], index: int) -> str:
    """Add which connection failed, and how, to an error that only tells that time ran out."""
    if not said.endswith("context deadline exceeded"):
        return said
    for line in reversed(lines[max(0, index - 20) : index]):
        if found := _CONNECTION.search(line):
            reason = found[2].removeprefix("transport: ").removeprefix("Error while dialing: ")
            return f"{said} ({reason})" if found[1] in reason else f"{said} ({found[1]}: {reason})"
    return said


def _last_record(lines: Sequence[str]) -> str:
    """Return the message of the last record if it is an error, or a warning that carries one."""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index].rstrip()
        if not line or line[0].isspace():
            continue
        start = head(line)
        if start is None:
            return ""
        tells = start.level is Level.ERROR or (start.level is Level.WARNING and '"error":' in line)
        return message(_record(lines, index)) if tells and not is_normal_end(line) else ""
    return ""


def _last_trouble(lines: Sequence[str]) -> str:
    """Return the last of the plain lines at the end that speaks of trouble: programs without levels say it in words."""
    seen = 0
    for line in reversed(lines):
        if not line.strip():
            continue
        if head(line) is not None or seen == _PLAIN_LINES:
            return ""
        if _TROUBLE.search(line):
            return line
        seen += 1
    return ""


def _shortened(text: str) -> str:
    """Return *text* as one line without control characters.

    A long one loses its middle: Go's errors begin with what was tried and end with the reason.
    """
    line = _CONTROL.sub(" ", text.replace("\t", " ")).strip()
    if len(line) <= LONGEST:
        return line
    front = LONGEST // 3
    return f"{line[:front].rstrip()} … {line[front + 3 - LONGEST :].lstrip()}"
