"""Whose node it is: that of whoever runs the tests, or that of an ordinary user, in whose place only root can act."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.command import Kubedoctor
from support.guarded import free_port, guarded
from support.images import TAR, probe_archive
from support.machine import difference, snapshot
from support.packages import unpacked
from support.person import Person, install, interpreter, public_binaries

AS_USERS = (
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as other users"),
    pytest.mark.skipif(not interpreter(), reason="no Python of this version can be run by other users"),
)
"""For tests that run commands as an ordinary user."""
OURS, USERS = pytest.param("ours", id="ours"), pytest.param("user's", id="user's", marks=AS_USERS)
"""Parameters for a fixture `owner` that calls `owner_of`."""

NOBODY = Person(65534, 65534)
IDS = "nobody:200000:65536\n"
GRANT = 'mount --bind $0 /etc/subuid && mount --bind $0 /etc/subgid && exec "$@"'
"""What a shell in a mount namespace of the test's does: only there the user has subordinate ids."""


@dataclass(frozen=True)
class Owner:
    """Who brings up nodes: an archive of images that they can read, and commands that leave nothing."""

    is_root: bool
    archive: Path
    command: Callable[[], AbstractContextManager[Kubedoctor]]


@contextlib.contextmanager
def owner_of(name: str, directory: Path, binaries: Mapping[str, Path]) -> Iterator[Owner]:
    """Yield the owner of that name, of OURS and USERS; *directory* is an empty one."""
    if name == "ours":
        yield Owner(
            is_root=os.geteuid() == 0,
            archive=probe_archive(directory, TAR),
            command=lambda: guarded(_below(directory), binaries),
        )
        return
    with grounds(binaries) as found:
        yield Owner(is_root=False, archive=found.archive, command=found.command)


def _below(directory: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="test-", dir=directory))


@dataclass(frozen=True)
class Grounds:
    """A directory that everybody can read, with the program, the binaries, images and the tools of uidmap."""

    directory: Path

    @property
    def archive(self) -> Path:
        """An archive with the images PROBE and TAR."""
        return self.directory / "probe.tar"

    @contextlib.contextmanager
    def command(self, ids: str = IDS) -> Iterator[Kubedoctor]:
        """Yield `kubedoctor` of an ordinary user who has the subordinate *ids*; at the end nothing may be left."""
        own = _below(self.directory)
        own.chmod(0o755)
        (own / "subid").write_text(ids)
        (own / "subid").chmod(0o644)
        prefix = ("unshare", "--mount", "sh", "-c", GRANT, str(own / "subid"))
        users = NOBODY.command(own, self.directory / "program", self.directory / "bin", prefix)
        changes: dict[str, Any] = {"PATH": f"{self.directory / 'tools'}:{users.env['PATH']}"}
        command = replace(users, env={**users.env, **changes, "API_SECURE_PORT": str(free_port())})
        before = snapshot(own)
        try:
            yield command
        finally:
            command("down", "--all")
        assert difference(before, snapshot(own)) == {}
        for cluster in (command.home / "clusters").glob("*"):
            command("down", "--delete", "--name", cluster.name)
        assert [*(command.home / "clusters").glob("*")] == [], "files of the users inside are left"
        shutil.rmtree(own)


@contextlib.contextmanager
def grounds(binaries: Mapping[str, Path]) -> Iterator[Grounds]:
    """Yield what an ordinary user needs for a node on a machine that is not theirs."""
    with tempfile.TemporaryDirectory(prefix="tmp-user-node-") as name:
        made = Path(name)
        made.chmod(0o755)
        install(made / "program")
        public_binaries(made / "bin", binaries)
        probe_archive(made, TAR).chmod(0o644)
        (made / "tools").mkdir(mode=0o755)
        for tool in ("newuidmap", "newgidmap"):
            shutil.copyfile(shutil.which(tool) or unpacked("uidmap") / "usr/bin" / tool, made / "tools" / tool)
            (made / "tools" / tool).chmod(0o4755)
        yield Grounds(made)
