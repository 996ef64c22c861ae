from __future__ import annotations

from pathlib import Path

from kubedoctor.configuration.sudo import sudo_dropped


def process(proc: Path, pid: int, name: str, parent: int, env: dict[str, str] | None = None) -> None:
    directory = proc / str(pid)
    directory.mkdir()
    (directory / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0")
    (directory / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in (env or {}).items()))


def test_variables_that_sudo_was_given_and_we_were_not_are_named(tmp_path: Path) -> None:
    process(tmp_path, 10, "bash) (x", 1, {"FEATURE_GATES": "of the shell"})
    given = {"LOG_LEVEL": "4", "API_SECURE_PORT": "1", "CLOUD_PROVIDER": "", "SECRET": "s", "KUBELET_HOST": "h"}
    process(tmp_path, 11, "sudo", 10, given)
    process(tmp_path, 12, "sudo", 11, {"NOT": "looked at"})
    process(tmp_path, 13, "kubedoctor", 12)
    hint = sudo_dropped({"SUDO_USER": "me", "LOG_LEVEL": "4"}, pid=13, proc=tmp_path)
    assert hint == "sudo dropped API_SECURE_PORT, KUBELET_HOST: `sudo -E` keeps variables"
    process(tmp_path, 14, "make", 12)
    process(tmp_path, 15, "kubedoctor", 14)
    assert sudo_dropped({"SUDO_USER": "me", "LOG_LEVEL": "4"}, pid=15, proc=tmp_path) == hint


def test_nothing_is_said_where_nothing_was_dropped_or_nobody_can_tell(tmp_path: Path) -> None:
    process(tmp_path, 10, "bash", 1)
    process(tmp_path, 11, "sudo", 10, {"LOG_LEVEL": "4"})
    process(tmp_path, 12, "kubedoctor", 11)
    assert sudo_dropped({}, pid=12, proc=tmp_path) is None
    assert sudo_dropped({"SUDO_USER": "me", "LOG_LEVEL": "4"}, pid=12, proc=tmp_path) is None
    assert sudo_dropped({"SUDO_USER": "me"}, pid=10, proc=tmp_path) is None
    assert sudo_dropped({"SUDO_USER": "me"}, pid=99, proc=tmp_path) is None
    (tmp_path / "11" / "environ").unlink()
    assert sudo_dropped({"SUDO_USER": "me"}, pid=12, proc=tmp_path) is None
    assert sudo_dropped({"SUDO_USER": "me"}) is None
