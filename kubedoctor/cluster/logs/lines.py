"""What one line of a component's log says: its level, its time stamp, its message. Standard library only."""

from __future__ import annotations

import json
import re
from enum import IntEnum
from typing import Any, NamedTuple


class Level(IntEnum):
    """How grave a line is, in the words of `logs --level`."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    FATAL = 4


class Head(NamedTuple):
    """What stands at the start of a record; `stamp` is as written, `Clock` makes a time of it."""

    level: Level
    stamp: str


_NAMES = {
    **dict.fromkeys(("debug", "trace"), Level.DEBUG),
    **dict.fromkeys(("info", "notice"), Level.INFO),
    **dict.fromkeys(("warn", "warning"), Level.WARNING),
    **dict.fromkeys(("error", "err"), Level.ERROR),
    **dict.fromkeys(("fatal", "panic", "dpanic", "critical"), Level.FATAL),
}
_LETTERS = {"I": Level.INFO, "W": Level.WARNING, "E": Level.ERROR, "F": Level.FATAL}

KLOG = re.compile(r"([IWEF])(\d{4} \d\d:\d\d:\d\d\.\d{6}) +(\d+) ([^\s\]]+:-?\d+)\] ?")
_ZAP = re.compile(r'\{"level":"(\w+)","ts":"([^"]{10,40})"')
_KUBERNETES_JSON = re.compile(r'\{"ts":(\d{10,}(?:\.\d+)?),')
_LOGRUS = re.compile(r'time="([^"]{10,40})" level=(\w+) ')
_OLD_ETCD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) ([DINWEC]) \| ")  # etcd <= 3.3, flags of 3.4
_OLD_ETCD_LEVELS = {**_LETTERS, "D": Level.DEBUG, "N": Level.INFO, "C": Level.FATAL}
_GO_LOG = re.compile(
    r"(?:(INFO|WARNING|ERROR|FATAL): )?(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?) "
)  # Go's log, grpc's
_BRACKET = re.compile(r"\[(DEBUG|INFO|WARNING|ERROR|FATAL)\] ")  # CoreDNS

CRASH = re.compile(
    r"\s*panic: |fatal error: |unexpected fault address |SIG[A-Z]+: |runtime: (?:out of memory|failed to)|"
    r"Traceback \(most recent call last\):"
)
"""What the Go (and Python) runtime writes when a program dies of itself."""
_COMPLAINT = re.compile(r"(?:Error|ERROR|error|FATAL|Fatal|fatal): |flag provided but not defined: ")


_LAST_WORD = re.compile(r'\] "command failed"|(?i:leader ?election lost)')
_NORMAL_END = re.compile(r'err="finished without leader elect"')


def is_last_word(line: str) -> bool:
    """Return whether *line* is an error that Kubernetes' programs write right before they exit.

    All other error lines are ordinary noise as long as something follows them.
    """
    return _LAST_WORD.search(line) is not None and not is_normal_end(line)


def is_normal_end(line: str) -> bool:
    """Return whether *line* is the `command failed` of a kube-scheduler that was asked to stop."""
    return _NORMAL_END.search(line) is not None


def head(line: str) -> Head | None:
    """Return level and time stamp of a line that begins a record; None for plain text and for lines that go on."""
    if not line:
        return None
    first = line[0]
    if first in "IWEF" and (found := KLOG.match(line)):
        return Head(_LETTERS[found[1]], found[2])
    if first == "{":
        return _json_head(line)
    if first == "t" and (found := _LOGRUS.match(line)):
        return Head(_NAMES.get(found[2], Level.INFO), found[1])
    if first.isdigit() and (found := _OLD_ETCD.match(line)):
        return Head(_OLD_ETCD_LEVELS[found[2]], found[1])
    if found := _GO_LOG.match(line):
        return Head(_NAMES.get((found[1] or "info").lower(), Level.INFO), found[2])
    if first == "[" and (found := _BRACKET.match(line)):
        return Head(_NAMES[found[1].lower()], "")
    return None


def plain_level(line: str) -> Level:
    """Return the level of a line that has no head: by the words programs complain in before their logging is set up."""
    if CRASH.match(line):
        return Level.FATAL
    return Level.ERROR if _COMPLAINT.match(line) else Level.INFO


def _json_head(line: str) -> Head | None:
    if found := _ZAP.match(line):
        return Head(_NAMES.get(found[1].lower(), Level.INFO), found[2])
    if found := _KUBERNETES_JSON.match(line):
        # Kubernetes writes the verbosity of information and nothing of the kind for errors.
        return Head(Level.INFO if re.search(r',"v":\d', line) else Level.ERROR, found[1])
    fields = json_fields(line)
    if fields is None:
        return None
    level = str(fields.get("level") or fields.get("severity") or "info").lower()
    names = ("ts", "time", "timestamp", "@timestamp", "stageTimestamp", "requestReceivedTimestamp")
    stamp = next((fields[name] for name in names if isinstance(fields.get(name), (str, int, float))), "")
    return Head(_NAMES.get(level, Level.INFO), str(stamp))


def json_fields(line: str) -> dict[str, Any] | None:
    """Return the object that *line* holds, or None."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


# --- messages ---------------------------------------------------------------------------------------------------------

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_KLOG_MESSAGE = re.compile(rf"({_QUOTED})(?= |$)")
_KLOG_ERROR = re.compile(rf"(?:^| )err=(?:({_QUOTED})|<|(\S+))")
_LOGRUS_FIELD = re.compile(rf'(?:^| )(msg|error)=({_QUOTED}|[^\s"]+)')
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_EMPTY_WORDS = frozenset({"command failed", "Unhandled Error", "Error"})
"""Messages that only say that there is an error: what it is stands in `err` alone."""


def unquote(quoted: str) -> str:
    """Return what a Go quoted string stands for; what cannot be understood stays as it is."""
    return _ESCAPE.sub(_unescape, quoted[1:-1])


def _unescape(found: re.Match[str]) -> str:
    hexadecimal = found[1] or found[2] or found[3]
    if hexadecimal or found[4]:
        code = int(hexadecimal, 16) if hexadecimal else int(found[4], 8)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else found[0]
    return _SHORT.get(found[5], found[5])


def message(line: str) -> str:
    """Return what a line says to a person: without head and caller, the error spelled out, quotes undone.

    *line* may hold the whole record, continuation lines included: a klog value that spans lines is read with them.
    """
    if found := KLOG.match(line):
        return _klog_message(line[found.end() :])
    if line.startswith("{") and (fields := json_fields(line)) is not None:
        return _json_message(fields) or line
    if _LOGRUS.match(line):
        values = {name: unquote(v) if v.startswith('"') else v for name, v in _LOGRUS_FIELD.findall(line)}
        return _joined(values.get("msg", ""), values.get("error", "")) or line
    for pattern in (_OLD_ETCD, _GO_LOG, _BRACKET):
        if found := pattern.match(line):
            return line[found.end() :]
    return line.strip()


def _klog_message(text: str) -> str:
    quoted = _KLOG_MESSAGE.match(text)
    if quoted is None:
        return text.strip()  # not structured: klog.Errorf and its like
    said = unquote(quoted[1])
    error = _KLOG_ERROR.search(text, quoted.end())
    if error is None:
        return said
    if error[1]:
        return _joined(said, unquote(error[1]))
    if error[2]:
        return _joined(said, error[2])
    value = text[error.end() :].partition("\n >")[0].removeprefix("\n")
    return _joined(said, "\n".join(line.removeprefix("\t") for line in value.splitlines()))


def _json_message(fields: dict[str, Any]) -> str:
    said = str(fields.get("msg") or fields.get("message") or "")
    error = next((str(fields[name]) for name in ("error", "err", "panic") if fields.get(name)), "")
    if error or not said:
        return _joined(said, error)
    known = {"level", "severity", "ts", "time", "caller", "msg", "message", "stacktrace", "logger", "v"}
    rest = [f"{name} {value}" for name, value in fields.items() if name not in known and isinstance(value, (str, int))]
    return f"{said} ({', '.join(rest)})" if rest else said


def _joined(said: str, error: str) -> str:
    if not error or said.endswith(error):
        return said
    return error if not said or said in _EMPTY_WORDS or error.startswith(said) else f"{said}: {error}"
