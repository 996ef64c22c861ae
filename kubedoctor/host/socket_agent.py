"""Sockets and settings in the network namespaces of others.

A socket belongs to the namespace it was made in, whoever uses it. So an *agent* does nothing but make sockets: a child
process, single-threaded, that has joined one namespace (and, where the kernel asks for it, the user namespace that owns
it) and hands over unconnected sockets by SCM_RIGHTS. All that may take time, or fail oddly, happens at the asker's:
connecting, dumping, parsing. So an agent is never busy, and one that is stopped or dead costs its asker the timeout.
Files below /proc/sys/net belong to the namespace of whoever opens them: an agent opens them, the asker reads.

`net` is the pid of a process in the namespace; 0, like a process in our own, needs no agent. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import field
from typing import NoReturn

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host.errors import as_fact_errors, fact_error
from kubedoctor.records import dataclass

TIMEOUT = 2.0
"""Seconds an answer may take unless told otherwise; an agent answers within a millisecond."""

_REQUEST = struct.Struct("=Qiii")  # number, family, type, protocol; the name of a setting follows where family is -1
_SETTING = -1
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_NAME = 256
_ANSWER = struct.Struct("=Qi")  # number, errno
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS = 0xB701  # linux/nsfs.h
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None, use_errno=True)

Namespace = tuple[int, int]


@dataclass(eq=False, slots=True)
class _Agent:
    pid: int
    channel: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = 0

    def ask(self, family: int, kind: int, protocol: int, timeout: float, name: bytes = b"") -> int:
        """Return the descriptor that answers; raise Silent, or OSError for what the kernel refused."""
        until = time.monotonic() + timeout
        if not self.lock.acquire(timeout=timeout):
            raise Silent("the agent in that network namespace does not answer")
        try:
            self.number += 1
            self.channel.settimeout(timeout)
            self.channel.send(_REQUEST.pack(self.number, family, kind, protocol) + name)
            while True:
                self.channel.settimeout(max(until - time.monotonic(), 0.001))
                data, descriptors, _, _ = socket.recv_fds(self.channel, _ANSWER.size, 1)
                if len(data) != _ANSWER.size:
                    raise Silent("the agent in that network namespace has ended")
                number, refusal = _ANSWER.unpack(data)
                if number == self.number:
                    break
                for late in descriptors:  # the answer to somebody who did not wait for it
                    os.close(late)
        except TimeoutError:
            raise Silent("the agent in that network namespace does not answer") from None
        except OSError as problem:
            raise Silent(f"the agent in that network namespace has ended: {problem.strerror}") from problem
        finally:
            self.lock.release()
        if refusal or not descriptors:
            raise OSError(refusal, os.strerror(refusal))
        return descriptors[0]


_agents: dict[Namespace, _Agent] = {}
_places: dict[int, Namespace | FactError] = {}
"""What `prepare` has found of each pid: its namespace, or why it cannot be entered."""


def prepare(nets: Iterable[int]) -> None:
    """Fork an agent for each network namespace of these processes that is not ours and has none yet.

    To be called before there is any thread, since it forks. What cannot be entered is told when it is asked for.
    """
    ours = _identity("self")
    for net in nets:
        if not net:
            continue
        try:
            descriptor = os.open(f"/proc/{net}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as problem:
            _places[net] = fact_error(problem, f"the network namespace of process {net}")
            continue
        try:
            status = os.fstat(descriptor)
            namespace = (status.st_dev, status.st_ino)
            _places[net] = namespace
            if namespace != ours and namespace not in _agents:
                _agents[namespace] = _fork(descriptor)
        finally:
            os.close(descriptor)


def dismiss() -> None:
    """End all agents. They end by themselves when we do."""
    for agent in _agents.values():
        agent.channel.close()
        with suppress(ProcessLookupError):
            os.kill(agent.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(agent.pid, 0)
    _agents.clear()
    _places.clear()


def open_socket(family: int, kind: int, protocol: int = 0, *, net: int = 0, timeout: float = TIMEOUT) -> socket.socket:
    """Return a new unconnected socket of the network namespace of process *net*, blocking, closed by the caller.

    Raise Denied, Absent (no such process, no such protocol here), Silent.
    """
    agent = _agent_for(net)
    try:
        if agent is None:
            made = socket.socket(family, kind, protocol)
        else:
            made = socket.socket(fileno=agent.ask(family, kind, protocol, timeout))
    except OSError as problem:
        raise _refused(problem.errno or 0) from problem
    made.settimeout(timeout)
    return made


def read_network_setting(name: str, *, net: int = 0, timeout: float = TIMEOUT) -> bytes:
    """Return the value of a setting below /proc/sys, which begins with `net/`; raise Absent, Denied, Silent."""
    path = f"/proc/sys/{name}"
    agent = _agent_for(net)
    with as_fact_errors(path):
        if agent is None:
            descriptor = os.open(path, _READ)
        else:
            descriptor = agent.ask(_SETTING, 0, 0, timeout, os.fsencode(path)[:_NAME])
        try:
            return os.read(descriptor, 64 << 10)
        finally:
            os.close(descriptor)


def _agent_for(net: int) -> _Agent | None:
    if not net:
        return None
    place = _places.get(net)
    if place is None:
        place = _places[net] = _look_up(net)
    if isinstance(place, FactError):
        raise place
    if place == _identity("self"):
        return None
    if place not in _agents:
        raise Absent(f"no agent was sent into the network namespace of process {net}")
    return _agents[place]


def _look_up(net: int) -> Namespace | FactError:
    try:
        return _identity(str(net))
    except OSError as problem:
        return fact_error(problem, f"the network namespace of process {net}")


def _identity(process: str) -> Namespace:
    status = os.stat(f"/proc/{process}/ns/net")  # noqa: PTH116 - what it leads to is wanted
    return status.st_dev, status.st_ino


def _refused(number: int) -> FactError:
    text = os.strerror(number)
    if number in (errno.EPERM, errno.EACCES):
        return Denied("needs root to use that network namespace" if os.geteuid() else f"refused, even to root: {text}")
    if number in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
        return Absent(f"the kernel has no such protocol: {text}")
    return Malformed(f"no socket can be made: {text}")


# --- the agent --------------------------------------------------------------------------------------------------------


def _fork(namespace: int) -> _Agent:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(theirs, namespace, parent)
    theirs.close()
    return _Agent(pid, ours)


def _serve(channel: socket.socket, namespace: int, parent: int) -> NoReturn:
    """Answer until the asker is gone. Nothing of the asker's is kept: no lock, no pipe, no handler of a signal."""
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
        problem = _enter(namespace)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # last: joining a user namespace takes it away
        _libc.prctl(_PR_SET_NAME, b"kd-agent", 0, 0, 0)
        kept = channel.fileno()
        os.closerange(0, kept)
        os.closerange(kept + 1, 1 << 20)
        while os.getppid() == parent:
            request = channel.recv(_REQUEST.size + _NAME)
            if len(request) < _REQUEST.size:
                break
            _answer(channel, problem, request[_REQUEST.size :], *_REQUEST.unpack_from(request))
    finally:
        os._exit(0)


def _enter(namespace: int) -> int:
    """Join the network namespace, through the user namespace that owns it if need be; return the errno of a refusal."""
    if _libc.setns(namespace, _CLONE_NEWNET) == 0:
        return 0
    if ctypes.get_errno() != errno.EPERM:
        return ctypes.get_errno()
    try:
        owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    except OSError as refused:
        return refused.errno or errno.EPERM
    if _libc.setns(owner, _CLONE_NEWUSER) != 0 or _libc.setns(namespace, _CLONE_NEWNET) != 0:
        return ctypes.get_errno()
    return 0


def _answer(
    channel: socket.socket, problem: int, name: bytes, number: int, family: int, kind: int, protocol: int
) -> None:
    if not problem:
        try:
            made = os.open(name, _READ) if family == _SETTING else socket.socket(family, kind, protocol).detach()
        except OSError as refused:
            problem = refused.errno or errno.EPERM
        else:
            try:
                socket.send_fds(channel, [_ANSWER.pack(number, 0)], [made])
            finally:
                os.close(made)
            return
    channel.send(_ANSWER.pack(number, problem))
