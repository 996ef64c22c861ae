"""A run in a file: every fact that was asked, the targets and the time, so that checks can look again elsewhere.

A recording of an older kubedoctor stays readable: a fact is found by its name and arguments, what has been added to a
fact since has a default, and whatever does not fit any more is told as such by the checks that ask for it.
"""

from __future__ import annotations

import contextlib
import gzip
import inspect
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from kubedoctor.checks import DEADLINE
from kubedoctor.doctor.look import Answer, SharedLook
from kubedoctor.doctor.threads import Threads
from kubedoctor.facts import ERRORS, Fact, FactError, Look, Malformed, NotRecorded, Overdue
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass
from kubedoctor.targets import Target, TargetKind

SCHEMA_VERSION = 1
KIND = "Recording"
LARGEST = 64 << 20
"""Bytes of a recording, unpacked: one of a node with 20 000 NAT rules has a tenth of it."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedError:
    """Why a fact could not be had: the `kind` of a FactError, and its reason."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFact:
    """The value of a fact in its JSON form, or why there is none."""

    value: Any = None
    error: RecordedError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was seen on a machine. `facts` are by name and arguments: `host.mounts()`, `files.text("/etc/hosts")`."""

    kubedoctor: str  # the version that recorded it
    now: float  # seconds since the epoch
    targets: tuple[Target, ...]
    facts: Mapping[str, RecordedFact]
    plugins: Mapping[str, str]  # name: distribution and version
    schema_version: int = SCHEMA_VERSION
    kind: str = KIND


def record(
    look: SharedLook,
    targets: Sequence[Target],
    *,
    version: str,
    plugins: Mapping[str, str],
    report: Callable[[str, str], None] = lambda _fact, _what: None,
) -> Recording:
    """Return what *look* has been asked so far; *report* is told of a fact whose value no recording can hold."""
    facts = {}
    for key, answer in sorted(look.answers().items()):
        if answer.fact.recorded:
            facts[key] = recorded_fact(look, key, answer, partial(report, answer.fact.name))
    return Recording(kubedoctor=version, now=look.now, targets=tuple(targets), facts=facts, plugins=dict(plugins))


def ask_all(look: SharedLook, facts: Iterable[Fact[Any, Any]], *, seconds: float = DEADLINE) -> None:
    """Ask for those of *facts* that need no argument and nobody has asked for, each for *seconds* at most."""
    threads, waiting = Threads(), [fact for fact in facts if fact.recorded and is_bare(fact)]
    waiting = [fact for fact in waiting if fact.key(()) not in look.answers()]
    while waiting or not threads.is_idle:
        while waiting and threads.has_room:
            fact = waiting.pop(0)
            try:
                threads.start(fact.name, partial(_ask, look, fact), seconds)
            except RuntimeError:  # no thread left: what cannot be asked is not recorded
                return
        threads.next()


def is_bare(fact: Fact[Any, Any]) -> bool:
    """Return whether the fact can be asked for without an argument."""
    _look, *parameters = inspect.signature(fact.gather).parameters.values()
    return all(one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in parameters)


def _ask(look: SharedLook, fact: Fact[Any, Any]) -> None:
    with contextlib.suppress(FactError):  # the look keeps it
        look.get(fact)


def recorded_fact(look: SharedLook, key: str, answer: Answer, report: Callable[[str], None]) -> RecordedFact:
    """Return an answer as it is recorded; one that is still awaited is Overdue."""
    error = answer.error
    if not answer.done.is_set():
        error = Overdue(f"{look.awaited(answer.owner) or key} did not answer")
    if error is None:
        try:
            value = to_json(answer.value)
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as problem:
            report(f"its value cannot be recorded: {problem}")
            error = FactError(f"its value could not be recorded: {problem}")
        else:
            return RecordedFact(value=value)
    return RecordedFact(error=RecordedError(kind=error.kind, reason=error.reason))


def pack(recording: Recording, *, compressed: bool) -> bytes:
    """Return the bytes of the file."""
    text = json.dumps(to_json(recording), separators=(",", ":")).encode() + b"\n"
    return gzip.compress(text, compresslevel=6, mtime=0) if compressed else text


def unpack(data: bytes) -> Recording:
    """Return the recording in *data*, compressed or not; raise ValueError that says in one line why it is none."""
    document = _document(_decompressed(data))
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ValueError("it is not a recording of `kubedoctor check --record`")
    version = document.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError("its schema_version is not a number")
    if version > SCHEMA_VERSION:
        raise ValueError(f"a newer kubedoctor wrote it: schema {version}, this one reads up to {SCHEMA_VERSION}")
    recording = from_json(Recording, document)
    if not recording.targets or recording.targets[0].kind is not TargetKind.MACHINE:
        raise ValueError("its first target is not the machine")
    if len({target.id for target in recording.targets}) < len(recording.targets):
        raise ValueError("two of its targets have the same id")
    if not 0 <= recording.now < 253402300800:  # the year 10000, beyond which there is no date
        raise ValueError("its time is none")
    return recording


def replay(recording: Recording) -> SharedLook:
    """Return a look at the recorded machine. Derived facts are derived again; the rest comes from the recording."""

    def source(look: Look, fact: Fact[Any, Any], arguments: tuple[object, ...], key: str) -> Any:
        if not fact.recorded:
            return fact.gather(look, *arguments)
        found = recording.facts.get(key)
        if found is None:
            raise NotRecorded(f"{key} is not recorded")
        if found.error is not None:
            raise ERRORS.get(found.error.kind, Malformed)(found.error.reason)
        try:
            return from_json(fact.kind, found.value)
        except (ValueError, RecursionError) as problem:
            raise Malformed(f"{key} is recorded in another form: {problem}") from None

    return SharedLook(source, now=recording.now)


def _decompressed(data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        if len(data) > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MiB")
        return data
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(data, LARGEST + 1)
    except zlib.error as problem:
        raise ValueError(f"it is not packed as gzip does: {problem}") from None
    if len(text) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MiB, unpacked")
    if not unpacker.eof:
        raise ValueError("its end is missing")
    return text


def _document(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as problem:
        where = (
            f" at line {problem.lineno}, column {problem.colno}" if isinstance(problem, json.JSONDecodeError) else ""
        )
        raise ValueError(f"it is not JSON{where}") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
