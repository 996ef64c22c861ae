from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubedoctor.cluster.logs import following
from kubedoctor.cluster.logs.following import follow
from kubedoctor.cluster.logs.merging import Wanted
from kubedoctor.cluster.logs.records import Record


class Follower:
    """Follows all logs of a directory; `next_texts` is what came until there was nothing more for now."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[str] = []
        self._records = follow(self._logs, Wanted(), last=5, tell=self.told.append)

    def _logs(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted(self.directory.glob("*.log"))}

    def next_texts(self) -> list[str]:
        found: list[str] = []
        while not found:
            found = [record.text for record in self._batch()]
        return found

    def _batch(self) -> Iterator[Record]:
        for record in self._records:
            if record is None:
                return
            yield record


def append(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(text)


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    append(tmp_path / "a.log", "".join(f"line {n}\n" for n in range(100)))
    follower = Follower(tmp_path)
    assert follower.next_texts() == [f"line {n}" for n in range(95, 100)]
    return follower


def test_what_is_written_is_shown_when_its_line_is_complete(follower: Follower) -> None:
    append(follower.directory / "a.log", "one\ntw")
    assert follower.next_texts() == ["one"]
    append(follower.directory / "a.log", "o\n")
    assert follower.next_texts() == ["two"]


def test_waiting_ends_when_something_is_written(follower: Follower) -> None:
    writer = threading.Timer(0.05, append, [follower.directory / "a.log", "later\n"])
    writer.start()
    assert follower.next_texts() == ["later"]
    writer.join()


def test_a_truncated_log_is_gone_on_with(follower: Follower) -> None:
    (follower.directory / "a.log").write_text("fresh\n")
    assert follower.next_texts() == ["fresh"]


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(follower: Follower) -> None:
    path = follower.directory / "a.log"
    append(path, "last of the old one")
    path.rename(follower.directory / "a.log.1")
    path.write_text("first of the new one\n")
    assert follower.next_texts() == ["last of the old one", "first of the new one"]


def test_the_log_of_a_new_component_is_followed_too(follower: Follower) -> None:
    append(follower.directory / "b.log", "I am new\n")
    assert follower.next_texts() == ["I am new"]
    append(follower.directory / "b.log", "and go on\n")
    assert follower.next_texts() == ["and go on"]


def test_a_removed_log_ends_nothing(follower: Follower) -> None:
    (follower.directory / "a.log").unlink()
    append(follower.directory / "a.log", "made again\n")
    assert follower.next_texts() == ["made again"]


def test_without_inotify_files_are_looked_at_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(24, os.strerror(24), "inotify_init1")

    monkeypatch.setattr(following, "Inotify", refuse)
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.001)
    append(tmp_path / "a.log", "one\n")
    follower = Follower(tmp_path)
    assert follower.next_texts() == ["one"]
    append(tmp_path / "a.log", "two\n")
    assert follower.next_texts() == ["two"]
    assert "inotify" in follower.told[0]
