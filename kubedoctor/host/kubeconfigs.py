"""Kubeconfigs as facts: what each refers to, whose certificates are in it, and nothing that could be used.

Of a key the hash of its public half is kept, of tokens and passwords that there is one, of an exec plugin the command's
name and where it is found; it is never run. What kubectl 1.37 refuses to load is Malformed.
"""

from __future__ import annotations

import binascii
import os
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from kubedoctor.facts import Absent, FactError, Look, Malformed, fact
from kubedoctor.host.certificates import CertificateFact, parse_certificates
from kubedoctor.host.documents import Value, at, mapping, parse_document
from kubedoctor.host.errors import printable
from kubedoctor.host.files import FileKind, read_file, stat_file
from kubedoctor.host.keys import PublicKeyFact, parse_keys
from kubedoctor.records import dataclass

MOST = 1000
"""Entries of one kind that are read."""
_STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PORTS = {"https": 443, "http": 80}

_T = TypeVar("_T", bound="KubeconfigCluster | KubeconfigUser | KubeconfigContext")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigCluster:
    """Where to go and whom to trust there. Paths are absolute; `ca` is what is embedded; `problem`: unusable, why."""

    name: str
    server: str = ""
    ca_file: str = ""
    ca: tuple[CertificateFact, ...] = ()
    insecure: bool = False
    server_name: str = ""  # tls-server-name: what the certificate has to be for, instead of the server's host
    proxy_url: str = ""
    problem: str = ""

    @property
    def scheme(self) -> str:
        """The server's `https` or `http`, which client-go chooses when it is not written."""
        if "://" in self.server:
            return self.server.partition("://")[0].lower()
        return "https" if self.ca or self.ca_file or self.insecure else "http"

    @property
    def host(self) -> str:
        """The host of the server, without brackets; empty when there is none."""
        return _split(self.server)[0]

    @property
    def port(self) -> int:
        """The port of the server."""
        return _split(self.server)[1] or _PORTS.get(self.scheme, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigUser:
    """Who one is. `certificates` and `key` are what is embedded; `problem`: unusable, why."""

    name: str
    certificate_file: str = ""
    certificates: tuple[CertificateFact, ...] = ()
    key_file: str = ""
    key: PublicKeyFact | None = None
    has_token: bool = False
    token_file: str = ""
    has_password: bool = False
    auth_provider: str = ""
    exec_command: str = ""
    exec_path: str | None = ""  # where the command is; empty: nowhere; None: we may not look
    problem: str = ""

    @property
    def has_credentials(self) -> bool:
        """Whether it is anybody at all."""
        certificate = self.certificate_file or self.certificates
        other = self.token_file or self.exec_command or self.auth_provider
        return bool(certificate or other or self.has_token or self.has_password or self.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigContext:
    """A cluster and a user by their names."""

    name: str
    cluster: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigFact:
    """A kubeconfig. `mode` is the permission bits of the file, `uid` its owner."""

    path: str
    current: str = ""
    clusters: tuple[KubeconfigCluster, ...] = ()
    users: tuple[KubeconfigUser, ...] = ()
    contexts: tuple[KubeconfigContext, ...] = ()
    mode: int = 0
    uid: int = -1

    @property
    def context(self) -> KubeconfigContext | None:
        """The current context; None when there is none of that name."""
        return _named(self.contexts, self.current)

    @property
    def cluster(self) -> KubeconfigCluster | None:
        """The cluster of the current context."""
        return _named(self.clusters, self.context.cluster) if self.context else None

    @property
    def user(self) -> KubeconfigUser | None:
        """The user of the current context."""
        return _named(self.users, self.context.user) if self.context else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the current context cannot be used, one line each; nothing of other contexts."""
        if not self.current:
            return ("no current-context is set",)
        context = self.context
        if context is None:
            return (f"the current context `{self.current}` does not exist",)
        return tuple(dict.fromkeys([*_of_cluster(self, context), *_of_user(self, context)]))

    @property
    def dangling(self) -> tuple[str, ...]:
        """References of the other contexts that lead nowhere."""
        others = [one for one in self.contexts if one.name != self.current]
        return tuple(
            f"context `{one.name}` refers to {kind} `{name}`, which does not exist"
            for one in others
            for kind, name, known in (("cluster", one.cluster, self.clusters), ("user", one.user, self.users))
            if name and _named(known, name) is None
        )


def _of_cluster(config: KubeconfigFact, context: KubeconfigContext) -> list[str]:
    if not context.cluster:
        return [f"context `{context.name}` has no cluster"]
    cluster = config.cluster
    if cluster is None:
        return [f"context `{context.name}` refers to cluster `{context.cluster}`, which does not exist"]
    if cluster.problem:
        return [f"cluster `{cluster.name}`: {cluster.problem}"]
    return [] if cluster.host else [f"cluster `{cluster.name}` has no server"]


def _of_user(config: KubeconfigFact, context: KubeconfigContext) -> list[str]:
    if not context.user:
        return [f"context `{context.name}` has no user"]
    user = config.user
    if user is None:
        return [f"context `{context.name}` refers to user `{context.user}`, which does not exist"]
    if user.problem:
        return [f"user `{user.name}`: {user.problem}"]
    return [] if user.has_credentials else [f"user `{user.name}` has no credentials"]


def _named(entries: tuple[_T, ...], name: str) -> _T | None:
    return next((one for one in entries if one.name == name), None)


def _split(server: str) -> tuple[str, int]:
    try:
        parts = urlsplit(server if "://" in server else f"//{server}")
        return parts.hostname or "", parts.port or 0
    except ValueError:
        return "", 0


# --- reading ----------------------------------------------------------------------------------------------------------


@fact("host.kubeconfig")
def kubeconfig(look: Look, path: str, root: int = 0) -> KubeconfigFact:  # noqa: ARG001 - asks no other fact
    """What a kubeconfig says, *path* as seen from the root directory of process *root*."""
    content = read_file(path, root=root)
    status = stat_file(path, root=root, follow=True)
    found = parse_kubeconfig(content, path, status.mode)
    users = tuple(replace(user, exec_path=_find(user.exec_command, path, root)) for user in found.users)
    return replace(found, users=users, mode=status.mode, uid=status.uid)


def parse_kubeconfig(content: bytes, path: str, mode: int = 0) -> KubeconfigFact:
    """Return what the text says; raise Malformed for what kubectl would not load. Exec plugins are not looked for."""
    shown = printable(path)
    top = parse_document(content, shown)
    if top is not None and not isinstance(top, dict | list):
        raise Malformed(f"{shown} is not a kubeconfig: its top level is no mapping")
    if (kind := at(top, "kind")) not in (None, "", "Config"):
        raise Malformed(f"{shown} is not a kubeconfig: its kind is `{printable(str(kind))}`")
    directory = os.path.dirname(path)  # noqa: PTH120 - it may be a path of another root, so a string
    return KubeconfigFact(
        path=shown,
        current=_Entry(mapping(top), f"{shown}").text("current-context"),
        clusters=tuple(_cluster(entry, name, directory) for name, entry in _entries(top, "cluster", shown)),
        users=tuple(_user(entry, name, directory, mode) for name, entry in _entries(top, "user", shown)),
        contexts=tuple(
            KubeconfigContext(name=name, cluster=entry.text("cluster"), user=entry.text("user"))
            for name, entry in _entries(top, "context", shown)
        ),
    )


class _Entry:
    """A mapping whose fields have types; what has another is Malformed, as for kubectl."""

    def __init__(self, fields: dict[str, Value], what: str) -> None:
        self._fields = fields
        self._what = what

    def text(self, name: str) -> str:
        """Return the field as it is printed, empty when it is not there."""
        return printable(self.secret(name))

    def secret(self, name: str) -> str:
        """Return the whole field."""
        value = self._fields.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Malformed(f"{self._what}: {name} is no text")
        return value

    def flag(self, name: str) -> bool:
        """Return a field that is true or false."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise Malformed(f"{self._what}: {name} is neither true nor false")
        return bool(value)

    def data(self, name: str) -> bytes:
        """Return the bytes of a field in base64."""
        text = self.secret(name).replace("\n", "").replace("\r", "")
        try:
            return binascii.a2b_base64(text.encode(), strict_mode=True) if text else b""
        except (binascii.Error, ValueError):
            raise Malformed(f"{self._what}: {name} is not base64") from None

    def below(self, name: str) -> _Entry:
        """Return the mapping under a field, empty when it is not there."""
        return _Entry(_mapping(self._fields.get(name), f"{self._what}: {name}"), f"{self._what}: {name}")

    def file(self, name: str, directory: str) -> str:
        """Return a path, made absolute as clientcmd does: beside the kubeconfig."""
        path = self.text(name)
        return os.path.normpath(os.path.join(directory, path)) if path else ""  # noqa: PTH118 - of another root

    def has(self, name: str) -> bool:
        """Return whether the field says anything."""
        return self._fields.get(name) not in (None, "", {}, [])


def _mapping(value: Value, what: str) -> dict[str, Value]:
    if value is not None and not isinstance(value, dict):
        raise Malformed(f"{what} is no mapping")
    return value or {}


def _entries(top: Value, kind: str, what: str) -> list[tuple[str, _Entry]]:
    section = at(top, f"{kind}s") or []
    if not isinstance(section, list):
        raise Malformed(f"{what}: {kind}s is no list")
    if len(section) > MOST:
        raise Malformed(f"{what} has more than {MOST} {kind}s")
    found: dict[str, _Entry] = {}
    for number, item in enumerate(section, 1):
        where = f"{what}: {kind} {number}"
        fields = _mapping(item, where)
        name = _Entry(fields, where).text("name")
        if name in found:
            raise Malformed(f"{what} has two {kind}s `{name}`")
        found[name] = _Entry(_mapping(fields.get(kind), where), f"{what}: {kind} `{name}`")
    return list(found.items())


def _cluster(entry: _Entry, name: str, directory: str) -> KubeconfigCluster:
    data = entry.data("certificate-authority-data")
    ca, problem = _certificates(data, "certificate-authority-data")
    file = entry.file("certificate-authority", directory)
    insecure = entry.flag("insecure-skip-tls-verify")
    if insecure and (data or file):
        problem = problem or "it has a certificate authority and insecure-skip-tls-verify, which exclude each other"
    return KubeconfigCluster(
        name=name,
        server=_url(entry.text("server")),
        ca_file="" if data else file,
        ca=ca,
        insecure=insecure,
        server_name=entry.text("tls-server-name"),
        proxy_url=_url(entry.text("proxy-url")),
        problem=problem,
    )


def _user(entry: _Entry, name: str, directory: str, mode: int) -> KubeconfigUser:
    data, key_data = entry.data("client-certificate-data"), entry.data("client-key-data")
    certificates, problem = _certificates(data, "client-certificate-data")
    key, key_problem = _key(key_data, mode)
    files = [entry.file(field, directory) for field in ("client-certificate", "client-key")]
    problem = problem or key_problem or _half(bool(data or files[0]), bool(key_data or files[1]))
    plugin = entry.below("exec")
    return KubeconfigUser(
        name=name,
        certificate_file="" if data else files[0],
        certificates=certificates,
        key_file="" if key_data else files[1],
        key=key,
        has_token=entry.has("token"),
        token_file=entry.file("tokenFile", directory),
        has_password=entry.has("username") or entry.has("password"),
        auth_provider=entry.below("auth-provider").text("name"),
        exec_command=plugin.text("command"),
        problem=problem
        or ("its exec plugin has no command" if entry.has("exec") and not plugin.has("command") else ""),
    )


def _half(certificate: bool, key: bool) -> str:
    if certificate == key:
        return ""
    return "it has a client certificate and no key" if certificate else "it has a client key and no certificate"


def _certificates(data: bytes, what: str) -> tuple[tuple[CertificateFact, ...], str]:
    try:
        return (parse_certificates(data, what) if data else ()), ""
    except Malformed as problem:
        return (), problem.reason


def _key(data: bytes, mode: int) -> tuple[PublicKeyFact | None, str]:
    if not data:
        return None, ""
    try:
        keys = parse_keys(data, "client-key-data", mode)
    except Malformed as problem:
        return None, problem.reason
    key = next((key for key in keys if key.private), None)
    return key, "" if key else "client-key-data holds no private key"


def _url(text: str) -> str:
    """Return a URL without what may be a secret in it: user, password, query."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", "")).removeprefix("//")
    except ValueError:
        return ""


def _find(command: str, kubeconfig_path: str, root: int) -> str | None:
    """Return where an exec plugin's command is, empty when it is nowhere, None when that cannot be told."""
    if not command:
        return ""
    missing: str | None = ""
    directories = [os.path.dirname(kubeconfig_path)] if "/" in command else _search_path(root).split(":")  # noqa: PTH120
    for directory in directories:
        path = os.path.normpath(os.path.join(directory, command))  # noqa: PTH118 - of another root
        try:
            status = stat_file(path, root=root, follow=True)
        except (Absent, Malformed):
            continue
        except FactError:
            missing = None
            continue
        if status.kind is FileKind.FILE and status.mode & 0o111:
            return path
    return missing


def _search_path(root: int) -> str:
    """Return PATH of the process, and the usual places: on the host the reader may have another PATH than we have."""
    if not root:
        return f"{os.environ.get('PATH', '')}:{_STANDARD_PATH}"
    try:
        for word in read_file(f"/proc/{root}/environ").split(b"\0"):
            if word.startswith(b"PATH="):
                return os.fsdecode(word[5:])
    except FactError:
        pass
    return _STANDARD_PATH
