"""Fetching releases: resumed, verified, and only then given their name. The one module here that speaks HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kubedoctor.cluster.binaries import archive, store
from kubedoctor.cluster.binaries.versions import fill
from kubedoctor.components import Download
from kubedoctor.errors import KubedoctorError

Report = Callable[[str, int, int], None]
"""Is told what is being done, and bytes done and in all (0: not known)."""

_TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=None)  # seconds without a single byte, not for the whole
_SMALL_FILE = 1 << 20  # bytes of a checksum file at most
_DIGESTS = {"sha256": 64, "sha512": 128}  # hex digits


class Unavailable(KubedoctorError):  # noqa: N818 - a state, not a mistake
    """The file cannot be had from there now; another source may do."""


class Cancelled(Exception):  # noqa: N818
    """Nobody waits for the download any more."""


def client() -> httpx.Client:
    """Return the client that all downloads of one run share; proxies and CAs come from the usual variables."""
    try:
        return httpx.Client(follow_redirects=True, timeout=_TIMEOUT, event_hooks={"response": [_stay_secure]})
    except (ValueError, ImportError, OSError) as problem:  # a proxy variable or SSL_CERT_FILE that cannot be used
        raise KubedoctorError(
            f"downloads cannot be set up: {problem}", hint="look at HTTPS_PROXY and SSL_CERT_FILE"
        ) from problem


def _stay_secure(response: httpx.Response) -> None:
    if response.next_request and response.url.scheme == "https" and response.next_request.url.scheme != "https":
        raise KubedoctorError(f"{response.url} leads from https to {response.next_request.url}: refused")


def read(http: httpx.Client, url: str) -> str:
    """Return a small text file; raise Unavailable."""
    with _clear_errors(url), http.stream("GET", url) as answer:
        _expect(answer, url, 200)
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > _SMALL_FILE:
                raise KubedoctorError(f"{url} is not what it should be: it is larger than {_SMALL_FILE} bytes")
        return content.decode(errors="replace")


@contextlib.contextmanager
def _clear_errors(url: str) -> Iterator[None]:
    host = urlsplit(url).netloc
    try:
        yield
    except httpx.TimeoutException:
        raise Unavailable(f"{host} did not answer in time ({url})", hint=_OTHER_WAYS) from None
    except (httpx.ConnectError, httpx.ProxyError) as problem:
        raise Unavailable(f"{host} cannot be reached: {problem} ({url})", hint=_OTHER_WAYS) from problem
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as problem:
        raise Unavailable(f"{url}: {problem or type(problem).__name__}", hint=_OTHER_WAYS) from problem


_OTHER_WAYS = (
    "set HTTPS_PROXY, a mirror (KUBEDOCTOR_DOWNLOAD_URL, KUBEDOCTOR_GITHUB_URL), or give binaries with --bin-dir"
)


def _expect(answer: httpx.Response, url: str, *statuses: int) -> None:
    if answer.status_code not in statuses:
        hint = "is it a released version, and built for this machine?" if answer.status_code == 404 else _OTHER_WAYS
        raise Unavailable(f"{url}: {answer.status_code} {answer.reason_phrase}", hint=hint)


class Transfer:
    """One URL and the binaries that come out of it: the file itself, or members of the archive it is."""

    def __init__(self, url: str, version: str, members: Mapping[str, str], recipe: Download) -> None:
        """*members* maps names of binaries to what they are called inside the archive; empty for the file itself."""
        self.url, self.version, self.members = url, version, dict(members)
        self._checksum_url = fill(recipe.checksum_url, version)
        self._folder = recipe.folder
        self._checksum, self._algorithm = recipe.checksum, recipe.algorithm
        base = re.sub(r"[^\w.+-]", "_", _file_name(url))[:100] or "file"
        self._key = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{base}"

    def run(self, http: httpx.Client, report: Report, cancelled: threading.Event) -> None:
        """Bring every binary into the cache, or raise and leave at most the part that came, to be gone on with.

        Raise Unavailable when another source may do, KubedoctorError when something is wrong (a checksum, a full disk).
        """
        with store.lock(self._key, lambda: report("another kubedoctor fetches it, waiting", 0, 0)):
            missing = {name: member for name, member in self.members.items() if not self._is_there(name)}
            if not missing:
                return
            expected = self._expected(http)
            part = store.directory("download") / f"{self._key}~part"
            resumed = self._fetch(http, part, report, cancelled)
            if self._digest(part) != expected and resumed:
                report("what was left of an earlier download does not fit, starting over", 0, 0)
                part.unlink()
                self._fetch(http, part, report, cancelled)
            if (found := self._digest(part)) != expected:
                part.unlink()
                raise KubedoctorError(
                    f"{self.url} has the wrong checksum: {self._algorithm} {found}, expected {expected}",
                    hint="it was removed; a proxy or mirror may change what it serves",
                )
            self._install(part, missing)

    def _is_there(self, name: str) -> bool:
        return store.is_there(name, self.version, self._folder)

    def _install(self, part: Path, missing: Mapping[str, str]) -> None:
        plain = [name for name, member in missing.items() if not member]
        if plain:
            store.install(part, plain[0], self.version, self._folder)
            return
        unpacked = {member: part.with_name(f"{self._key}~{name}") for name, member in missing.items()}
        try:
            with store.clear_errors():
                for left in unpacked.values():
                    left.unlink(missing_ok=True)  # of a run that was killed
                archive.extract(part, unpacked)
            for name, member in missing.items():
                store.install(unpacked[member], name, self.version, self._folder)
        finally:
            for left in (*unpacked.values(), part):
                left.unlink(missing_ok=True)

    def _expected(self, http: httpx.Client) -> str:
        length = _DIGESTS.get(self._algorithm)
        if length is None or not (self._checksum or self._checksum_url):
            raise KubedoctorError(f"{self.url} cannot be verified: no sha256 or sha512 checksum is known for it")
        text = self._checksum or read(http, self._checksum_url)
        found = _checksum_in(text, _file_name(self.url), length)
        if not found:
            raise KubedoctorError(
                f"{self._checksum_url or 'the checksum given'} holds no {self._algorithm} of {self.url}"
            )
        return found

    def _fetch(self, http: httpx.Client, part: Path, report: Report, cancelled: threading.Event) -> bool:
        """Bring the rest of the file; return whether a part of it had been there before."""
        with store.clear_errors():
            have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with _clear_errors(self.url), http.stream("GET", self.url, headers=headers) as answer:
            if have and answer.status_code == 416:  # nothing follows: it was complete, or it is not this file
                return True
            _expect(answer, self.url, 200, *([206] if have else []))
            starts = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            go_on = answer.status_code == 206 and starts is not None and int(starts[1]) == have
            if answer.status_code == 206 and not go_on:
                raise Unavailable(f"{self.url}: the server sent another range than asked for")
            done = have if go_on else 0
            total = done + int(answer.headers.get("Content-Length") or 0) if "Content-Length" in answer.headers else 0
            with store.clear_errors(), part.open("ab" if go_on else "wb") as out:
                part.chmod(0o600)
                try:
                    for chunk in answer.iter_raw():
                        if cancelled.is_set():
                            raise Cancelled
                        out.write(chunk)
                        done += len(chunk)
                        report("", done, total)
                except httpx.HTTPError as problem:  # not Unavailable: going on costs less than any other source
                    raise KubedoctorError(
                        f"{self.url} broke off after {done} of {total or 'unknown'} bytes: {problem}",
                        hint="run it again: it goes on from there",
                    ) from problem
        return go_on

    def _digest(self, path: Path) -> str:
        with store.clear_errors(), path.open("rb") as stream:
            return hashlib.file_digest(stream, self._algorithm).hexdigest()


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _checksum_in(text: str, name: str, length: int) -> str:
    """Return the hex digest of *name* in a checksum file: a bare digest, or lines of digest and file name."""
    for line in text.splitlines():
        digest, _, file = line.strip().partition(" ")
        if re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", digest) and file.strip().lstrip("*").rpartition("/")[2] in (
            "",
            name,
        ):
            return digest.lower()
    return ""
