"""The control socket and its client."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubedoctor.cluster.channel import Channel, ChannelClosed
from kubedoctor.cluster.control import ControlClient, allowed, connect, listen, peer_uid
from kubedoctor.errors import AlreadyRunning, KubedoctorError, NotRunning

Script = Callable[[Channel], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "control.sock"


@pytest.fixture
def keeper(path: Path) -> Iterator[Callable[[Script], None]]:
    """Answer one client as the script says, in a thread."""
    threads: list[threading.Thread] = []
    with listen(path) as listener:
        listener.setblocking(True)

        def serve(script: Script) -> None:
            with Channel(listener.accept()[0]) as channel:
                script(channel)

        def start(script: Script) -> None:
            threads.append(threading.Thread(target=serve, args=(script,)))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join()


def next_request(channel: Channel) -> tuple[dict[str, object], list[int]]:
    assert channel.wait(10)
    ((message, descriptors),) = channel.receive()
    return message, descriptors


def until_gone(channel: Channel) -> None:
    with contextlib.suppress(ChannelClosed):
        while channel.wait(10):
            channel.receive()


@pytest.mark.parametrize("depth", [0, 1, 250])
def test_a_socket_of_any_path_length_is_its_owners_only(tmp_path: Path, depth: int) -> None:
    directory = tmp_path / ("x" * depth) if depth else tmp_path
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / "control.sock"
    before = len(list(Path("/proc/self/fd").iterdir()))
    with listen(path) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with connect(path) as client:
            assert peer_uid(client) == os.geteuid()
            listener.accept()[0].close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_socket_left_over_is_replaced_and_a_used_one_is_not(path: Path) -> None:
    listen(path).close()
    assert path.exists()
    with listen(path), pytest.raises(AlreadyRunning):
        listen(path)


def test_something_else_at_the_path_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(KubedoctorError, match="is not a socket"):
        listen(path)
    assert path.read_text() == "mine"
    path.unlink()
    path.symlink_to("/nonexistent/elsewhere")
    with pytest.raises(KubedoctorError, match="is not a socket"):
        listen(path)
    assert path.is_symlink()


def test_a_directory_others_can_write_to_is_refused(path: Path) -> None:
    path.parent.chmod(0o770)
    with pytest.raises(KubedoctorError, match="others can write") as caught:
        listen(path)
    assert "chmod 700" in caught.value.hint
    path.parent.chmod(0o700)


def test_nobody_listening_is_not_running(path: Path) -> None:
    with pytest.raises(NotRunning):
        ControlClient(path)
    with pytest.raises(NotRunning):
        connect(path.parent / "no-such-directory" / ("x" * 150) / "control.sock")
    listen(path).close()
    with pytest.raises(NotRunning):
        ControlClient(path)


def test_a_keeper_that_does_not_accept_is_given_up_on_in_time(path: Path) -> None:
    with listen(path), contextlib.ExitStack() as connections:
        for _ in range(129):  # the backlog, and one more as the kernel counts
            connections.enter_context(connect(path))
        with pytest.raises(KubedoctorError, match="does not take connections"):
            connect(path, timeout=0.05)


def test_owner_and_root_may_command_and_nobody_else() -> None:
    assert allowed(os.geteuid())
    assert allowed(0)
    assert not allowed(65534)


def test_a_request_is_answered(path: Path, keeper: Callable[[Script], None]) -> None:
    def script(channel: Channel) -> None:
        message, descriptors = next_request(channel)
        assert message == {"v": 1, "id": 1, "request": "publish", "inside": 8080}
        assert socket.socket(fileno=descriptors[0]).detach() == descriptors[0]
        os.close(descriptors[0])
        channel.send({"event": "state", "id": 1, "ok": False})  # an event on the way is no answer
        channel.send({"id": 1, "ok": True, "outside": 30000})
        message, _ = next_request(channel)
        channel.send({"id": message["id"], "ok": True})

    keeper(script)
    with ControlClient(path) as client, socket.create_server(("127.0.0.1", 0)) as listener:
        assert client.request("publish", descriptors=[listener.fileno()], inside=8080) == {"outside": 30000}
        assert client.request("shutdown") == {}


def test_a_refusal_has_the_keepers_words(path: Path, keeper: Callable[[Script], None]) -> None:
    def script(channel: Channel) -> None:
        message, _ = next_request(channel)
        channel.send({"id": message["id"], "ok": False, "error": "there is no `etc`", "hint": "did you mean `etcd`?"})

    keeper(script)
    with ControlClient(path) as client, pytest.raises(KubedoctorError, match="there is no `etc`") as caught:
        client.request("start", component="etc")
    assert caught.value.hint == "did you mean `etcd`?"


def test_a_refusal_before_any_request_is_heard(path: Path, keeper: Callable[[Script], None]) -> None:
    gone = threading.Event()

    def script(channel: Channel) -> None:
        channel.send({"ok": False, "error": "you are not the owner"})
        channel.close()
        gone.set()

    keeper(script)
    with ControlClient(path) as client:
        assert gone.wait(10)
        with pytest.raises(KubedoctorError, match="you are not the owner"):
            client.request("status")


def test_a_keeper_that_ends_first_is_said(path: Path, keeper: Callable[[Script], None]) -> None:
    keeper(lambda channel: next_request(channel) and None)
    with (
        ControlClient(path) as client,
        pytest.raises(KubedoctorError, match="ended before it answered `stop`") as caught,
    ):
        client.request("stop", component="etcd")
    assert "keeper.log" in caught.value.hint


def test_an_answer_that_makes_no_sense_is_said(path: Path, keeper: Callable[[Script], None]) -> None:
    def script(channel: Channel) -> None:
        next_request(channel)
        channel.socket.send(b"Segmentation fault\n")
        until_gone(channel)

    keeper(script)
    with ControlClient(path) as client, pytest.raises(KubedoctorError, match="Segmentation fault"):
        client.request("status")


def test_a_silent_keeper_is_given_up_on(path: Path, keeper: Callable[[Script], None]) -> None:
    keeper(until_gone)
    with ControlClient(path) as client:
        with pytest.raises(KubedoctorError, match="has not answered `status` in time"):
            client.request("status", timeout=0.05)
        with pytest.raises(KubedoctorError, match="has not answered"):
            list(client.events(deadline=time.monotonic() + 0.05))


def test_events_follow_until_the_keeper_ends(path: Path, keeper: Callable[[Script], None]) -> None:
    def script(channel: Channel) -> None:
        message, _ = next_request(channel)
        assert message == {"v": 1, "id": 1, "request": "events", "since": 7}
        channel.send({"id": 1, "ok": True})
        for number in (8, 9):
            channel.send({"seq": number, "event": "state"})

    keeper(script)
    with ControlClient(path) as client:
        assert [event["seq"] for event in client.events(since=7)] == [8, 9]
        with pytest.raises(KubedoctorError):
            client.request("status")


def test_refused_events_are_an_error(path: Path, keeper: Callable[[Script], None]) -> None:
    def script(channel: Channel) -> None:
        next_request(channel)
        channel.send({"id": 1, "ok": False, "error": "no"})

    keeper(script)
    with ControlClient(path) as client, pytest.raises(KubedoctorError, match="no"):
        list(client.events())
