from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from support.places import fake, kept, plan_of, write_plan

from kubedoctor.cluster import bringup, teardown
from kubedoctor.cluster import place as places
from kubedoctor.cluster.documents import Event, PlannedProbe, Reach
from kubedoctor.cluster.identity import ProcessIdentity, is_alive, open_process, send, wait_gone
from kubedoctor.cluster.launch import EarlyKeeper
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths
from kubedoctor.cluster.ports import bind
from kubedoctor.cluster.prepare import Prepared
from kubedoctor.errors import AlreadyRunning, KubedoctorError

pytestmark = pytest.mark.timeout(60)
KINDS = ("sandbox", "host")


@pytest.mark.parametrize("kind", KINDS)
def test_components_start_in_order_and_stop_in_reverse(place: PlacePaths, kind: str) -> None:
    first = fake(place, "first", 18001)
    second = fake(place, "second", 18002, after=("first",))
    with kept(place, plan_of(place, second, first, kind=kind)) as run:
        run.until_event("ready")
        run.request("shutdown")
        run.until_event("stopped")
        happened = [(event.component, event.state) for event in run.seen if event.event == "state"]
    assert happened.index(("first", "ready")) < happened.index(("second", "starting"))
    assert happened.index(("second", "exited")) < happened.index(("first", "stopping"))
    assert run.process.returncode == 0
    assert not places.is_held(place)
    assert not place.socket.exists()


def test_pids_are_those_of_the_outside(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        status = run.status()
        component = status.components[0]
        arguments = Path(f"/proc/{component.pid}/cmdline").read_bytes().split(b"\0")
        assert b"18001" in arguments
        lines = Path(f"/proc/{component.pid}/status").read_text().splitlines()
        inside = next(line for line in lines if line.startswith("NSpid"))
        assert inside.split()[-1] == str(component.pid_inside)
        assert status.supervisor.pid_inside == 1
        assert status.phase == "ready"


@pytest.mark.parametrize("kind", KINDS)
def test_killed_component_is_restarted_and_counted(place: PlacePaths, kind: str) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001), kind=kind)) as run:
        run.until_event("ready")
        send(run.identity("one"), signal.SIGKILL)
        ended = run.until_state("one", "backoff")
        assert ended.exit == "killed by SIGKILL"
        run.until_event("ready")
        status = run.status().components[0]
        assert status.restarts == 1
        assert status.last_exit is not None
        assert status.last_exit.reason == "killed by SIGKILL"


def test_component_that_keeps_ending_is_given_up(place: PlacePaths) -> None:
    counted = place.directory / "starts"
    broken = fake(place, "broken", 18001, "--exit-at-start", "3", "--count", str(counted))
    with kept(place, plan_of(place, broken)) as run:
        failed = run.until_event("failed")
        assert failed.message == "exit status 3"
        # Its restarts are asked for instead of waited for: 1 + 2 + 4 + 8 s of back-off would pass.
        for _ in range(3):
            with pytest.raises(KubedoctorError, match="exit status 3"):
                run.request("restart", component="broken")
    assert counted.read_text().count("start") == 4


def test_failure_is_told_with_the_last_error_line(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "broken", 18001, "--exit-at-start", "3"))) as run:
        run.until_event("failed")
        status = run.status()
        assert status.components[0].last_exit is not None
        assert "the fake was told to fail" in status.components[0].last_exit.log_line
        assert status.failure.startswith("broken: exit status 3")


def test_missing_binary_is_told(place: PlacePaths) -> None:
    absent = fake(place, "absent", 18001, argv=("/nonexistent/program",))
    with kept(place, plan_of(place, absent)) as run:
        assert run.until_event("failed").message == "cannot start: /nonexistent/program: No such file or directory"


def test_component_that_ignores_term_is_killed_with_its_children(place: PlacePaths) -> None:
    stubborn = fake(place, "stubborn", 18001, "--ignore-term", "--child", str(place.directory / "child"))
    with kept(place, plan_of(place, stubborn)) as run:
        run.until_event("ready")
        identity = run.identity("stubborn")
        run.request("stop", component="stubborn")
        assert not is_alive(identity)
        assert run.status().components[0].state == "exited"
        assert run.status().components[0].last_exit.reason == "killed by SIGKILL"  # type: ignore[union-attr]
        assert processes_in(str((place.directory / "child").read_text())) == ["kd-supervisor"]


def processes_in(pid_namespace: str) -> list[str]:
    """Return the names of the processes of a pid namespace, relays left out."""
    names = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if str((directory / "ns/pid").readlink()) == pid_namespace:
                names.append((directory / "comm").read_text().strip())
        except OSError:
            continue
    return [name for name in names if name != "kd-relay"]


def test_waiting_component_says_what_for(place: PlacePaths) -> None:
    never = fake(place, "never", 18001, "--never-ready")
    later = fake(place, "later", 18002, after=("never",))
    with kept(place, plan_of(place, never, later)) as run:
        run.until(lambda event: event.message == "/healthz: fake/hook")
        states = {status.name: (status.state, status.reason) for status in run.status().components}
    assert states == {"never": ("starting", "/healthz: fake/hook"), "later": ("waiting", "waits for never")}


def test_early_component_starts_when_what_it_comes_after_is_usable(place: PlacePaths) -> None:
    usable = (PlannedProbe(kind="tcp", address="127.0.0.1", port=18001),)
    server = fake(place, "server", 18001, "--never-ready", usable=usable)
    early = fake(place, "early", 18002, after=("server",), early=True)
    later = fake(place, "later", 18003, after=("server",))
    with kept(place, plan_of(place, server, early, later)) as run:
        run.until_state("early", "ready")
        states = {status.name: status.state for status in run.status().components}
    assert states == {"server": "starting", "early": "ready", "later": "waiting"}


def test_end_of_the_lifeline_before_release_ends_everything(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        identity = run.identity("one")
    assert not is_alive(identity)
    assert run.process.returncode == 0


def test_released_place_lives_on_without_its_lifeline(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        run.lifeline.request("release")
        run.lifeline.close()
        assert run.status().phase == "ready"
        run.request("shutdown")
        assert places.wait_free(place, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("victim", ["keeper", "supervisor"])
def test_killed_keeper_or_supervisor_takes_everything_along(place: PlacePaths, victim: str, kind: str) -> None:
    components = [fake(place, f"c{number}", 18000 + number, "--ignore-term") for number in range(5)]
    with kept(place, plan_of(place, *components, kind=kind)) as run:
        run.until_event("ready")
        run.lifeline.request("release")
        status = run.status()
        handles = [open_process(ProcessIdentity(c.pid, c.start_ticks)) for c in status.components]
        process = getattr(status, victim)
        began = time.monotonic()
        assert send(ProcessIdentity(process.pid, process.start_ticks), signal.SIGKILL)
        os.close(places.acquire(place, patience=5))  # an `up` that comes at once
        assert time.monotonic() - began < 2
        for handle in handles:
            assert handle is not None
            assert wait_gone(handle, 0), "a component lived when the lock was to be had"
            os.close(handle)


def test_keeper_tells_of_a_killed_supervisor(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        supervisor = run.status().supervisor
        send(ProcessIdentity(supervisor.pid, supervisor.start_ticks), signal.SIGKILL)
        assert "signal 9" in run.until_event("stopped").message
    state = places.read_state(place)
    assert state is not None
    assert (state.phase, state.supervisor.pid, state.components[0].pid) == ("stopped", 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="cgroups can be made by root only")
def test_down_removes_what_a_keeper_that_is_killed_meanwhile_leaves(tmp_path: Path) -> None:
    cluster = ClusterPaths("test", tmp_path / "test")
    place = cluster.place("node-1")
    for directory in (place.directory, place.config, place.logs, place.data):
        directory.mkdir(mode=0o700, parents=True)
    slow = fake(place, "slow", 18001, "--ignore-term", stop_timeout=30)
    with kept(place, plan_of(place, slow, cgroup=f"kubedoctor-test-{os.getpid()}")) as run:
        run.until_event("ready")
        run.lifeline.request("release")
        status = run.status()
        down = threading.Thread(target=teardown.stop, args=(cluster,))
        down.start()
        run.until_event("stopping")
        assert send(ProcessIdentity(status.keeper.pid, status.keeper.start_ticks), signal.SIGKILL)
        down.join(20)
    assert status.cgroups
    assert [path for path in status.cgroups if Path(path).exists()] == []
    assert not place.socket.exists()


def test_keeper_that_is_gone_before_it_has_its_place_is_told(place: PlacePaths) -> None:
    early = EarlyKeeper(place)
    early.process.kill()
    early.process.wait(10)
    plan = plan_of(place, fake(place, "one", 18001))
    write_plan(place, plan)
    with pytest.raises(KubedoctorError, match="the keeper ended before anything was started: killed by SIGKILL"):
        bringup.start(early, Prepared(plan, (), ()), place, places.acquire(place), bringup.Wait(5), lambda _: None)
    early.abandon()
    assert not places.is_held(place)


def test_keeper_that_is_killed_during_up_leaves_nothing_and_is_told(place: PlacePaths) -> None:
    plan = plan_of(place, fake(place, "never", 18001, "--never-ready"))
    write_plan(place, plan)
    early = EarlyKeeper(place)

    def kill(event: Event) -> None:
        if event.state == "starting":
            early.process.kill()

    with pytest.raises(KubedoctorError, match="the keeper ended without a word: something killed it"):
        bringup.start(early, Prepared(plan, (), ()), place, places.acquire(place), bringup.Wait(20), kill)
    early.abandon()
    state = places.read_state(place)
    assert state is not None
    assert not is_alive(ProcessIdentity(state.supervisor.pid, state.supervisor.start_ticks))


def test_failure_of_what_lost_another_component_names_it(place: PlacePaths) -> None:
    server = fake(place, "server", 18001)
    sleep = shutil.which("sleep") or ""
    loader = fake(place, "loader", 18002, argv=(sleep, "1000"), ready=(), ends=True, after=("server",))
    with kept(place, plan_of(place, server, loader)) as run:
        run.until_state("loader", "starting")
        assert send(run.identity("server"), signal.SIGKILL)
        run.until_state("server", "backoff")
        assert send(run.identity("loader"), signal.SIGKILL)
        assert run.until_event("failed").message == "killed by SIGKILL, after server had ended"


def test_place_that_is_held_is_not_taken(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        with pytest.raises(AlreadyRunning):
            places.acquire(place)


def test_changed_plan_restarts_only_what_differs(place: PlacePaths) -> None:
    one, two = fake(place, "one", 18001), fake(place, "two", 18002)
    with kept(place, plan_of(place, one, two)) as run:
        run.until_event("ready")
        before = {status.name: status.pid for status in run.status().components}
        write_plan(place, plan_of(place, one, fake(place, "two", 18002, "--ready-after", "1")))
        assert run.request("apply")["restarted"] == ["two"]
        run.until_event("ready")
        after = {status.name: status.pid for status in run.status().components}
    assert before["one"] == after["one"]
    assert before["two"] != after["two"]


def test_sandbox_has_a_network_of_its_own_with_a_default_route(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        pid = run.identity("one").pid
        routes = Path(f"/proc/{pid}/net/route").read_text().splitlines()
        assert any(line.split()[:2] == ["kubedoctor0", "00000000"] for line in routes)
        assert "198.18.0.1" in Path(f"/proc/{pid}/net/fib_trie").read_text()
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert not Path("/sys/class/net/kubedoctor0").exists()


def test_published_port_leads_inside_and_relay_comes_back_when_killed(place: PlacePaths) -> None:
    listener = bind("127.0.0.1", 0)
    outside = listener.getsockname()[1]
    entry = {"descriptor": listener.fileno(), "outside": outside, "inside": 18001}
    with kept(place, plan_of(place, fake(place, "one", 18001)), listeners=(entry,)) as run:
        listener.close()
        run.until_event("ready")
        assert "200 OK" in ask(outside)
        relay = next(pid for pid in children_of(run.status().supervisor.pid) if comm(pid) == "kd-relay")
        handle = os.pidfd_open(relay)
        os.kill(relay, signal.SIGKILL)
        wait_gone(handle, 5)
        os.close(handle)
        assert "200 OK" in ask(outside)


def test_ports_can_be_published_later_and_taken_back(place: PlacePaths) -> None:
    from kubedoctor.cluster.control import ControlClient

    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        listener = bind("127.0.0.1", 0)
        outside = listener.getsockname()[1]
        with ControlClient(place.socket) as client:
            client.request("publish", inside=18001, outside=outside, descriptors=[listener.fileno()])
            listener.close()
            assert "200 OK" in ask(outside)
            client.request("unpublish", outside=outside)
            with pytest.raises(KubedoctorError, match="not published"):
                client.request("unpublish", outside=outside)


def test_port_of_the_hosts_loopback_is_reached_inside(place: PlacePaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        one = fake(
            place,
            "one",
            18001,
            ready=(fake(place, "x", port).ready[0],),  # asked inside, answered by us outside
        )
        with kept(place, plan_of(place, one, reach=(Reach(name="hook", port=port),))) as run:
            server.settimeout(10)
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                run.until_event("ready")


def test_others_may_not_command(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        assert place.socket.stat().st_mode & 0o777 == 0o600


def test_state_tells_the_truth_after_the_end(place: PlacePaths) -> None:
    with kept(place, plan_of(place, fake(place, "one", 18001))) as run:
        run.until_event("ready")
        run.request("shutdown")
        run.until_event("stopped")
    state = json.loads(place.state.read_text())
    assert (state["phase"], state["keeper"]["pid"], state["components"][0]["state"]) == ("stopped", 0, "exited")


def ask(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(4096).decode()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
