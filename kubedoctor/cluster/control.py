"""The control socket: who listens on it, who may speak, and the client that commands use. Standard library only."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from kubedoctor.cluster.channel import Channel, ChannelClosed, ProtocolError
from kubedoctor.errors import AlreadyRunning, KubedoctorError, NotRunning

__all__ = ["Channel", "ChannelClosed", "ControlClient", "ProtocolError", "allowed", "connect", "listen", "peer_uid"]

VERSION = 1
_PATH_BYTES = 107  # sun_path has 108, the last one is NUL
_BACKLOG = 128


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield an address for *path* that fits into sun_path, by way of its open directory when the path is too long."""
    if len(os.fsencode(path)) <= _PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path) -> socket.socket:
    """Return a listening socket at *path* that only its owner and root can connect to.

    A socket left over by a dead process is replaced. Raise AlreadyRunning when somebody listens there, KubedoctorError
    when something else stands at the path, or others could put something there: the directory has to be ours.
    """
    directory = path.parent.stat()
    if directory.st_uid != os.geteuid() or directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KubedoctorError(
            f"others can write to {path.parent}", hint=f"chown {os.geteuid()} {path.parent} && chmod 700 {path.parent}"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before bind: Linux makes the file with this mode, not with 0777 first
        with _address(path) as address:
            try:
                listener.bind(address)
            except OSError:
                if not path.is_symlink() and not path.exists():
                    raise
                _remove_stale(path)
                listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise KubedoctorError(f"{path} is not a socket", hint=f"move it away: mv {path} {path}.old")
    try:
        connect(path, timeout=1).close()
    except NotRunning:
        path.unlink(missing_ok=True)
    else:
        raise AlreadyRunning(f"another process listens on {path}")


def connect(path: Path, timeout: float = 5.0) -> socket.socket:
    """Return a connection to the socket at *path*, within *timeout* seconds.

    Raise NotRunning when nobody listens, KubedoctorError when the listener is somebody else's or does not accept.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not settimeout: with a full backlog a non-blocking connect gives up at once, a blocking one waits this long.
        milliseconds = max(1, int(timeout * 1000))
        interval = struct.pack("@ll", milliseconds // 1000, milliseconds % 1000 * 1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        with _address(path) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        connection.close()
        raise NotRunning(f"nothing listens on {path}") from error
    except BlockingIOError as error:
        connection.close()
        raise KubedoctorError(f"the keeper does not take connections on {path} within {timeout:g} s") from error
    except OSError as error:
        connection.close()
        hint = (
            "run as the user it belongs to" if isinstance(error, PermissionError) else f"see {path.parent}/keeper.log"
        )
        raise KubedoctorError(f"cannot connect to {path}: {error.strerror}", hint=hint) from error
    return connection


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process that connected, as this user namespace sees it.

    The pid that comes with it is 0 across pid namespaces and given to others in time: it is never used.
    """
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def allowed(uid: int) -> bool:
    """Return whether this user may command us: our own, and root."""
    return uid in (0, os.geteuid())


class ControlClient:
    """A conversation of a command with the keeper of a place; one request at a time."""

    def __init__(self, path: Path, *, timeout: float = 5.0, connection: socket.socket | None = None) -> None:
        """Connect to the control socket at *path*, or talk over *connection* if given: a lifeline.

        Raise NotRunning when no keeper listens there.
        """
        self._path = path
        self._channel = Channel(connect(path, timeout) if connection is None else connection)
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the conversation."""
        self._channel.close()

    def request(
        self, name: str, *, descriptors: Sequence[int] = (), timeout: float | None = 30.0, **fields: Any
    ) -> dict[str, Any]:
        """Return the answer to a request, without its `id` and `ok`; *timeout* in seconds, None waits however long.

        Raise KubedoctorError with the keeper's own words when it refuses, when it ends before it answers, or is silent.
        """
        number = next(self._numbers)
        deadline = None if timeout is None else time.monotonic() + timeout
        self._send({"v": VERSION, "id": number, "request": name, **fields}, descriptors)
        while True:
            for answer in self._receive(deadline, name):
                if answer.get("id", number) != number or "event" in answer:
                    continue  # an event, or the late answer to a request given up on
                if answer.get("ok") is not True:
                    raise KubedoctorError(
                        str(answer.get("error") or f"the keeper refused `{name}`"), hint=str(answer.get("hint") or "")
                    )
                return {key: value for key, value in answer.items() if key not in ("id", "ok")}

    def events(self, since: int = 0, *, deadline: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield every event after number *since*, old ones first, then new ones as they happen, until the keeper ends.

        Raise KubedoctorError when *deadline*, a `time.monotonic()`, passes.
        """
        number = next(self._numbers)
        self._send({"v": VERSION, "id": number, "request": "events", "since": since})
        while True:
            try:
                messages = self._receive(deadline, "events")
            except _KeeperEnded:
                return
            for message in messages:
                if "event" in message:
                    yield message
                elif message.get("id", number) == number and message.get("ok") is not True:
                    raise KubedoctorError(str(message.get("error")), hint=str(message.get("hint") or ""))

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            self._channel.send(message, descriptors)
        except ChannelClosed as error:
            if self._channel.closed:
                raise _KeeperEnded(f"the conversation with the keeper at {self._path} is over") from error
            # It may have told why before it closed: what it said is still to be received.
        except ProtocolError as error:
            raise KubedoctorError(str(error)) from error

    def _receive(self, deadline: float | None, name: str) -> list[dict[str, Any]]:
        """Return what comes next, at least one message; descriptors are of no use to a command and closed."""
        log = self._path.with_name("keeper.log")
        try:
            while self._channel.wait(None if deadline is None else deadline - time.monotonic()) or (
                deadline is None or time.monotonic() < deadline
            ):
                messages = self._channel.receive()
                for _, descriptors in messages:
                    for descriptor in descriptors:
                        os.close(descriptor)
                if messages:
                    return [message for message, _ in messages]
        except ChannelClosed as error:
            raise _KeeperEnded(f"the keeper ended before it answered `{name}`", hint=f"see {log}") from error
        except ProtocolError as error:
            raise KubedoctorError(f"the answer to `{name}` cannot be read: {error}", hint=f"see {log}") from error
        raise KubedoctorError(f"the keeper has not answered `{name}` in time", hint=f"see {log}")


class _KeeperEnded(KubedoctorError):  # noqa: N818 - a state, not a mistake
    """The other end of the conversation is closed."""
