from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor.cluster.binaries import libraries
from kubedoctor.components import GoBuild
from kubedoctor.errors import KubedoctorError

RUNC = GoBuild(
    module="acme.example/runc", version="v1.5.2", packages={"runc": "acme.example/runc"}, cgo=True,
    libraries=("libseccomp",),
)  # fmt: skip

# It knows a library when the machine has it, or when it is told where to look.
PKG_CONFIG = """
[ "$1" = --exists ] || exit 9
[ -n "$HAS_LIBRARY" ] && exit 0
IFS=:
for folder in $PKG_CONFIG_PATH; do [ -e "$folder/$2.pc" ] && exit 0; done
exit 1
"""
APT_GET = """
[ -z "$APT_FAILS" ] || { echo "$APT_FAILS" >&2; exit 100; }
[ "$1" = download ] && echo archive > "$2_2.5.4_amd64.deb"
"""
DPKG_DEB = """
mkdir -p "$3/usr/lib/pkgconfig"
echo Libs > "$3/usr/lib/pkgconfig/${HOLDS:-libseccomp}.pc"
echo static > "$3/usr/lib/libseccomp.a"
ln -s libseccomp.so.2.5.4 "$3/usr/lib/libseccomp.so"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a PATH with a compiler, pkg-config, apt-get and dpkg-deb that know nothing of this machine."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name, script in (("gcc", ""), ("pkg-config", PKG_CONFIG), ("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (directory / name).write_text(f"#!/bin/sh\n{script}")
        (directory / name).chmod(0o755)
    for name in ("mkdir", "ln", "sh"):
        (directory / name).symlink_to(Path("/bin") / name)
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("PKG_CONFIG_PATH", raising=False)
    return directory


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """The directory of a build."""
    (tmp_path / "workshop").mkdir()
    return tmp_path / "workshop"


def test_library_of_the_machine_is_taken(machine: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAS_LIBRARY", "yes")
    (machine / "apt-get").unlink()
    assert libraries.environment(RUNC, workshop, lambda _: None) == {}


def test_development_package_is_unpacked_for_the_build(machine: Path, workshop: Path) -> None:
    told: list[str] = []
    settings = libraries.environment(RUNC, workshop, told.append)
    assert told == ["fetching libseccomp-dev with apt-get, to be unpacked for this build only"]
    folder = workshop / "libraries/usr/lib"
    assert settings["PKG_CONFIG_PATH"] == str(folder / "pkgconfig")
    assert settings["PKG_CONFIG_SYSROOT_DIR"] == str(workshop / "libraries")
    assert sorted(path.name for path in folder.iterdir()) == ["libseccomp.a", "pkgconfig"]


def test_users_own_places_are_kept(machine: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKG_CONFIG_PATH", "/opt/mine")
    assert libraries.environment(RUNC, workshop, lambda _: None)["PKG_CONFIG_PATH"].endswith(":/opt/mine")


@pytest.mark.parametrize(
    ("lacking", "what"),
    [("gcc", "`gcc`"), ("pkg-config", "`pkg-config`"), ("apt-get", "the C library libseccomp"),
     ("dpkg-deb", "the C library libseccomp")],
)  # fmt: skip
def test_what_is_lacking_is_named_with_what_to_install(machine: Path, workshop: Path, lacking: str, what: str) -> None:
    (machine / lacking).unlink()
    with pytest.raises(KubedoctorError) as raised:
        libraries.environment(RUNC, workshop, lambda _: None)
    assert raised.value.message == f"building runc needs {what}, which is not installed"
    assert "install gcc, pkg-config, libseccomp-dev" in raised.value.hint
    assert "--binary runc=PATH" in raised.value.hint


def test_compiler_of_the_user_is_looked_for(machine: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "clang -m64")
    with pytest.raises(KubedoctorError, match="needs `clang`, which is not installed"):
        libraries.environment(RUNC, workshop, lambda _: None)


def test_refusal_of_apt_is_told(machine: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APT_FAILS", "E: Unable to locate package libseccomp-dev")
    with pytest.raises(KubedoctorError, match=r"`apt-get download libseccomp-dev` failed: E: Unable to locate"):
        libraries.environment(RUNC, workshop, lambda _: None)


def test_package_with_something_else_in_it_is_not_enough(
    machine: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDS", "other")
    with pytest.raises(KubedoctorError, match="needs the C library libseccomp, which is not installed"):
        libraries.environment(RUNC, workshop, lambda _: None)
    assert [path.name for path in workshop.iterdir()] == ["libraries"]
