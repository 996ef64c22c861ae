"""The door to HTTP servers of any network namespace: one request, one answer, all of it within a deadline.

Over TCP, TLS or a unix socket. Nothing is followed: no redirect, no proxy of the environment, no kept connection.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import SplitResult, urlsplit

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host.agent import connect
from kubedoctor.host.errors import fact_error, printable
from kubedoctor.host.files import open_path, read_file, read_text
from kubedoctor.host.http_answer import read_answer
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass

DEADLINE = 2.0
"""Seconds for all of a request; a healthy component needs a hundredth of one."""
LIMIT = 1 << 20
"""Bytes of a body that are read unless told otherwise."""
_PORTS = {"http": 80, "https": 443}
_REFUSALS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED", "HANDSHAKE_FAILURE")
"""What a server that wants a certificate of us, or another one, ends the connection with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Whom we expect and who we are, as PEM.

    `checked`: the server's certificate has to be of the authority, without one of those this machine trusts; otherwise
    any is taken. `name` is what it has to be for, when that matters as well.
    """

    authority: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    name: str = ""
    checked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a server answered; names of headers are in lower case. `certificate` is the server's own, as DER."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: bytes = b""

    @property
    def text(self) -> str:
        """The body as text, with `�` for what is no UTF-8."""
        return self.body.decode(errors="replace")


def tls_files(*, authority: str = "", certificate: str = "", key: str = "", root: int = 0) -> Tls:
    """Return what the files say, seen from the root directory of *root*; raise what `read_file` raises."""
    authority_pem, certificate_pem, key_pem = (
        read_file(path, root=root) if path else b"" for path in (authority, certificate, key)
    )
    return Tls(authority=authority_pem, certificate=certificate_pem, key=key_pem, checked=bool(authority))


def http_request(
    url: str,
    *,
    net: int = 0,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    unix_socket: str = "",
    root: int = 0,
    deadline: float = DEADLINE,
    limit: int = LIMIT,
) -> HttpAnswer:
    """Return the answer to one request for *url*, made in the network namespace of *net*, whatever its status is.

    A name is looked up in the /etc/hosts of *root*, and by DNS in our own network namespace only. With *unix_socket*, a
    path seen from *root*, the URL says only what is asked for.

    Raise Silent when nothing listens, it is not reached, or the answer is not there within *deadline* seconds; Denied
    when it wants another certificate of us; Absent for a name without address; Malformed for what is no HTTP, no TLS,
    no certificate of the authority, or more than *limit* bytes.
    """
    parts = _split(url)
    until = time.monotonic() + deadline
    where = printable(unix_socket or parts.netloc.rpartition("@")[2])
    try:
        context = _context(tls or Tls()) if parts.scheme == "https" else None
        with _connected(parts, net, unix_socket, root, deadline) as stream:
            stream.settimeout(_left(until))
            name = tls.name if tls and tls.name else parts.hostname
            with context.wrap_socket(stream, server_hostname=name) if context else stream as secured:
                secured.settimeout(_left(until))
                with contextlib.suppress(ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):
                    secured.sendall(_request(method, parts, body, headers or {}))
                # Whoever refuses us ends the connection at once: why stands in what can be read of it.
                return _answer(secured, until, limit, head=method == "HEAD")
    except FactError:
        raise
    except TimeoutError:
        raise Silent(f"{where} did not answer within {deadline:g} s") from None
    except ssl.SSLError as problem:
        raise _tls_error(problem, where) from problem
    except ConnectionError as problem:
        raise Silent(f"{where}: {_reason(problem)}") from problem
    except OSError as problem:
        raise fact_error(problem, where) from problem
    except ValueError as problem:
        raise Malformed(f"{where}: {printable(str(problem))}") from problem


def http_get(url: str, *, net: int = 0, tls: Tls | None = None, deadline: float = DEADLINE) -> HttpAnswer:
    """Return the answer to a GET of *url*; raise as `http_request` does."""
    return http_request(url, net=net, tls=tls, deadline=deadline)


# ----------------------------------------------------------------------------------------------------------------------


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        askable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        askable = False
    if not askable or not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed(f"`{printable(redacted([url])[0])}` is no URL that can be asked")
    return parts


def _connected(parts: SplitResult, net: int, unix_socket: str, root: int, deadline: float) -> socket.socket:
    if unix_socket:
        return _unix(unix_socket, root, deadline)
    address = _address(parts.hostname or "", net, root)
    return connect(address, parts.port or _PORTS[parts.scheme], net=net, timeout=deadline)


def _unix(path: str, root: int, deadline: float) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(deadline)
    try:
        handle = open_path(path, root=root)
        try:
            stream.connect(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    except BaseException:
        stream.close()
        raise
    return stream


def _address(host: str, net: int, root: int) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host == "localhost":
        return "127.0.0.1"
    with contextlib.suppress(FactError):
        for line in read_text("/etc/hosts", root=root).splitlines():
            address, *names = line.partition("#")[0].split() or [""]
            if host in names:
                with contextlib.suppress(ValueError):
                    return str(ipaddress.ip_address(address))
    if net:
        raise Absent(f"the address of {printable(host)} is not known: names are not looked up in other namespaces")
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as problem:
        raise Absent(f"{printable(host)} has no address: {problem}") from problem


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.checked and bool(tls.name)
    if not tls.checked:
        context.verify_mode = ssl.CERT_NONE
    elif not tls.authority:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=tls.authority.decode())
        except (ssl.SSLError, ValueError):
            raise Malformed("the authority is no certificate in PEM") from None
    if tls.certificate:
        _load_certificate(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    """Give *context* our certificate and key, which OpenSSL takes from a file only: one that exists in memory."""
    handle = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(handle, tls.certificate + b"\n" + tls.key)
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=_no_password)
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            raise Malformed("the client certificate and its key do not belong together") from problem
        raise Malformed(f"the client certificate or its key cannot be used: {_words(problem)}") from problem
    finally:
        os.close(handle)


def _no_password() -> bytes:
    return b""  # without this OpenSSL asks at the terminal


def _request(method: str, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    host = parts.netloc.rpartition("@")[2]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", "User-Agent: kubedoctor"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method in {"PATCH", "POST", "PUT"}:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header has a line end in it")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", errors="strict") + body


def _answer(stream: socket.socket, until: float, limit: int, *, head: bool) -> HttpAnswer:
    def receive() -> bytes:
        stream.settimeout(_left(until))
        try:
            return stream.recv(65536)
        except ssl.SSLEOFError:  # Go ends a connection without the farewell of TLS
            return b""

    answer, _ = read_answer(receive, limit=limit, head=head)
    certificate = (stream.getpeercert(binary_form=True) or b"") if isinstance(stream, ssl.SSLSocket) else b""
    return HttpAnswer(status=answer.status, body=answer.body, headers=answer.headers, certificate=certificate)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(problem: OSError) -> str:
    return os.strerror(problem.errno).lower() if problem.errno else str(problem)


def _tls_error(problem: ssl.SSLError, where: str) -> FactError:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return Malformed(f"{where}: its certificate is not accepted: {problem.verify_message}")
    reason = problem.reason or ""
    if any(word in reason for word in _REFUSALS):
        return Denied(f"{where} wants a client certificate that it knows the authority of ({_words(problem)})")
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return Malformed(f"{where} does not speak TLS")
    return Silent(f"{where}: TLS failed: {_words(problem)}")


def _words(problem: ssl.SSLError) -> str:
    return (problem.reason or "the connection ended").replace("_", " ").lower()
