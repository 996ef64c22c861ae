from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.mirror import Program

from kubedoctor.cluster.binaries.choice import Chosen
from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.components import Candidate, Download, Found, GoBuild, Source, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import PlanError, PluginError, UsageError

DEFAULT = "v1.37.2"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
Candidates = Callable[[str], list[Candidate]]


def recipes(name: str) -> list[Candidate]:
    if name == "etcd":
        return [
            Download(url="http://none/{version}", version=version, checksum="0", any_version=True, suits=suited)
            for suited, version in (("1.37-", "v3.7.3"), ("1.34-1.36", "v3.6.16"), ("-1.33", "v3.5.34"))
        ]
    build = GoBuild(module="k8s.io/kubernetes", version=DEFAULT, packages={n: n for n in KUBERNETES}, any_version=True)
    download = Download(url=f"http://none/{{version}}/{name}", version=DEFAULT, checksum="0", any_version=True)
    return [build, download]


def offering(*found: Found, also: Candidates = recipes) -> Candidates:
    return lambda name: [*also(name), *(f for f in found if Path(f.path).name == name)]


def chosen(names: list[str], candidates: Candidates, **wishes: Any) -> dict[str, Chosen]:
    return provide(names, ClusterConfig(**wishes), candidates, execute=False)


def cached(cache: Path, name: str, version: str) -> Path:
    path = cache / "bin" / name / version / name
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_sources_are_tried_in_their_order(program: Program, cache: Path) -> None:
    places = {
        Source.USER: program("kube-apiserver", where="user"),
        Source.BIN_DIR: program("kube-apiserver", where="bin-dir"),
        Source.CHECKOUT: program("kube-apiserver", where="checkout"),
        Source.CACHE: cached(cache, "kube-apiserver", "v1.37.2"),
        Source.KUBEBUILDER: program("kube-apiserver", where="assets"),
        Source.PATH: program("kube-apiserver", where="path"),
    }
    for source in Source:
        found = [Found(path=str(path), source=place) for place, path in places.items() if place is not Source.CACHE]
        user = {"kube-apiserver": str(places[Source.USER])} if Source.USER in places else {}
        offered = offering(*reversed([f for f in found if f.source is not Source.USER]))
        binary = chosen(["kube-apiserver"], offered, binary=user, download=source is not Source.BUILD)["kube-apiserver"]
        assert binary.source is source
        assert bool(binary.pending) == (source in (Source.DOWNLOAD, Source.BUILD))
        if source in places:
            places.pop(source).unlink()


def test_wished_version_passes_over_the_others(program: Program, cache: Path) -> None:
    offered = offering(
        Found(path=str(program("kube-apiserver", "v1.37.2", "assets")), source=Source.KUBEBUILDER),
        Found(path=str(program("kube-apiserver", "v1.36.1", "path")), source=Source.PATH),
    )
    cached(cache, "kube-apiserver", "v1.35.0")
    assert chosen(["kube-apiserver"], offered, kubernetes="1.36")["kube-apiserver"].source is Source.PATH
    assert chosen(["kube-apiserver"], offered, kubernetes="1.36.1")["kube-apiserver"].source is Source.PATH
    assert chosen(["kube-apiserver"], offered, kubernetes="1.36.2")["kube-apiserver"].pending
    assert chosen(["kube-apiserver"], offered, kubernetes="v1.35")["kube-apiserver"].source is Source.CACHE


def test_newest_patch_is_taken_from_the_cache(cache: Path) -> None:
    for version in ("v1.36.2", "v1.36.10", "v1.36.9", "v1.37.0"):
        cached(cache, "kube-apiserver", version)
    assert chosen(["kube-apiserver"], recipes, kubernetes="1.36")["kube-apiserver"].version == "v1.36.10"


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["v1.38.0", "v1.37.2", "v1.36.0"], "v1.37.2"),
        (["v1.38.0-alpha.1", "v1.36.10", "v1.36.9"], "v1.36.10"),
        (["v1.38.0-alpha.1"], "v1.38.0-alpha.1"),
    ],
)
def test_without_a_wish_the_cache_gives_the_default_then_the_newest_release(
    cache: Path, there: list[str], taken: str
) -> None:
    for version in there:
        cached(cache, "kube-apiserver", version)
    assert chosen(["kube-apiserver"], recipes)["kube-apiserver"].version == taken


def test_all_of_kubernetes_is_of_the_version_of_the_apiserver(program: Program, cache: Path) -> None:
    offered = offering(
        Found(path=str(program("kube-apiserver", "v1.36.1", "path")), source=Source.PATH),
        Found(path=str(program("kube-scheduler", "v1.36.2", "path")), source=Source.PATH),
        Found(path=str(program("kubectl", "v1.36.1", "path")), source=Source.PATH),
    )
    cached(cache, "kube-controller-manager", "v1.36.1")
    cached(cache, "kube-scheduler", "v1.37.2")
    binaries = chosen(["kubectl", "kube-scheduler", "kube-controller-manager", "kube-apiserver"], offered)
    assert list(binaries) == ["kubectl", "kube-scheduler", "kube-controller-manager", "kube-apiserver"]
    assert {binary.version for binary in binaries.values()} == {"v1.36.1"}
    assert binaries["kube-scheduler"].source is Source.DOWNLOAD


def test_binaries_of_the_user_may_differ_as_kubernetes_allows(program: Program) -> None:
    offered = offering(
        Found(path=str(program("kube-apiserver", "v1.37.2", "dir")), source=Source.BIN_DIR),
        Found(path=str(program("kube-scheduler", "v1.36.5", "dir")), source=Source.BIN_DIR),
    )
    assert chosen(["kube-apiserver", "kube-scheduler"], offered)["kube-scheduler"].version == "v1.36.5"
    # not when a version is asked for: then that one is meant
    wished = chosen(["kube-apiserver", "kube-scheduler"], offered, kubernetes="1.37")
    assert wished["kube-scheduler"].source is Source.DOWNLOAD


def test_named_binary_of_a_disallowed_version_is_refused_with_the_rule(program: Program) -> None:
    server = Found(path=str(program("kube-apiserver", "v1.36.0", "dir")), source=Source.BIN_DIR)
    mine = str(program("kube-scheduler", "v1.37.2", "mine"))
    with pytest.raises(PlanError, match="must not be newer than kube-apiserver"):
        chosen(["kube-apiserver", "kube-scheduler"], offering(server), binary={"kube-scheduler": mine})


def test_named_binary_of_another_version_than_wished_is_refused(program: Program) -> None:
    mine = str(program("kube-apiserver", "v1.36.0", "mine"))
    with pytest.raises(PlanError, match=rf"`{mine}`, does not fit: v1.37 is wanted"):
        chosen(["kube-apiserver"], recipes, binary={"kube-apiserver": mine}, kubernetes="1.37")


@pytest.mark.parametrize(
    ("content", "mode", "why"), [(None, 0, "does not exist"), ("#!/bin/sh\n", 0o644, "is not executable"), ("x", 0o755,
    "is not a program")] )  # fmt: skip
def test_named_binary_that_cannot_run_is_an_error(tmp_path: Path, content: str | None, mode: int, why: str) -> None:
    path = tmp_path / "mine"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(UsageError, match=f"the binary given for etcd, `{path}`, {why}"):
        chosen(["etcd"], recipes, binary={"etcd": str(path)})


def test_binary_in_the_users_directory_is_never_passed_over_in_silence(program: Program) -> None:
    told: list[str] = []
    server = program("kube-apiserver", "v1.36.0", "dir")
    offered = offering(Found(path=str(server), source=Source.BIN_DIR))
    provide(
        ["kube-apiserver"],
        ClusterConfig(kubernetes="1.37.2"),
        offered,
        execute=False,
        progress=lambda name, text, done=0, total=0: told.append(f"{name}: {text}"),
    )
    assert told == [f"kube-apiserver: passed over {server} (v1.36.0): v1.37.2 is wanted"]


@pytest.mark.parametrize(
    ("server", "etcd"), [("1.37.2", "v3.7.3"), ("1.35.0", "v3.6.16"), ("1.30.1", "v3.5.34"), ("", "v3.7.3"), ("1.34",
    "v3.6.16")] )  # fmt: skip
def test_etcd_is_the_one_that_suits_the_kubernetes_version(server: str, etcd: str) -> None:
    assert chosen(["etcd", "kube-apiserver"], recipes, kubernetes=server)["etcd"].version == etcd


def test_etcd_follows_the_version_found_for_the_apiserver(program: Program, cache: Path) -> None:
    offered = offering(Found(path=str(program("kube-apiserver", "v1.35.3", "path")), source=Source.PATH))
    cached(cache, "etcd", "v3.7.3")
    assert chosen(["etcd", "kube-apiserver"], offered)["etcd"].version == "v3.6.16"
    cached(cache, "etcd", "v3.6.4")
    assert chosen(["etcd", "kube-apiserver"], offered)["etcd"].version == "v3.6.4"


def test_etcd_on_path_that_is_too_old_is_passed_over(program: Program) -> None:
    old = program("etcd", where="path", body="echo etcd Version: 3.5.9")
    offered = offering(Found(path=str(old), source=Source.PATH))
    assert chosen(["etcd", "kube-apiserver"], offered)["etcd"].version == "v3.7.3"
    with pytest.raises(PlanError, match=r"asks for etcd v3\.5\.24 or newer"):
        chosen(["etcd", "kube-apiserver"], recipes, binary={"etcd": str(old)})


def test_beside_a_developers_build_the_default_version_is_taken(program: Program) -> None:
    own = program("kube-apiserver", "v1.38.0-alpha.1.50+0123456789abcd-dirty", "checkout")
    offered = offering(Found(path=str(own), source=Source.CHECKOUT))
    binaries = chosen(["kube-apiserver", "kube-scheduler"], offered)
    assert (binaries["kube-apiserver"].path, binaries["kube-scheduler"].version) == (str(own), "v1.37.2")


def test_beside_a_developers_build_far_ahead_nothing_is_guessed(program: Program) -> None:
    own = program("kube-apiserver", "v1.40.0-alpha.1.50+0123456789abcd", "checkout")
    with pytest.raises(PlanError, match=r"there is no kube-scheduler that may run with kube-apiserver v1\.40"):
        chosen(["kube-apiserver", "kube-scheduler"], offering(Found(path=str(own), source=Source.CHECKOUT)))


def test_builds_of_one_checkout_fit_together_stamped_or_not(program: Program) -> None:
    for version in ("v1.40.0-alpha.1.50+0123456789abcd", "v0.0.0-master+$Format:%H$"):
        found = [Found(path=str(program(name, version, "checkout")), source=Source.CHECKOUT) for name in KUBERNETES]
        binaries = chosen(list(KUBERNETES), offering(*found))
        assert {binary.source for binary in binaries.values()} == {Source.CHECKOUT}


def test_dry_run_tells_what_would_be_done_and_writes_nothing(program: Program, cache: Path) -> None:
    found = Found(path=str(program("kubectl", "v1.37.2", "path")), source=Source.PATH)
    binaries = chosen(["kube-apiserver", "etcd", "kubectl"], offering(found))
    assert (
        binaries["kube-apiserver"].pending
        == "would download kube-apiserver v1.37.2 from http://none/v1.37.2/kube-apiserver"
    )
    assert binaries["kube-apiserver"].path == str(cache / "bin/kube-apiserver/v1.37.2/kube-apiserver")
    built = chosen(["kube-apiserver"], recipes, download=False)["kube-apiserver"]
    assert built.pending == "would build k8s.io/kubernetes v1.37.2"
    newest = chosen(["kube-apiserver"], recipes, kubernetes="latest")["kube-apiserver"]
    assert newest.pending == "would download the newest kube-apiserver"
    minor = chosen(["kube-apiserver"], recipes, kubernetes="1.36", download=False)["kube-apiserver"]
    assert minor.pending == "would build the newest k8s.io/kubernetes v1.36"
    assert not cache.exists()


def test_what_is_nowhere_is_an_error_that_tells_where_it_was_looked_for(program: Program) -> None:
    other = program("kube-apiserver", "v1.36.0", "path")
    offered = offering(Found(path=str(other), source=Source.PATH))
    with pytest.raises(PlanError) as raised:
        chosen(["kube-apiserver"], offered, kubernetes="1.37.2", download=False, build=False)
    assert raised.value.message == (
        "there is no kube-apiserver v1.37.2: it is in none of the places looked at, and downloads and builds are off"
    )
    assert f"passed over {other} (v1.36.0): v1.37.2 is wanted" in raised.value.hint
    assert "--binary kube-apiserver=PATH" in raised.value.hint


def test_name_that_no_plugin_knows_is_an_error() -> None:
    with pytest.raises(PlanError, match="there is no acme: no plugin knows where it comes from"):
        chosen(["acme"], lambda _: [])


def test_third_partys_program_needs_no_version_of_a_form(program: Program) -> None:
    recipe = Download(url="http://none/acme", version="release-12", checksum="0")
    assert chosen(["acme"], lambda _: [recipe])["acme"].version == "release-12"
    silent = program("acme", body="exit 1")
    found = chosen(["acme"], lambda _: [recipe, Found(path=str(silent), source=Source.PATH)])["acme"]
    assert (found.path, found.version) == (str(silent), "")


def test_third_partys_fixed_version_is_not_replaced_by_an_old_one_of_the_cache(cache: Path) -> None:
    cached(cache, "acme", "v1.0.0")
    recipe = Download(url="http://none/acme", version="v1.0.1", checksum="0")
    assert chosen(["acme"], lambda _: [recipe])["acme"].pending
    cached(cache, "acme", "v1.0.1")
    assert chosen(["acme"], lambda _: [recipe])["acme"].source is Source.CACHE


def test_recipe_with_limits_that_are_none_names_the_binary() -> None:
    with pytest.raises(PluginError, match="a recipe for acme: `soon` is no range"):
        chosen(["acme"], lambda _: [Download(url="http://none/acme", version="v1", checksum="0", suits="soon")])


@pytest.mark.parametrize("option", ["bin_dir", "checkout"])
def test_directory_of_the_user_that_is_not_there_is_an_error(option: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a directory"):
        chosen(["etcd"], recipes, **{option: str(tmp_path / "none")})


def test_directory_that_is_no_checkout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a Kubernetes checkout"):
        chosen(["etcd"], recipes, checkout=str(tmp_path))


RUNTIME = ("containerd", "containerd-shim-runc-v2")


def runtime(name: str) -> list[Candidate]:
    download = Download(url="http://none/c-{number}.tgz", version="v2.4.2", checksum="0", any_version=True, folder="c")
    return [download] if name in RUNTIME else recipes(name)


def test_what_belongs_together_is_of_one_version(program: Program) -> None:
    own = program("containerd", "v1.7.20", "dir")
    old = program("containerd-shim-runc-v2", "v1.6.20", "path")
    found = [Found(path=str(own), source=Source.BIN_DIR), Found(path=str(old), source=Source.PATH)]
    shim = chosen(list(RUNTIME), offering(*found, also=runtime))["containerd-shim-runc-v2"]
    assert (shim.version, shim.source) == ("v1.7.20", Source.DOWNLOAD)
    assert shim.pending == "would download containerd-shim-runc-v2 v1.7.20 from http://none/c-1.7.20.tgz"


def test_what_belongs_together_is_taken_from_one_place(program: Program, cache: Path) -> None:
    own = program("containerd", "v1.7.20", "dir")
    beside = program("containerd-shim-runc-v2", "", "dir")  # one that tells no version
    for version in ("v2.4.2", "v1.7.20"):
        path = cache / "bin/c" / version / "containerd-shim-runc-v2"
        path.parent.mkdir(parents=True)
        path.write_bytes(beside.read_bytes())
        path.chmod(0o755)
    for wishes in ({"binary": {"containerd": str(own)}}, {}):
        offered = offering(Found(path=str(own), source=Source.PATH), also=runtime)
        assert chosen(list(RUNTIME), offered, **wishes)["containerd-shim-runc-v2"].path == str(beside)
    beside.unlink()
    shim = chosen(list(RUNTIME), offering(Found(path=str(own), source=Source.PATH), also=runtime))[RUNTIME[1]]
    assert shim.path == str(cache / "bin/c/v1.7.20/containerd-shim-runc-v2")


def test_users_own_may_be_beside_another_version(program: Program, cache: Path) -> None:
    mine = program("containerd-shim-runc-v2", "v2.5.0-dev", "mine")
    binaries = chosen(list(RUNTIME), runtime, binary={"containerd-shim-runc-v2": str(mine)})
    assert [binaries[name].version for name in RUNTIME] == ["v2.4.2", "v2.5.0-dev"]


def test_named_runc_without_seccomp_is_refused(program: Program) -> None:
    mine = program("runc", body="echo runc version 1.5.2")
    with pytest.raises(UsageError, match=f"the binary given for runc, `{mine}`, was built without seccomp"):
        chosen(["runc"], lambda _: [], binary={"runc": str(mine)})


def test_runc_without_seccomp_is_passed_over(program: Program) -> None:
    there = program("runc", where="path", body="echo runc version 1.5.2")
    recipe = Download(url="http://none/runc", version="v1.5.2", checksum="0")
    taken = chosen(["runc"], lambda _: [recipe, Found(path=str(there), source=Source.PATH)])["runc"]
    assert taken.source is Source.DOWNLOAD


def test_source_of_a_plugin_is_compiled_and_only_in_its_own_version(cache: Path) -> None:
    source = SourceBuild(file="pause.c", source="", version="v3.10.2")
    cached(cache, "pause", "v3.10.1")
    taken = chosen(["pause"], lambda _: [source])["pause"]
    assert (taken.source, taken.pending) == (Source.BUILD, "would compile pause.c")
    assert taken.path == str(cache / "bin/pause/v3.10.2/pause")
    cached(cache, "pause", "v3.10.2")
    assert chosen(["pause"], lambda _: [source])["pause"].source is Source.CACHE
    with pytest.raises(PlanError, match="builds are off"):
        chosen(["pause"], lambda _: [replace(source, version="v3.10.3")], build=False)
