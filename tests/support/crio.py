"""A CRI-O on a machine of a test's own, with a registry in its network that has the images of a node.

No package registry that tests may use has CRI-O, so it is used where `crio`, `pinns` and `conmon` are on PATH.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kubedoctor_dns.manifest import IMAGE as COREDNS
from kubedoctor_runtime.component import PAUSE
from support.clusters import eventually
from support.hosts import TESTS, Host
from support.images import PROBE, probe_binary

from kubedoctor.cluster.images import write_archive

SOCKET = "/run/crio/crio.sock"
PROGRAMS = ("crio", "pinns", "conmon")
OWN = ("/run/crio", "/run/containers", "/run/runc", "/var/run/runc", "/var/lib/containers")
"""What CRI-O itself writes when it runs pods, whoever asks for them."""

REGISTRIES = """
import contextlib, pathlib, sys
sys.path[:0] = {path!r}
from support.registry import registry
with contextlib.ExitStack() as stack:
    print(*(stack.enter_context(registry(pathlib.Path(path))).port for path in sys.argv[1:]), flush=True)
    sys.stdin.read()
"""
WITHOUT_HUGE_PAGES = """#!{python} -IS
# runc insists on a limit of huge pages that CRI-O passes on from the kubelet, even where cgroups v1 have no hugetlb.
import json, os, pathlib, sys
if "create" in sys.argv:
    config = pathlib.Path(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    document = json.loads(config.read_text())
    document["linux"].get("resources", {{}}).pop("hugepageLimits", None)
    config.write_text(json.dumps(document))
os.execv({runc!r}, ["runc", *sys.argv[1:]])
"""
CONFIGURATION = """
[crio]
root = "{directory}/storage"
runroot = "/run/containers/storage"
storage_driver = "overlay"
version_file = "/run/crio/version"
version_file_persist = "{directory}/version"
clean_shutdown_file = "{directory}/clean"
[crio.api]
listen = "{socket}"
[crio.runtime]
cgroup_manager = "cgroupfs"
default_runtime = "runc"
pinns_path = "{pinns}"
container_exits_dir = "/run/crio/exits"
container_attach_socket_dir = "/run/crio"
namespaces_dir = "/run/crio/ns"
hooks_dir = []
[crio.runtime.runtimes.runc]
runtime_path = "{directory}/runc"
runtime_type = "oci"
runtime_root = "/run/runc"
monitor_path = "{conmon}"
monitor_cgroup = "pod"
[crio.image]
pause_image = "{pause}"
signature_policy = "{directory}/policy.json"
[crio.network]
network_dir = "/etc/cni/net.d"
plugin_dirs = ["/opt/cni/bin"]
"""


@contextlib.contextmanager
def crio(host: Host) -> Iterator[None]:
    """Run a CRI-O on that machine, as an administrator would, with a registry for what a node needs and the probe."""
    directory = host.directory / "crio"
    directory.mkdir()
    _refuse_names(host, directory)
    with _registry(host, directory):
        found = {name: shutil.which(name) for name in PROGRAMS}
        text = CONFIGURATION.format(directory=directory, socket=SOCKET, pause=PAUSE.name, **found)
        (directory / "crio.conf").write_text(text)
        (directory / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        wrapper = WITHOUT_HUGE_PAGES.format(python=sys.executable, runc=str(host.binaries["runc"]))
        (directory / "runc").write_text(wrapper)
        (directory / "runc").chmod(0o755)
        argv = [str(found["crio"]), "--config", str(directory / "crio.conf"), "--config-dir", ""]
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        with (
            (directory / "log").open("wb") as log,
            subprocess.Popen(
                [*host.prefix, *argv], env=environment, stdout=log, stderr=log, start_new_session=True
            ) as process,
        ):
            try:
                there = [*host.prefix, "test", "-S", SOCKET]
                up = eventually(lambda: subprocess.run(there, check=False).returncode == 0)
                assert up, (directory / "log").read_text()[-2000:]
                yield
            finally:
                process.kill()


def _refuse_names(host: Host, directory: Path) -> None:
    """Have names of the world refused at once there: CRI-O looks for them before it asks the registry it is told."""
    (directory / "resolv.conf").write_text("nameserver 198.18.9.1\n")
    host.run("mount", "--bind", str(directory / "resolv.conf"), "/etc/resolv.conf")


@contextlib.contextmanager
def _registry(host: Host, directory: Path) -> Iterator[None]:
    """Serve the images on the machine's loopback, and tell CRI-O, whose home *directory* is, that they are there."""
    images = {PAUSE: str(host.binaries["pause"]), COREDNS: str(host.binaries["coredns"]), PROBE: probe_binary()}
    archives = []
    for image, binary in images.items():
        archives.append(directory / f"{image.binary}.tar")
        write_archive(archives[-1], [image], {image.binary: binary})
    code = REGISTRIES.format(path=[str(TESTS), str(TESTS.parent)])
    argv = [*host.prefix, sys.executable, "-c", code, *map(str, archives)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            entries = []
            for image, port in zip(images, server.stdout.readline().split(), strict=True):
                name = image.name.rpartition(":")[0]
                location = f"127.0.0.1:{port}/{name.partition('/')[2]}"
                entries.append(f'[[registry]]\nprefix = "{name}"\nlocation = "{location}"\ninsecure = true\n')
            path = directory / ".config/containers/registries.conf"
            path.parent.mkdir(parents=True)
            path.write_text("".join(entries))
            yield
        finally:
            server.kill()
