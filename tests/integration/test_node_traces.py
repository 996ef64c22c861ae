"""What a node leaves on the machine, root's and an ordinary user's, however it ends: nothing."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clusters import eventually
from support.command import Kubedoctor
from support.guarded import identity_of
from support.machine import difference, everything
from support.owners import OURS, USERS, Owner, owner_of
from support.pods import applied, deployment, ready

from kubedoctor.cluster.identity import send

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

RUNNING = "jsonpath={.status.readyReplicas}=2"
MOMENTS = (0.3, 0.7, 1.1, 1.6, 2.2, 2.9, 3.5, 4.2, 5.0, 6.0)
"""Seconds after which `up` is killed; a node is up after about 6. A user's is made and removed by the same steps."""
KILLS = [
    pytest.param(owner.values[0], moment, id=f"{owner.id}-{moment}", marks=owner.marks)
    for owner, moments in ((OURS, MOMENTS), (USERS, MOMENTS[1::3]))
    for moment in moments
]


@pytest.fixture(scope="module")
def owners(
    tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path]
) -> Iterator[Callable[[str], Owner]]:
    """Each made when it is first asked for."""
    with contextlib.ExitStack() as stack:

        def made(name: str) -> Owner:
            return stack.enter_context(owner_of(name, tmp_path_factory.mktemp("owner"), node_binaries))

        yield functools.cache(made)


@pytest.fixture(params=[OURS, USERS])
def owner(request: pytest.FixtureRequest, owners: Callable[[str], Owner]) -> Owner:
    return owners(request.param)


@pytest.fixture
def cli(owner: Owner) -> Iterator[Kubedoctor]:
    with owner.command() as command:
        yield command


def test_nothing_is_left_after_down_nor_when_the_sandbox_is_killed(cli: Kubedoctor, owner: Owner) -> None:
    before = everything(cli.home)
    cli.ok("up", "--node", "--image-archive", str(owner.archive))
    applied(cli, deployment("web", 2, "wait"))
    ready(cli, "deployment/web", RUNNING)
    cli.ok("down")
    assert difference(before, everything(cli.home)) == {}
    cli.ok("up", "--node")
    ready(cli, "deployment/web", RUNNING)
    assert send(identity_of(cli, "supervisor"), signal.SIGKILL)
    assert eventually(lambda: difference(before, everything(cli.home)) == {}), difference(before, everything(cli.home))


@pytest.mark.parametrize(("owner", "moment"), KILLS, indirect=["owner"])
def test_nothing_is_left_when_up_is_killed(cli: Kubedoctor, moment: float) -> None:
    before = everything(cli.home)
    with cli.popen("up", "--node") as up:
        time.sleep(moment)  # the moment is what is tested
        up.kill()
    assert eventually(lambda: difference(before, everything(cli.home)) == {}), difference(before, everything(cli.home))
