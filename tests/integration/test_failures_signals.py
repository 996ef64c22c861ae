"""Whatever ends a command or a process at whatever moment: nothing stays, and the next command works."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import ETCD, children_of, cure, guarded, identity_of, pids, place_of, refusal, sick
from support.machine import processes

from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.identity import identify, is_alive, open_process, send, wait_gone
from kubedoctor.cluster.place import is_held, wait_free

pytestmark = [pytest.mark.integration, pytest.mark.timeout(45)]

STUBBORN = "trap '' TERM INT HUP; while :; do sleep 0.2; done"


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, binaries) as command:
        yield command


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if re.search(pattern, line):
            return
    raise AssertionError(f"`{pattern}` never came:\n{''.join(seen)}")


# --- up ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, r"^kubernetes v"),
        (signal.SIGTERM, r"etcd +ready"),
        (signal.SIGHUP, r"kube-apiserver +ready"),
    ],
)
def test_up_that_is_asked_to_end_takes_everything_along(cli: Kubedoctor, number: signal.Signals, moment: str) -> None:
    up = cli.popen("up")
    wait_for_line(up, moment)
    up.send_signal(number)
    _, said = up.communicate(timeout=60)
    # Where the interrupt meets exec(), as in the making of a dataclass, CPython ends by the signal itself.
    assert up.returncode in (128 + number, -number if number == signal.SIGINT else 128 + number)
    assert processes(cli.home) == []
    assert "Traceback" not in said
    assert "interrupted; what was started is stopped again" in said
    cli.ok("up", *ETCD)


@pytest.mark.timeout(300)  # ten starts
def test_interrupt_at_any_moment_is_no_crash(cli: Kubedoctor) -> None:
    generator = random.Random(7)
    for moment in [0.01, 0.03, 0.06, *(generator.uniform(0, 0.8) for _ in range(7))]:
        up = cli.popen("up", *ETCD)
        with contextlib.suppress(subprocess.TimeoutExpired):
            up.wait(moment)
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=60)
        if not was_starting(said):
            assert up.returncode in (0, 130, -signal.SIGINT), said
            assert "Traceback" not in said, said
        if up.returncode == 0:
            cli.ok("down")
        assert wait_free(place_of(cli), 20)
        assert processes(cli.home) == [], moment


def was_starting(said: str) -> bool:
    """Return whether it was the interpreter's own start that was interrupted: it had not come to our `main`.

    How long that takes on a busy machine nobody knows.
    """
    ours = re.search(r", in main$|^Exception ignored", said, re.MULTILINE)
    return "KeyboardInterrupt" in said and ours is None


def test_interrupted_up_leaves_what_runs_where_it_was_told_to_keep_it(cli: Kubedoctor) -> None:
    sick(cli, "etcd", "exec sleep 1000")
    up = cli.popen("up", *ETCD, "--keep")
    wait_for_line(up, "^kubernetes ")
    with ControlClient(started(cli)) as keeper:
        next(event for event in keeper.events() if event["state"] == "starting")
    up.send_signal(signal.SIGINT)
    assert "--keep" in up.communicate(timeout=60)[1]
    assert up.returncode == 130
    assert is_alive(identity_of(cli, "etcd"))


def test_second_interrupt_kills_what_does_not_end(cli: Kubedoctor) -> None:
    real = sick(cli, "etcd", STUBBORN)
    up = cli.popen("up", *ETCD)
    wait_for_line(up, "^kubernetes ")
    with ControlClient(started(cli)) as keeper:
        happened = keeper.events()
        next(event for event in happened if event["component"] == "etcd" and event["state"] == "starting")
        up.send_signal(signal.SIGINT)
        next(event for event in happened if event["event"] == "stopping")
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=60)
    assert time.monotonic() - began < 2, "the second Ctrl-C waited for the component"
    assert up.returncode == 130
    assert "Traceback" not in said
    assert wait_free(place_of(cli), 2)
    assert processes(cli.home) == []
    cure(cli, "etcd", real)
    cli.ok("up", *ETCD)


def started(cli: Kubedoctor, longest: float = 20) -> Path:
    """Return the control socket as soon as the keeper listens on it."""
    path, deadline = place_of(cli).socket, time.monotonic() + longest
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_up_at_once_after_one_that_was_killed_waits_for_its_end(cli: Kubedoctor, number: signal.Signals) -> None:
    sick(cli, "etcd", f'[ -e {cli.home}/second ] && exec "$REAL" "$@"\ntrap \'\' TERM; sleep 0.7; sleep 0.7')
    up = cli.popen("up", *ETCD)
    wait_for_line(up, "^kubernetes ")
    started(cli)
    up.send_signal(number)
    up.communicate(timeout=60)
    (cli.home / "second").touch()
    cli.ok("up", *ETCD)
    assert len(pids(cli)) == 1


# --- down -------------------------------------------------------------------------------------------------------------


def test_interrupted_down_goes_on_by_itself_and_can_be_repeated(cli: Kubedoctor) -> None:
    sick(cli, "etcd", 'trap "" TERM; "$REAL" "$@" & wait; sleep 1000')
    cli.ok("up", *ETCD)
    with ControlClient(place_of(cli).socket) as keeper:
        happened = keeper.events(1 << 60)
        down = cli.popen("down")
        next(event for event in happened if event["event"] == "stopping")
        down.send_signal(signal.SIGINT)
        _, said = down.communicate(timeout=60)
    assert down.returncode == 130
    assert "Traceback" not in said
    cli.ok("down")
    assert processes(cli.home) == []


def test_down_ends_an_up_under_way(cli: Kubedoctor) -> None:
    sick(cli, "etcd", "exec sleep 1000")
    up = cli.popen("up", *ETCD)
    wait_for_line(up, "^kubernetes ")
    started(cli)
    down = cli.ok("down")
    _, said = up.communicate(timeout=60)
    assert up.returncode == 1
    assert "error: the cluster was stopped while it came up\n" in said
    assert "Traceback" not in said
    assert "stopped" in down.err
    assert processes(cli.home) == []


# --- several commands at once -----------------------------------------------------------------------------------------


def test_of_two_ups_at_once_one_starts_the_cluster_and_both_end_well_or_say_why(cli: Kubedoctor) -> None:
    ups = [cli.popen("up", *ETCD) for _ in range(3)]
    said = [up.communicate(timeout=60)[1] for up in ups]
    assert 0 in [up.returncode for up in ups]
    for up, text in zip(ups, said, strict=True):
        assert "Traceback" not in text
        if up.returncode:
            assert up.returncode == 1
            assert "another `kubedoctor up` is starting cluster `local`" in text
    cli.ok("up", *ETCD)
    assert list(pids(cli)) == ["etcd"]
    assert len([process for process in processes(cli.home) if process.endswith(" etcd")]) == 1


def test_of_two_downs_at_once_both_return_when_nothing_is_left(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    downs = [cli.popen("down") for _ in range(2)]
    for down in downs:
        _, said = down.communicate(timeout=60)
        assert down.returncode == 0, said
    assert processes(cli.home) == []


# --- processes of a cluster that runs ---------------------------------------------------------------------------------


def test_relay_that_is_killed_is_made_again(cli: Kubedoctor) -> None:
    cli.ok("up")
    supervisor = identity_of(cli, "supervisor")
    relay = children_of(supervisor.pid)["kd-relay"]
    handle = open_process(identify(relay))
    assert handle is not None
    os.kill(relay, signal.SIGKILL)
    assert wait_gone(handle, 2)
    os.close(handle)
    assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
    assert cli.ok("status").status == 0
    assert children_of(supervisor.pid)["kd-relay"] != relay


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("process", ["keeper", "supervisor"])
def test_signals_to_keeper_and_supervisor_end_the_cluster_in_order_or_not_at_all(
    cli: Kubedoctor, process: str, number: signal.Signals
) -> None:
    cli.ok("up", *ETCD)
    etcd = identity_of(cli, "etcd")
    assert send(identity_of(cli, process), number)
    if number == signal.SIGHUP:  # a terminal that goes is no reason
        assert cli.ok("status").status == 0
        assert is_alive(etcd)
    else:
        assert wait_free(place_of(cli), 10)
        assert not is_alive(etcd)
        assert processes(cli.home) == []


def test_stopped_keeper_does_not_hold_down_up(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    send(identity_of(cli, "keeper"), signal.SIGSTOP)
    status = cli("status")
    assert "etcd" in status.out
    down = cli("down", timeout=60)
    assert down.status == 0, down.err
    assert not is_held(place_of(cli))
    assert processes(cli.home) == []


def test_commands_of_a_stopped_cluster_tell_how_to_start_it(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    cli.ok("down")
    for command in (("restart", "etcd"), ("stop", "etcd"), ("kubectl", "get", "ns"), ("enter", "true")):
        assert "kubedoctor up" in refusal(cli(*command))
    assert "does not run" in cli.ok("down").err
