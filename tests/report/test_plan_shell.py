from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.planning import binaries_for, bundled, configuration, knows_everything, takes_everything

from kubedoctor.cluster.plan import components, make_plan
from kubedoctor.report.plan_shell import plan_shell
from kubedoctor.report.shell_library import LIBRARY


def script(**wishes: Any) -> str:
    config = configuration(**wishes)
    wanted = components(config, bundled())
    made = make_plan(config, wanted, binaries_for(wanted), flags_of=knows_everything, rejects=takes_everything)
    return plan_shell(made, config, wanted.certificates, kubeconfigs=wanted.kubeconfigs)


def run(body: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"{LIBRARY}\n{body}"], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_shell_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text(script(tracing=True, directory=Path("/tmp/it's a $HOME `directory`")))
    subprocess.run(["sh", "-n", str(file)], check=True)


def test_components_start_in_order_with_their_whole_command_line() -> None:
    text = script(set={"kube-apiserver": {"event-ttl": "2h; rm -rf /"}})
    starts = re.findall(r"^start (\S+) ", text, re.MULTILINE)
    assert starts == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    begin = text.index("start kube-apiserver")
    words = shlex.split(text[begin : text.index("\nready", begin)].replace("\\\n", " "))
    assert words[words.index("env") + 1] == "-i"
    assert "--event-ttl=2h; rm -rf /" in words
    assert words[1:4] == ["kube-apiserver", "TERM", "15"]


def test_note_cannot_leave_its_comment() -> None:
    config = configuration()
    wanted = components(config, bundled())
    made = make_plan(
        config,
        wanted,
        binaries_for(wanted),
        flags_of=lambda path, _: frozenset({"name"}) if path.endswith("etcd") else frozenset(),
        rejects=takes_everything,
    )
    text = plan_shell(made, config, wanted.certificates, kubeconfigs=wanted.kubeconfigs)
    assert "# note: etcd v3.7.3 has no --data-dir" in text


def test_script_is_refused_by_its_own_first_line_without_a_program(tmp_path: Path) -> None:
    done = run("need sh /nowhere/etcd", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: there is no /nowhere/etcd\n")


def test_component_that_ends_is_told_with_its_last_lines_and_all_others_are_stopped(tmp_path: Path) -> None:
    done = run(
        "start good TERM 50 good.log sleep 60\n"
        "start bad TERM 50 bad.log sh -c 'echo first; echo last words; exit 3'\n"
        "ready bad false\n",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "last words\nerror: bad ended; its log is bad.log\n" in done.stderr
    assert done.stdout == "starting good\nstarting bad\nstopping good\n"


def test_component_that_ends_later_is_told_too(tmp_path: Path) -> None:
    done = run("start short TERM 10 log sleep 0.3\nready short true\nwatch\n", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: short ended\n")


def test_components_are_stopped_in_reverse_and_killed_when_they_will_not(tmp_path: Path) -> None:
    deaf = "sh -c 'trap \"\" TERM; echo deaf >ready; while :; do sleep 0.1; done'"
    done = run(
        f"start deaf TERM 3 log {deaf}\nready deaf test -s ready\nstart other TERM 50 log sleep 60\nexit 0",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["starting deaf", "starting other", "stopping other", "stopping deaf"]


def test_open_and_closed_ports_are_told_apart(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run(f"listens 127.0.0.1:{port}", cwd=tmp_path).returncode == 0
    assert run(f"listens 127.0.0.1:{port}", cwd=tmp_path).returncode == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("key", ["ec -pkeyopt ec_paramgen_curve:P-256", "rsa:2048"])
def test_certificates_are_made_where_they_are_missing_and_hold(tmp_path: Path, key: str) -> None:
    wanted = (
        f"PKI={shlex.quote(str(tmp_path))} NEW_KEY={shlex.quote(key)}\n"
        "authority server-ca /CN=test-server-ca 3650\n"
        "leaf serving server-ca /O=group/CN=name serverAuth,clientAuth DNS:localhost,IP:127.0.0.1,IP:::1 365\n"
        "leaf client server-ca /CN=client clientAuth '' 365\n"
        "service_account\n"
    )
    assert run(wanted, cwd=tmp_path).returncode == 0
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(made) == {
        "server-ca.crt", "server-ca.key", "serving.crt", "serving.key", "client.crt", "client.key",
        "service-account.key", "service-account.pub",
    }  # fmt: skip
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.key")} == {0o600}
    verify = ["openssl", "verify", "-CAfile", "server-ca.crt", "-purpose"]
    for purpose, name in (("sslserver", "serving.crt"), ("sslclient", "serving.crt"), ("sslclient", "client.crt")):
        subprocess.run([*verify, purpose, name], cwd=tmp_path, check=True, capture_output=True)
    assert run(wanted, cwd=tmp_path).returncode == 0
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == made
