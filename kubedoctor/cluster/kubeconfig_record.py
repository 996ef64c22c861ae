"""merged.json of a cluster: into which files its entries were merged, and how to take them out again."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import replace

from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Lines of the merged text, and what stood there before."""

    line: int
    count: int
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFile:
    """What was done to one file."""

    file: str
    uid: int
    gid: int
    sha256: str  # of the text as we left it
    created: bool = False
    created_directory: bool = False
    previous: str = ""  # the current context before
    undo: tuple[Hunk, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """merged.json."""

    files: tuple[MergedFile, ...] = ()
    schema_version: int = SCHEMA_VERSION
    kind: str = "MergedKubeconfig"


def hunks(before: str, after: str) -> tuple[Hunk, ...]:
    """Return what turns *after* back into *before*; nothing of the lines they share is kept."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        Hunk(line=j1, count=j2 - j1, before="".join(old[i1:i2])) for tag, i1, i2, j1, j2 in changes if tag != "equal"
    )


def put_back(text: str, hunks: tuple[Hunk, ...]) -> str:
    """Return *text* as it was before."""
    lines = text.splitlines(keepends=True)
    for hunk in reversed(hunks):
        lines[hunk.line : hunk.line + hunk.count] = hunk.before.splitlines(keepends=True)
    return "".join(lines)


def digest(text: str) -> str:
    """Return the hash that tells whether a file is still as we left it."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_record(paths: ClusterPaths) -> Record:
    """Return merged.json, an empty one when there is none; raise KubedoctorError."""
    path = paths.merged
    try:
        return from_json(Record, json.loads(path.read_text()))
    except FileNotFoundError:
        return Record()
    except (ValueError, OSError) as problem:
        raise KubedoctorError(
            f"{path} cannot be read: {problem}", hint=f"what was merged is no longer known; to forget it: rm {path}"
        ) from None


def remember(paths: ClusterPaths, file: str, entry: MergedFile | None) -> None:
    """Replace the entry of *file*; None forgets it."""
    record = read_record(paths)
    files = tuple(known for known in record.files if known.file != file)
    record = replace(record, files=(*files, entry) if entry else files)
    path = paths.merged
    if record.files:
        write_atomically(path, json.dumps(to_json(record), indent=1) + "\n")
    else:
        path.unlink(missing_ok=True)
