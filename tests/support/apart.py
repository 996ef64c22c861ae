"""The interpreter of one of pytest's workers, which has a machine of its own.

usage: pytest --dist loadfile --tx '2*popen//python=PYTHON tests/support/apart.py'

Tests compare the whole machine before and after, and look for all that runs on it: two at a time would see each other.
So each worker has its own processes, network, mounts, System V objects, /run and /dev/shm. As an ordinary user, who may
not make these, it is an interpreter like any other.
"""

from __future__ import annotations

import os
import subprocess
import sys

ADDRESS = "198.18.254.1/24"
"""For benchmarks by RFC 2544: nobody's. Components look for an address and a default route."""


def main() -> None:
    if sys.argv[1:2] == ["inside"]:
        sys.exit(inside(sys.argv[2:]))
    if os.geteuid() != 0:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    namespaces = ("--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child")
    os.execvp("unshare", ["unshare", *namespaces, sys.executable, __file__, "inside", *sys.argv[1:]])


def inside(arguments: list[str]) -> int:
    """Set up the machine whose first process we are, run the interpreter, and return its exit status."""
    for kind, place in (("proc", "/proc"), ("tmpfs", "/run"), ("tmpfs", "/dev/shm")):
        run("mount", "-t", kind, "-o", "mode=1777" if place == "/dev/shm" else "nosuid", "apart", place)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "cable")
    run("ip", "link", "set", "cable", "up")
    run("ip", "address", "add", ADDRESS, "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", ADDRESS.rpartition(".")[0] + ".254")
    worker = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ)
    while True:
        child, status = os.wait()  # the orphans of this machine are ours to reap
        if child == worker:
            return os.waitstatus_to_exitcode(status)


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


main()
