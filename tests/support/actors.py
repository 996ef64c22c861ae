"""Processes that look like components to whoever looks at them, and do nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping

from support.boxes import Box

_ACTOR = """
import json, os, resource, signal, sys
name, *flags = json.loads(sys.argv[1])
padding = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY,) * 2)  # it limits the size of the arguments
flags += ["--padding=" + "x" * 100_000] * padding
stay = "import signal; print('ready', flush=True); signal.pause()"
os.execv(sys.executable, [name, "-Ic", stay, *flags])
"""


def actor(box: Box, name: str, *flags: str, env: Mapping[str, str] | None = None, padding: int = 0) -> None:
    """Start a process that is called *name* and has *flags*, and *padding* hundred thousands of bytes of others."""
    box.python(_ACTOR, json.dumps([name, *flags]), padding, env=env)


_LISTENER = """
import os, signal, socket, sys
path = sys.argv[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
print("ready", flush=True)
signal.pause()
"""


def silent_listener(box: Box, path: str) -> None:
    """Listen at a unix socket, and never answer anybody."""
    box.python(_LISTENER, path)


_SOCKETS = """
import resource, signal, socket, sys
first, count = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100,) * 2)
kept = []
for port in range(first, first + count):
    one = socket.socket()
    one.bind(("127.0.0.1", port))
    one.listen(1)
    kept.append(one)
print("ready", flush=True)
signal.pause()
"""


def sockets(box: Box, count: int, first: int = 20000) -> None:
    """Listen on *count* ports."""
    box.python(_SOCKETS, first, count)


def nat_rules(chains: int, rules: int) -> str:
    """Return what `iptables-restore` takes: *chains* of *rules* each, as kube-proxy names them."""
    lines = ["*nat"]
    names = [f"KUBE-SVC-{number:016d}" for number in range(chains)]
    lines += [f":{name} - [0:0]" for name in names]
    for number, name in enumerate(names):
        target = f"10.{number // 250}.{number % 250}"
        lines += [f"-A {name} -d {target}.{rule % 250}/32 -p tcp --dport {rule + 1} -j RETURN" for rule in range(rules)]
    return "\n".join([*lines, "COMMIT", ""])


_CROWD = """
import json, os, signal, sys
reading, writing = os.pipe()  # nothing is ever written: they wait for it
os.chdir(sys.argv[1])
with open("server", "w") as script:  # a word that only k3s takes for anything
    script.write("read line")
for name, flags, variables in json.load(open("crowd.json")):
    words = [os.fsencode(word) for word in (name, "server", *flags)]
    environment = {os.fsencode(key): os.fsencode(value) for key, value in variables.items()}
    os.posix_spawn("/bin/sh", words, environment, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
print("ready", flush=True)
signal.pause()
"""


def crowd(box: Box, people: Iterable[tuple[str, Iterable[str], Mapping[str, str]]]) -> None:
    """Start many actors of little weight, each with its name, flags and environment; surrogates are bytes."""
    directory = box.directory / "crowd"
    directory.mkdir()
    listed = [(name, list(flags), dict(env)) for name, flags, env in people]
    (directory / "crowd.json").write_text(json.dumps(listed))
    box.python(_CROWD, directory)


_PASSERS_BY = """
import json, os, sys
names = json.loads(sys.argv[1])
nothing = os.open("/dev/null", os.O_RDONLY)
print("ready", flush=True)
while True:
    for name in names:
        words = [name, "-c", "read line", "--config=/etc/kubernetes/x", "--data-dir=/var/lib/etcd"]
        child = os.posix_spawn("/bin/sh", words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0)])
        os.waitpid(child, 0)
"""


def passers_by(box: Box, *names: str) -> None:
    """Start actors that end at once, one after the other, without end."""
    box.python(_PASSERS_BY, json.dumps(names))


_SILENT_PORTS = """
import signal, socket, sys
kept = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
signal.pause()
"""


def silent_ports(box: Box, *ports: int) -> None:
    """Take connections at ports, and never answer anybody."""
    box.python(_SILENT_PORTS, *ports)


_DEAD_MOUNT = """
import ctypes, os, select, signal, struct, sys
taking, *paths = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
poll = select.poll()
for path in paths:
    os.makedirs(path, exist_ok=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    if libc.mount(b"dead", path.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    poll.register(server, select.POLLIN)
print("ready", flush=True)
while taking == "True":
    for server, _ in poll.poll():
        _, kind, number = struct.unpack_from("=IIQ", os.read(server, 1 << 20))
        if kind == 26:  # FUSE_INIT: a server that has not answered this one is asked nothing; linux/fuse.h
            body = struct.pack("=IIIIHHI", 7, 31, 0, 0, 1, 1, 4096).ljust(64, b"\\0")
            os.write(server, struct.pack("=IiQ", 16 + len(body), 0, number) + body)
signal.pause()  # held open, and never read from
"""


def dead_mounts(box: Box, *paths: str, taking: bool = False) -> None:
    """Mount at each path the file system of a server that never answers, as NFS is when its server has gone.

    With *taking* it takes the questions: who has asked waits for the answer in state D, and even SIGKILL does not end
    that, only the end of the server.
    """
    box.python(_DEAD_MOUNT, taking, *paths)


_STRANGE = """
import os, shutil, sys
kind, *paths = sys.argv[1:]
for path in paths:
    if os.path.lexists(path):
        os.unlink(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "sparse":
        with open(path, "w") as stream:
            stream.truncate(8 << 30)
    else:
        os.symlink({"device": "/dev/zero", "loop": path, "kernel": "/proc/kmsg"}[kind], path)
"""


def strange_files(box: Box, kind: str, *paths: str) -> None:
    """Put at each path what is no plain file of a usual size: fifo, sparse (8 GiB), device, loop, kernel (a stream)."""
    box.run(sys.executable, "-c", _STRANGE, kind, *paths)
