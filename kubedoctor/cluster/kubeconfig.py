"""Kubeconfigs: text that people read, so written as text."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

from kubedoctor.cluster.files import write_atomically
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

ADMIN = "admin"

_PLAIN = re.compile(r"[/A-Za-z]([A-Za-z0-9/_.@+=:-]*[A-Za-z0-9/_.@+=-])?")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # what YAML 1.1 takes for something else
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class EntryNames:
    """The names of the entries of one user of a cluster, in its own kubeconfig and wherever it is merged."""

    cluster: str
    user: str

    @property
    def context(self) -> str:
        """The context of the administrator has the cluster's name, which is what people type."""
        return self.cluster if self.user == f"{self.cluster}-{ADMIN}" else self.user


def entry_names(cluster: str, user: str = ADMIN) -> EntryNames:
    """Return `kubedoctor-<cluster>` and `kubedoctor-<cluster>-<user>`.

    The default cluster has the prefix too: a context `local` in the file of a person would tell nobody whose it is.
    """
    return EntryNames(f"kubedoctor-{cluster}", f"kubedoctor-{cluster}-{user}")


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    ca_file: str,
    cert_file: str,
    key_file: str,
    cluster: str,
    user: str,
    embed: bool,
    owner: tuple[int, int] | None = None,
) -> bool:
    """Write the kubeconfig of *user* of *cluster* (0600) and return whether it differs from what was there.

    With *embed* it holds the certificates and the key themselves and works anywhere; else it names their files and
    stays right when they are renewed. *owner* (uid, gid) is who may read it when that is not us: who called sudo.
    """
    files = (ca_file, cert_file, key_file)
    access = Access(server, *(embed_file(Path(file)) for file in files)) if embed else Access(server, *files)
    names = entry_names(cluster, user)
    text = kubeconfig(entries(names, access, embed=embed), names)
    changed = _differs(path, text)
    if changed:
        write_atomically(path, text)
    found = path.stat()
    if owner is not None and (found.st_uid, found.st_gid) != owner:
        os.chown(path, *owner, follow_symlinks=False)
    return changed


def _differs(path: Path, text: str) -> bool:
    try:
        return path.is_symlink() or path.stat().st_mode & 0o777 != 0o600 or path.read_text() != text
    except (FileNotFoundError, UnicodeDecodeError):
        return True


@dataclass(frozen=True, slots=True)
class Access:
    """How a cluster is reached: its URL, then authority, certificate and key, as paths or as base64."""

    server: str
    authority: str
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Entries:
    """The items of `clusters`, `contexts` and `users`: lines without indent."""

    cluster: list[str]
    context: list[str]
    user: list[str]


def entries(names: EntryNames, access: Access, *, embed: bool) -> Entries:
    """Return the entries of one user; *embed* tells that *access* holds base64 and not paths."""
    data = "-data" if embed else ""
    return Entries(
        cluster=[
            "- cluster:",
            f"    certificate-authority{data}: {scalar(access.authority)}",
            f"    server: {scalar(access.server)}",
            f"  name: {scalar(names.cluster)}",
        ],
        context=[
            "- context:",
            f"    cluster: {scalar(names.cluster)}",
            f"    user: {scalar(names.user)}",
            f"  name: {scalar(names.context)}",
        ],
        user=[
            f"- name: {scalar(names.user)}",
            "  user:",
            f"    client-certificate{data}: {scalar(access.certificate)}",
            f"    client-key{data}: {scalar(access.key)}",
        ],
    )


def kubeconfig(items: Entries, names: EntryNames) -> str:
    """Return a whole kubeconfig as text."""
    head = ["apiVersion: v1", "kind: Config"]
    clusters, contexts = ["clusters:", *items.cluster], ["contexts:", *items.context]
    current = [f"current-context: {scalar(names.context)}"]
    return "\n".join([*head, *clusters, *contexts, *current, "users:", *items.user, ""])


def scalar(text: str) -> str:
    """Return *text* as a YAML scalar: plain where it stays a string, else quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise KubedoctorError(f"{text!r} is not UTF-8, and no kubeconfig can hold it") from None
    quoted = json.dumps(text, ensure_ascii=False)  # YAML's double quotes know all of JSON's escapes
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def embed_file(file: Path) -> str:
    """Return the content of *file* as kubeconfigs embed it; raise KubedoctorError."""
    try:
        return base64.b64encode(file.read_bytes()).decode()
    except OSError as problem:
        raise KubedoctorError(
            f"{file} cannot be read: {problem.strerror or problem}", hint="`kubedoctor up` makes what is missing"
        ) from None
