"""The door to a Kubernetes API: with what a kubeconfig says, and as nobody but the user it names.

What a kubeconfig would have run (`exec`, `auth-provider`) is not run, what it would have gone through (a proxy) is not
gone through: such a kubeconfig is Denied, with the reason. Nothing of an `Access` may be part of a fact.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import urlsplit

from kubedoctor.facts import Denied, Malformed
from kubedoctor.host.documents import Value, at, mapping, parse_document
from kubedoctor.host.errors import printable
from kubedoctor.host.files import read_file
from kubedoctor.host.http import DEADLINE, LIMIT, HttpAnswer, Tls, http_request
from kubedoctor.records import dataclass

_FOREIGN = {
    "exec": "runs a program to get its token, which a check does not do",
    "auth-provider": "gets its token from a provider, which a check does not ask",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where an API is and who we are to it: what the current context of a kubeconfig leads to."""

    server: str
    tls: Tls = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def has_certificate(self) -> bool:
        """Return whether its user is known by a client certificate."""
        return bool(self.tls.certificate)


def read_access(kubeconfig: str, root: int = 0) -> Access:
    """Return what the kubeconfig's current context leads to; files are seen from the root directory of *root*.

    Raise Absent and Denied for files, Denied for users that need a program, Malformed for what leads nowhere.
    """
    what = printable(kubeconfig)
    document = parse_document(read_file(kubeconfig, root=root), what)
    context = _named(document, "contexts", "context", _text(at(document, "current-context")), what)
    cluster = _named(document, "clusters", "cluster", _text(at(context, "cluster")), what)
    user = _named(document, "users", "user", _text(at(context, "user")), what)
    for kind, reason in _FOREIGN.items():
        if user.get(kind):
            raise Denied(f"the user of {what} {reason}")
    if cluster.get("proxy-url"):
        raise Denied(f"the cluster of {what} is behind a proxy, which a check does not use")
    reader = _Reader(kubeconfig, root, what)
    server = _text(cluster.get("server"))
    authority = reader.content(cluster, "certificate-authority")
    return Access(
        server=server.rstrip("/"),
        tls=Tls(
            authority=authority,
            certificate=reader.content(user, "client-certificate"),
            key=reader.content(user, "client-key"),
            name=_text(cluster.get("tls-server-name")) or _host(server, what),
            checked=cluster.get("insecure-skip-tls-verify") is not True,
        ),
        headers=_headers(user, reader),
    )


def api_get(
    access: Access, path: str, *, net: int = 0, root: int = 0, deadline: float = DEADLINE, limit: int = LIMIT
) -> HttpAnswer:
    """Return the answer to a GET of *path*, made in the network namespace of *net*; raise as `http_request` does."""
    return http_request(
        access.server + path,
        net=net,
        root=root,
        tls=access.tls,
        headers={"Accept": "application/json", **access.headers},
        deadline=deadline,
        limit=limit,
    )


def _headers(user: Mapping[str, Value], reader: _Reader) -> dict[str, str]:
    headers = {}
    if token := _text(user.get("token")) or reader.token(_text(user.get("tokenFile"))):
        headers["Authorization"] = f"Bearer {token}"
    elif name := _text(user.get("username")):
        words = f"{name}:{_text(user.get('password'))}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(words).decode()}"
    if impersonated := _text(user.get("as")):
        headers["Impersonate-User"] = impersonated
    if any(not value.isascii() or not value.isprintable() for value in headers.values()):
        raise Malformed(f"the user of {reader.what} has credentials with characters that cannot be sent")
    return headers


@dataclass(frozen=True, slots=True)
class _Reader:
    kubeconfig: str
    root: int
    what: str

    def content(self, entry: Mapping[str, Value], key: str) -> bytes:
        """Return what the entry holds, or what the file holds that it names; the first counts."""
        if data := _text(entry.get(f"{key}-data")):
            try:
                return base64.b64decode(data, validate=True)
            except (ValueError, binascii.Error):
                raise Malformed(f"{self.what} has {key}-data that is no base64") from None
        path = _text(entry.get(key))
        return read_file(self._resolved(path), root=self.root) if path else b""

    def token(self, path: str) -> str:
        if not path:
            return ""
        return read_file(self._resolved(path), root=self.root).decode("latin-1").strip()

    def _resolved(self, path: str) -> str:
        return posixpath.join(posixpath.dirname(self.kubeconfig), path)


def _named(document: Value, section: str, key: str, name: str, what: str) -> dict[str, Value]:
    if not name:
        raise Malformed(f"{what} has no current context" if key == "context" else f"{what} names no {key}")
    entries = at(document, section)
    for entry in entries if isinstance(entries, list) else []:
        if at(entry, "name") == name:
            return mapping(at(entry, key))
    raise Malformed(f"{what} has no {key} `{printable(name)}`")


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _host(server: str, what: str) -> str:
    try:
        host = urlsplit(server).hostname
    except ValueError:
        host = None
    if not host:
        raise Malformed(f"{what} has no server that can be reached")
    return host
