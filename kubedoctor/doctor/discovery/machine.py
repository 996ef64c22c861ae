"""Small facts of the machine: its title, what stands where, what a unit starts."""

from __future__ import annotations

import os
import shlex

from kubedoctor.facts import Absent, FactError, Look, Malformed, fact
from kubedoctor.host import list_directory, printable, read_text, redacted, stat_file

_LIMIT = 64 << 10


@fact("targets.machine")
def machine_title(look: Look) -> str:
    """The machine in one line: its name, kernel and distribution."""
    del look
    system = os.uname()
    parts = [system.nodename, f"Linux {system.release}", _distribution()]
    return printable(", ".join(part for part in parts if part))


def _distribution() -> str:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = read_text(path, limit=_LIMIT).splitlines()
            values = dict(line.split("=", 1) for line in lines if "=" in line)
            name = values.get("PRETTY_NAME") or values.get("NAME", "")
            return " ".join(_words(name, path))
        except FactError:
            continue
    return ""


@fact("targets.exists")
def exists(look: Look, path: str, root: int) -> bool:
    """Whether anything stands at the path; raise Denied where that cannot be seen."""
    del look
    try:
        stat_file(path, root=root, follow=True)
    except Absent:
        return False
    return True


@fact("targets.directory")
def directory(look: Look, path: str, root: int) -> tuple[str, ...]:
    """The names in a directory that can be printed and are not hidden; raise Absent, Denied, Malformed."""
    del look
    return tuple(name for name in list_directory(path, root=root) if name.isprintable() and not name.startswith("."))


@fact("targets.unit-command")
def unit_command(look: Look, path: str, root: int) -> tuple[str, ...]:
    """The command line that a systemd unit starts, without secrets; raise Absent, Denied, Malformed."""
    del look
    return parse_unit(read_text(path, root=root, limit=_LIMIT), path)


def parse_unit(text: str, path: str) -> tuple[str, ...]:
    """Return the words of the last ExecStart of a unit; raise Malformed."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    commands = [line.partition("=")[2].strip().lstrip("@-:+!") for line in lines if line.startswith("ExecStart=")]
    return _words(commands[-1], path) if commands else ()


@fact("targets.environment-file")
def environment_file(look: Look, path: str, root: int, name: str) -> tuple[str, ...]:
    """The words of one variable in a file of `NAME="words"`, without secrets; raise Absent, Denied, Malformed."""
    del look
    return parse_environment_file(read_text(path, root=root, limit=_LIMIT), path, name)


def parse_environment_file(text: str, path: str, name: str) -> tuple[str, ...]:
    """Return the words in the variable *name*, none where it is not set; raise Malformed."""
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key.removeprefix("export ").strip() == name:
            return tuple(word for part in _words(value, path) for word in _words(part, path))
    return ()


def _words(text: str, path: str) -> tuple[str, ...]:
    try:
        return redacted(shlex.split(text, comments=True))
    except ValueError:
        raise Malformed(f"{printable(path)} has a quotation without end") from None
