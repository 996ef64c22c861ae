"""The images that Kubernetes' tests ask for, made here: no registry is asked. What stands in for what is said below.

Real: agnhost and what is made of it (kitten, nautilus), nonewprivs, sample-apiserver, all compiled from the release's
own source. Stand-ins: busybox, nginx and the tools within agnhost are Debian's instead of Alpine's; every version of an
image that a test asks for (agnhost and nginx in two of them) holds the same files; etcd is the one that clusters here
run. A test of image volumes looks for the words "Alpine Linux" in a file of kitten: they are there, in a line that says
that it is a stand-in.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conformance import debian
from conformance.programs import Programs

_TOOLS = ("bash", "bind9-dnsutils", "curl", "iperf", "iproute2", "libc-bin", "netcat-openbsd", "nginx-light", "socat")
_BUSYBOX = "busybox-static"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PERSONS = {"root": 0, "daemon": 1, "nobody": 65534, "user-defined-in-image": 1000}
_GROUPS = {"root": 0, "daemon": 1, "nogroup": 65534, "user-defined-in-image": 1000}
_OS_RELEASE = 'PRETTY_NAME="Stand-in for Alpine Linux, made of programs of Debian"\nID=debian\n'
_NGINX = """
user nobody nogroup;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http {
    access_log /dev/stdout;
    server { listen 80; listen [::]:80; root /usr/share/nginx/html; }
}
"""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Made:
    """How an image is made: its layers, bottom first, and what runs in it."""

    layers: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""


_AGNHOST = ("busybox", "tools", "agnhost")
IMAGES = {
    "agnhost": Made(_AGNHOST, ("/agnhost",), ("pause",)),
    "busybox": Made(("busybox", "tools"), command=("/bin/sh",)),
    "etcd": Made(("busybox", "etcd"), command=("/usr/local/bin/etcd",)),
    "glibc-dns-testing": Made(("busybox", "tools"), command=("bash",)),
    "kitten": Made((*_AGNHOST, "kitten"), ("/agnhost",), ("test-webserver",)),
    "nautilus": Made((*_AGNHOST, "nautilus"), ("/agnhost",), ("test-webserver",)),
    "nginx": Made(("busybox", "tools", "nginx"), command=("nginx", "-g", "daemon off;")),
    "nonewprivs": Made(("busybox", "nnp"), command=("nnp",)),
    "nonroot": Made(("busybox", "tools"), command=("bash",), user="1234"),
    "sample-apiserver": Made(("busybox", "sample-apiserver"), ("/sample-apiserver",)),
}
"""By the last part of the name. What is missing: perl, the volume servers, device plugins and CSI drivers."""


def archived(target: Path, wanted: Iterable[str], programs: Programs, etcd: Path) -> tuple[str, ...]:
    """Write an archive of those images of *wanted* (full names) that can be made; return the names of the others."""
    made = {name: IMAGES[base] for name in wanted if (base := _base(name)) in IMAGES}
    with TemporaryDirectory(prefix="kubedoctor-images-") as directory:
        layers = _layers(Path(directory), programs, etcd)
        temporary = target.with_name(f".{target.name}")
        with tarfile.open(temporary, "w") as archive:
            index = [_add_image(archive, name, image, layers) for name, image in made.items()]
            for layer in layers.values():
                archive.add(layer, f"blobs/{_digest(layer).replace(':', '/')}")
            _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": index}).encode())
        temporary.rename(target)
    return tuple(name for name in wanted if name not in made)


def _base(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _layers(directory: Path, programs: Programs, etcd: Path) -> dict[str, Path]:
    """Return files with the layers, by what images call them."""
    packages = debian.fetched([_BUSYBOX, *_TOOLS], directory / "packages")
    of_busybox = [package for package in packages if package.name.startswith(_BUSYBOX)]
    writers: dict[str, Callable[[tarfile.TarFile], None]] = {
        "busybox": lambda layer: _write_busybox(layer, of_busybox[0], directory),
        "tools": lambda layer: _write_tools(layer, [package for package in packages if package not in of_busybox]),
        "agnhost": lambda layer: _write_agnhost(layer, programs),
        "nginx": lambda layer: _add(layer, "etc/nginx/nginx.conf", _NGINX.encode()),
        "etcd": lambda layer: _add(layer, "usr/local/bin/etcd", etcd.read_bytes(), 0o755),
        "nnp": lambda layer: _add(layer, "usr/local/bin/nnp", programs["nnp"].read_bytes(), 0o6755),
        "sample-apiserver": lambda layer: _add(
            layer, "sample-apiserver", programs["sample-apiserver"].read_bytes(), 0o755
        ),
        "kitten": lambda layer: _write_files(layer, programs.source / "kitten" / "html"),
        "nautilus": lambda layer: _write_files(layer, programs.source / "nautilus" / "html"),
    }
    files = {}
    for name, write in writers.items():
        files[name] = directory / name
        with tarfile.open(files[name], "w") as layer:
            write(layer)
    return files


def _write_busybox(layer: tarfile.TarFile, package: Path, directory: Path) -> None:
    unpacked = directory / "busybox-unpacked"
    subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
    busybox = unpacked / "bin" / "busybox"
    listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    _add(layer, "bin/busybox", busybox.read_bytes(), 0o755)
    for applet in listed:
        if applet != "busybox":
            _link(layer, f"bin/{applet}", "busybox")
    _directories(layer, {"root": 0o700, "home": 0o755, "tmp": 0o1777, "var": 0o755, "usr": 0o755, "usr/bin": 0o755})
    persons = [
        f"{name}:x:{number}:{number}::/{'root' if number == 0 else ''}:/bin/sh" for name, number in _PERSONS.items()
    ]
    groups = [f"{name}:x:{number}:" for name, number in _GROUPS.items()]
    # https://kubernetes.io/docs/tasks/configure-pod-container/security-context/: a test looks for a person's groups.
    groups.append("group-defined-in-image:x:50000:user-defined-in-image")
    _add(layer, "etc/passwd", "\n".join([*persons, ""]).encode())
    _add(layer, "etc/group", "\n".join([*groups, ""]).encode())


def _write_tools(layer: tarfile.TarFile, packages: Sequence[Path]) -> None:
    debian.write_layer(layer, packages)
    _link(layer, "usr/bin/nc", "/bin/nc.openbsd")  # Debian makes this link when the package is installed
    _link(layer, "bin/nc", "nc.openbsd")
    _link(layer, "usr/bin/awk", "mawk")
    _link(layer, "bin/sh", "bash")  # busybox of Debian drops variables like `data-1` that tests set


def _write_agnhost(layer: tarfile.TarFile, programs: Programs) -> None:
    _add(layer, "agnhost", programs["agnhost"].read_bytes(), 0o755)
    _link(layer, "agnhost-2", "agnhost")
    _add(layer, "etc/os-release", _OS_RELEASE.encode())
    _directories(layer, {"uploads": 0o755})
    for name in ("localhost.crt", "localhost.key"):
        _add(layer, name, (programs.source / "agnhost" / "porter" / name).read_bytes())


def _write_files(layer: tarfile.TarFile, directory: Path) -> None:
    for file in sorted(directory.iterdir()):
        _add(layer, file.name, file.read_bytes())


def _add_image(archive: tarfile.TarFile, name: str, image: Made, layers: Mapping[str, Path]) -> dict[str, Any]:
    """Add manifest and configuration of an image; return its entry in the index."""
    where = {"os": "linux", "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine())}
    files = [layers[layer] for layer in image.layers]
    run = {"Env": [_PATH], "Entrypoint": image.entrypoint, "Cmd": image.command, "User": image.user, "WorkingDir": "/"}
    # The name is in there so that no two names share a manifest: the kubelet lists images by digest.
    history = [{"created_by": f"tests/conformance for {name}"} for _ in files]
    config = {
        **where,
        "config": {key: value for key, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [_digest(file) for file in files]},
        "history": history,
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, **_add_blob(archive, config)},
        "layers": [{"mediaType": _LAYER, "digest": _digest(file), "size": file.stat().st_size} for file in files],
    }
    notes = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    return {"mediaType": _MANIFEST, **_add_blob(archive, manifest), "platform": where, "annotations": notes}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _add_blob(archive: tarfile.TarFile, document: Mapping[str, Any]) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    _add(archive, f"blobs/sha256/{digest}", content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _link(layer: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    layer.addfile(entry)


def _directories(layer: tarfile.TarFile, modes: Mapping[str, int]) -> None:
    for name, mode in modes.items():
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        layer.addfile(entry)
