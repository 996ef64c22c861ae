from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor.host.inotify import CREATE, MODIFY, MOVED_TO, Inotify


def test_changes_of_a_directory_are_told_with_names(tmp_path: Path) -> None:
    with Inotify() as inotify:
        watch = inotify.watch(tmp_path, CREATE | MOVED_TO)
        (tmp_path / "a").write_text("")
        (tmp_path / "a").rename(tmp_path / "bä")
        changes = inotify.wait(5)
    assert [(change.watch, change.mask, change.name) for change in changes] == [
        (watch, CREATE, "a"),
        (watch, MOVED_TO, "bä"),
    ]


def test_nothing_happened_is_an_empty_list(tmp_path: Path) -> None:
    with Inotify() as inotify:
        inotify.watch(tmp_path, MODIFY)
        assert inotify.wait(0) == []


def test_what_cannot_be_watched_is_an_os_error_with_its_path(tmp_path: Path) -> None:
    with Inotify() as inotify, pytest.raises(FileNotFoundError, match="none"):
        inotify.watch(tmp_path / "none", MODIFY)
