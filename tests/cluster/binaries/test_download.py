from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from support.mirror import Mirror, tar_gz

from kubedoctor.cluster.binaries import gobuild, store
from kubedoctor.cluster.binaries.choice import Chosen
from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.components import Candidate, Download, GoBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError

CONTENT = b"#!/bin/sh\necho Kubernetes v1.37.2\n" + os.urandom(600_000)
PATH = "/v1.37.2/bin/kube-apiserver"


def recipe(mirror: Mirror, name: str = "kube-apiserver", **changes: Any) -> Download:
    url = f"{mirror.url}/{{version}}/bin/{name}"
    fields = {"url": url, "checksum_url": f"{url}.sha256", "version": "v1.37.2", "any_version": True, **changes}
    return Download(**fields)


def fetched(
    *candidates: Candidate, name: str = "kube-apiserver", told: list[str] | None = None, **wishes: Any
) -> Chosen:
    def progress(name: str, text: str, done: int = 0, total: int = 0) -> None:
        if told is not None:
            told.append(f"{name}: {text}")

    return provide([name], ClusterConfig(**wishes), lambda _: list(candidates), progress=progress)[name]


def partial(cache: Path) -> list[Path]:
    return list((cache / "download").glob("*"))


def nothing_runnable(cache: Path) -> bool:
    files = [path for path in cache.rglob("*") if path.is_file()]
    return not any(os.access(path, os.X_OK) or path.parent.parent.parent.name == "bin" for path in files)


def test_release_is_fetched_verified_and_kept(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    told: list[str] = []
    binary = fetched(recipe(mirror), told=told)
    assert binary.path == str(cache / "bin/kube-apiserver/v1.37.2/kube-apiserver")
    assert Path(binary.path).read_bytes() == CONTENT
    assert stat.S_IMODE(Path(binary.path).stat().st_mode) == 0o755
    assert (binary.version, binary.source, binary.pending) == ("v1.37.2", "download", "")
    assert re.fullmatch(r"kube-apiserver: 0\.6 of 0\.6 MB, \d+\.\d MB/s", told[-1])
    again = fetched(recipe(mirror))
    assert (again.source, len(mirror.asked_for(PATH))) == ("cache", 1)
    assert partial(cache) == []


def test_wrong_checksum_leaves_nothing(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT, checksum="0" * 64)
    build = GoBuild(module="example.com/none", version="v1.37.2", packages={"kube-apiserver": "x"}, any_version=True)
    with pytest.raises(KubedoctorError, match="has the wrong checksum") as raised:
        fetched(recipe(mirror), build)  # and no build takes its place: something is wrong
    assert "proxy or mirror" in raised.value.hint
    assert nothing_runnable(cache)
    assert partial(cache) == []


@pytest.mark.parametrize("checksum", ["", "<html>sorry</html>", "12345", "0" * 64 + "  another-file"])
def test_file_without_a_checksum_is_not_taken(mirror: Mirror, cache: Path, checksum: str) -> None:
    mirror.add(PATH, CONTENT)
    mirror.files[f"{PATH}.sha256"] = checksum.encode()
    with pytest.raises(KubedoctorError, match="holds no sha256 of"):
        fetched(recipe(mirror))
    assert mirror.asked_for(PATH) == []
    assert nothing_runnable(cache)


def test_recipe_without_any_checksum_is_refused(mirror: Mirror) -> None:
    mirror.add(PATH, CONTENT)
    with pytest.raises(KubedoctorError, match="cannot be verified"):
        fetched(recipe(mirror, checksum_url=""))


def test_checksum_may_be_given_by_the_recipe(mirror: Mirror) -> None:
    mirror.add(PATH, CONTENT)
    known = hashlib.sha512(CONTENT).hexdigest()
    fetched(recipe(mirror, checksum_url="", checksum=known, algorithm="sha512"))
    assert mirror.asked_for(f"{PATH}.sha256") == []


def test_broken_download_goes_on_where_it_broke_off(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    mirror.cut[PATH] = 200_000
    with pytest.raises(KubedoctorError, match=f"broke off after 200000 of {len(CONTENT)} bytes") as raised:
        fetched(recipe(mirror))
    assert raised.value.hint == "run it again: it goes on from there"
    assert nothing_runnable(cache)
    binary = fetched(recipe(mirror))
    assert mirror.asked_for(PATH) == ["", "bytes=200000-"]
    assert Path(binary.path).read_bytes() == CONTENT


def test_server_without_ranges_sends_all_of_it_again(mirror: Mirror) -> None:
    mirror.add(PATH, CONTENT)
    mirror.cut[PATH] = 1000
    mirror.no_ranges = True
    with pytest.raises(KubedoctorError, match="broke off"):
        fetched(recipe(mirror))
    assert Path(fetched(recipe(mirror)).path).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"something else", CONTENT + b"more", CONTENT[:-1] + b"x"])
def test_left_part_that_does_not_fit_is_fetched_anew(mirror: Mirror, cache: Path, left: bytes) -> None:
    mirror.add(PATH, CONTENT)
    mirror.cut[PATH] = 1
    with pytest.raises(KubedoctorError):
        fetched(recipe(mirror))
    (part,) = partial(cache)
    part.write_bytes(left)
    told: list[str] = []
    assert Path(fetched(recipe(mirror), told=told).path).read_bytes() == CONTENT
    assert any("starting over" in text for text in told)


def test_complete_part_is_only_verified(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    mirror.cut[PATH] = 1
    with pytest.raises(KubedoctorError):
        fetched(recipe(mirror))
    (part,) = partial(cache)
    part.write_bytes(CONTENT)
    assert Path(fetched(recipe(mirror)).path).read_bytes() == CONTENT
    assert len(mirror.asked_for(PATH)) == 2


def test_version_that_was_never_released_says_so(mirror: Mirror) -> None:
    with pytest.raises(KubedoctorError, match="404 Not Found") as raised:
        fetched(recipe(mirror), kubernetes="1.37.9")
    assert "released version" in raised.value.hint


def test_unreachable_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Download(url="http://127.0.0.1:1/x", checksum_url="http://127.0.0.1:1/y", version="v1.37.2")
    with pytest.raises(KubedoctorError, match=r"127\.0\.0\.1:1 cannot be reached") as raised:
        fetched(nowhere)
    assert "HTTPS_PROXY" in raised.value.hint


def test_what_cannot_be_fetched_is_built(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[tuple[str, list[str]]] = []

    def build(recipe: GoBuild, version: str, names: list[str], tell: object) -> None:
        built.append((version, list(names)))
        for name in names:
            made = tmp_path / "made"
            made.write_text("#!/bin/sh\n")
            store.install(made, name, version)

    monkeypatch.setattr(gobuild, "build", build)
    names = ["kube-apiserver", "kube-scheduler", "kubectl"]
    mirror.add("/v1.37.2/bin/kubectl", CONTENT)
    recipe_of_build = GoBuild(
        module="k8s.io/kubernetes", version="v1.37.2", packages={n: n for n in names}, any_version=True
    )
    binaries = provide(names, ClusterConfig(), lambda name: [recipe(mirror, name), recipe_of_build])
    assert built == [("v1.37.2", ["kube-apiserver", "kube-scheduler"])]
    assert [binary.source for binary in binaries.values()] == ["build", "build", "download"]


def test_error_of_a_build_tells_why_it_was_not_fetched(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        raise KubedoctorError("there is no Go", hint="install it")

    monkeypatch.setattr(gobuild, "build", build)
    build_recipe = GoBuild(module="m", version="v1.37.2", packages={"kube-apiserver": "x"}, any_version=True)
    with pytest.raises(KubedoctorError, match=r"there is no Go \(nor could it be fetched: .*404") as raised:
        fetched(recipe(mirror), build_recipe)
    assert raised.value.hint == "install it"


def test_downloads_that_are_off_are_not_tried(mirror: Mirror) -> None:
    mirror.add(PATH, CONTENT)
    with pytest.raises(KubedoctorError, match="downloads are off"):
        fetched(recipe(mirror), download=False)
    assert mirror.requests == []


def test_downloads_run_side_by_side(mirror: Mirror) -> None:
    names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    for name in names:
        mirror.add(f"/v1.37.2/bin/{name}", name.encode() + CONTENT)
    gate = mirror.gate = threading.Event()
    caller, told_by = threading.get_ident(), set()

    def progress(name: str, text: str, done: int = 0, total: int = 0) -> None:
        told_by.add(threading.get_ident())

    def open_when_all_wait() -> None:
        while len([path for path, _ in mirror.requests if not path.endswith(".sha256")]) < len(names):
            gate.wait(0.01)
        gate.set()

    opener = threading.Thread(target=open_when_all_wait)
    opener.start()
    provide(names, ClusterConfig(), lambda name: [recipe(mirror, name)], progress=progress)
    opener.join()
    assert told_by == {caller}


def test_archive_is_fetched_once_for_all_that_is_in_it(mirror: Mirror, cache: Path) -> None:
    members: dict[str, bytes | tarfile.TarInfo] = {
        "etcd-v3.7.3/etcd": b"#!e",
        "etcd-v3.7.3/etcdctl": b"#!c",
        "x/README": b"-",
    }
    content = tar_gz(members)
    mirror.files["/v3.7.3/etcd.tar.gz"] = content
    sums = f"{'1' * 64}  other.tar.gz\n{hashlib.sha256(content).hexdigest()}  etcd.tar.gz\n"
    mirror.files["/v3.7.3/SHA256SUMS"] = sums.encode()

    def candidates(name: str) -> list[Candidate]:
        base = f"{mirror.url}/{{version}}"
        member = f"etcd-{{version}}/{name}"
        return [
            Download(
                url=f"{base}/etcd.tar.gz",
                checksum_url=f"{base}/SHA256SUMS",
                version="v3.7.3",
                member=member,
                any_version=True,
            )
        ]

    binaries = provide(["etcd", "etcdctl"], ClusterConfig(), candidates)
    assert [Path(binary.path).read_bytes() for binary in binaries.values()] == [b"#!e", b"#!c"]
    assert stat.S_IMODE(Path(binaries["etcd"].path).stat().st_mode) == 0o755  # not the set-uid of the archive
    assert len(mirror.asked_for("/v3.7.3/etcd.tar.gz")) == 1
    assert partial(cache) == []


def test_archive_fills_the_one_directory_of_what_belongs_together(mirror: Mirror, cache: Path) -> None:
    content = tar_gz({"./bridge": b"#!b", "./ptp": b"#!p", "./dhcp": b"#!d"})
    mirror.add("/v1.9.1/cni-1.9.1.tgz", content)

    def candidates(name: str) -> list[Candidate]:
        url = f"{mirror.url}/{{version}}/cni-{{number}}.tgz"
        return [Download(url=url, checksum_url=f"{url}.sha256", version="v1.9.1", member=name, folder="cni")]

    binaries = provide(["bridge", "ptp"], ClusterConfig(), candidates)
    folder = cache / "bin/cni/v1.9.1"
    assert [binary.path for binary in binaries.values()] == [str(folder / "bridge"), str(folder / "ptp")]
    assert sorted(file.name for file in folder.iterdir()) == ["bridge", "ptp"]
    again = provide(["ptp"], ClusterConfig(), candidates)["ptp"]
    assert (again.source, again.path) == ("cache", str(folder / "ptp"))


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tar_gz({"etcd": link("etcd", "/etc/passwd")}), "is not an ordinary file"),
        (tar_gz({"other": b"x"}), "does not hold `etcd`"),
        (tar_gz({"etcd": b"x" * 10_000})[:60], "is not an archive that can be read"),
        (b"not an archive", "is not an archive that can be read"),
        (b"", "is not an archive that can be read"),
    ],
    ids=["link", "other", "cut off", "no archive", "empty"],  # an archive holds the time it was made at
)
def test_archive_that_is_not_what_it_should_be_is_refused(
    mirror: Mirror, cache: Path, content: bytes, why: str
) -> None:
    url = mirror.add("/etcd.tar.gz", content)
    bad = Download(url=url, checksum_url=f"{url}.sha256", version="v3.7.3", member="etcd")
    with pytest.raises(KubedoctorError, match=why):
        fetched(bad, name="etcd")
    assert nothing_runnable(cache)
    assert partial(cache) == []


def test_newest_version_is_looked_up(mirror: Mirror) -> None:
    mirror.files["/stable.txt"] = b"v1.38.1\n"
    mirror.files["/stable-1.36.txt"] = b"v1.36.7"
    mirror.add("/v1.38.1/bin/kube-apiserver", CONTENT)
    mirror.add("/v1.36.7/bin/kube-apiserver", CONTENT)
    with_newest = recipe(mirror, newest_url=f"{mirror.url}/stable{{minor}}.txt")
    assert fetched(with_newest, kubernetes="latest").version == "v1.38.1"
    assert fetched(with_newest, kubernetes="1.36").version == "v1.36.7"
    assert fetched(with_newest, kubernetes="latest").source == "cache"


def test_answer_that_is_no_version_is_an_error(mirror: Mirror) -> None:
    mirror.files["/stable.txt"] = b"<html>log in to the hotel</html>"
    with pytest.raises(KubedoctorError, match="is not a version of latest"):
        fetched(recipe(mirror, newest_url=f"{mirror.url}/stable{{minor}}.txt"), kubernetes="latest")


def test_redirects_are_followed(mirror: Mirror) -> None:
    mirror.add("/elsewhere", CONTENT)
    mirror.redirects = {PATH: f"{mirror.url}/elsewhere", f"{PATH}.sha256": f"{mirror.url}/elsewhere.sha256"}
    assert Path(fetched(recipe(mirror)).path).read_bytes() == CONTENT


def test_proxy_of_the_environment_is_used(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", mirror.url)
    mirror.add(PATH, CONTENT)
    behind = recipe(
        mirror,
        url="http://releases.invalid/{version}/bin/kube-apiserver",
        checksum_url="http://releases.invalid/{version}/bin/kube-apiserver.sha256",
    )
    assert Path(fetched(behind).path).read_bytes() == CONTENT


def test_proxy_variable_that_cannot_be_used_is_named(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy")
    with pytest.raises(KubedoctorError) as raised:
        fetched(recipe(mirror))
    assert "HTTPS_PROXY" in raised.value.hint


FETCH = """
import sys
from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.components import Download
from kubedoctor.config import ClusterConfig
url = sys.argv[1] + "/v1.37.2/bin/kube-apiserver"
recipe = Download(url=url, checksum_url=url + ".sha256", version="v1.37.2")
def progress(name, text, done=0, total=0):
    if "waiting" in text:
        print("waiting", flush=True)
print(provide(["kube-apiserver"], ClusterConfig(), lambda _: [recipe], progress=progress)["kube-apiserver"].path)
"""


def fetching(mirror: Mirror, *prefix: str, **options: Any) -> subprocess.Popen[str]:
    argv = [*prefix, sys.executable, "-c", FETCH, mirror.url]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_second_process_waits_and_finds_what_the_first_fetched(mirror: Mirror) -> None:
    mirror.add(PATH, CONTENT)
    mirror.gate = threading.Event()
    lines: list[str] = []

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            lines.append(line.strip())
            if line.strip() == "waiting" and mirror.gate:
                mirror.gate.set()  # the first one goes on only when the second one waits

    with fetching(mirror) as one, fetching(mirror) as other:
        readers = [threading.Thread(target=read, args=(process,)) for process in (one, other)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert (one.returncode, other.returncode) == (0, 0)
    assert lines[0] == "waiting"
    assert lines[1] == lines[2]
    assert len(mirror.asked_for(PATH)) == 1


def test_killed_process_leaves_a_part_that_the_next_one_goes_on_with(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    mirror.gate = threading.Event()
    with fetching(mirror) as process:
        while not mirror.asked_for(PATH):
            assert process.poll() is None
            mirror.gate.wait(0.01)
        process.kill()
        process.wait()
    mirror.gate.set()
    assert nothing_runnable(cache)
    assert Path(fetched(recipe(mirror)).path).read_bytes() == CONTENT


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace of its own")
def test_full_disk_is_one_clear_error(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    cache.mkdir(parents=True)
    small = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"'
    with fetching(mirror, "unshare", "--mount", "--propagation", "private", "sh", "-c", small, str(cache)) as process:
        _, problem = process.communicate()
    assert f"KubedoctorError: the disk with {cache} is full" in problem
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_made_is_one_clear_error(mirror: Mirror, cache: Path) -> None:
    mirror.add(PATH, CONTENT)
    cache.parent.mkdir()
    cache.write_text("in the way")
    with pytest.raises(KubedoctorError, match="cannot be written") as raised:
        fetched(recipe(mirror))
    assert "XDG_CACHE_HOME" in raised.value.hint
