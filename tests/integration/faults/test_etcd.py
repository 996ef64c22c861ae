"""What is found when etcd is ill: on a real one, made so."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from support.boxes import box
from support.clusters import commands, eventually, free_port
from support.command import Kubedoctor
from support.faults import examined, holding, inside
from support.guarded import ETCD, one_directory, pids, place_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

CHECKS = "etcd"
LAYOUTS = Path(__file__).parents[2] / "fixtures" / "layouts"


@pytest.fixture
def cli(tmp_path: Path, binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as command:
        yield command


def argv_of(cli: Kubedoctor, component: str) -> list[str]:
    plan = json.loads(place_of(cli).plan.read_text())
    (found,) = [one["argv"] for one in plan["components"] if one["name"] == component]
    return [str(word) for word in found]


def test_nothing_is_found_on_a_healthy_etcd(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    seen = examined(cli, CHECKS)
    assert seen.findings() == []
    assert seen.blind() == {}
    assert seen.outcome("etcd.unhealthy", "local") == "passed"


def test_a_port_that_somebody_holds_inside_is_named_with_its_holder(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    cli.ok("stop", "etcd")
    with holding(cli, 2379):
        assert cli("start", "etcd").status == 1  # it fails five times, which takes a while
        seen = examined(cli, CHECKS, fixture="etcd.port-taken")
    assert "python3 -c" in seen.message("etcd.port-taken")
    assert "port 2379, which etcd needs" in seen.message("etcd.port-taken")
    assert seen.failed() == {"etcd.port-taken"}
    assert seen.outcome("etcd.unhealthy", "local") == "skipped"


def test_a_port_that_somebody_holds_outside_is_found_before_anything_starts(cli: Kubedoctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        seen = examined(cli, "Port-2379", "--phase", "preflight", env={"ETCD_PORT": port})
    assert f"(pid {os.getpid()}, user" in seen.message("etcd.port-taken")
    assert f"port {port}, which etcd needs" in seen.message("etcd.port-taken")
    free = examined(cli, "Port-2379", "--phase", "preflight", env={"ETCD_PORT": str(free_port())})
    assert free.outcome("etcd.port-taken") == "passed"


def test_a_second_etcd_on_the_same_data_is_found_though_its_log_is_empty(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    first = pids(cli)["etcd"]
    second = [
        "--listen-client-urls=http://127.0.0.1:32379",
        "--advertise-client-urls=http://127.0.0.1:32379",
        "--listen-peer-urls=http://127.0.0.1:32380",
        "--listen-metrics-urls=http://127.0.0.1:32381",
        "--log-level=warn",
    ]
    with inside(cli, *argv_of(cli, "etcd"), *second) as process:
        try:
            assert eventually(lambda: len(who_has_open(cli, "member/snap/db")) == 2)
            seen = examined(cli, CHECKS, fixture="etcd.data-dir-in-use")
        finally:
            process.send_signal(signal.SIGTERM)
    (message,) = {str(finding["message"]) for finding in seen.findings("etcd.data-dir-in-use")}
    assert f"(pid {first}," in message
    assert "has locked the data in" in message
    assert "waits for it" in message
    assert seen.failed() == {"etcd.data-dir-in-use"}


def who_has_open(cli: Kubedoctor, end: str) -> set[int]:
    """Return the processes that have a file of this cluster open whose path ends so."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                targets = [str(name.readlink()) for name in (process / "fd").iterdir()]
            except OSError:
                continue
            if any(target.startswith(str(cli.home)) and target.endswith(end) for target in targets):
                found.add(int(process.name))
    return found


def test_data_that_another_etcd_uses_is_found_before_anything_starts(cli: Kubedoctor, tmp_path: Path) -> None:
    data = tmp_path / "data"
    cli.ok("up", "--name", "other", *ETCD, env={"ETCD_DIR": str(data)})
    seen = examined(cli, "etcd.data-dir-in-use", "--phase", "preflight", env={"ETCD_DIR": str(data)})
    assert f"has locked the data in {data}" in seen.message("etcd.data-dir-in-use")
    assert f"(pid {pids(cli, '--name', 'other')['etcd']}," in seen.message("etcd.data-dir-in-use")


def test_an_up_that_fails_names_what_the_checks_of_the_dead_component_find(cli: Kubedoctor, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    cli.ok("up", "--name", "other", *ETCD, env={"ETCD_DIR": data})
    failed = cli("up", *ETCD, "--timeout", "5", env={"ETCD_DIR": data})
    assert failed.status == 1
    assert "error: etcd is not ready after 5 s" in failed.err
    assert f"(pid {pids(cli, '--name', 'other')['etcd']}," in failed.err
    assert f"has locked the data in {data}, and etcd of plan of cluster local cannot use it" in failed.err
    assert "explain etcd.data-dir-in-use" in failed.err


def test_a_stopped_etcd_is_told_from_a_dead_one(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    etcd = pids(cli)["etcd"]
    os.kill(etcd, signal.SIGSTOP)
    try:
        seen = examined(cli, CHECKS, fixture="etcd.unhealthy")
    finally:
        os.kill(etcd, signal.SIGCONT)
    (finding,) = seen.findings("etcd.unhealthy")
    assert finding["message"] == f"etcd (pid {etcd}) is stopped, by SIGSTOP or Ctrl-Z"
    assert finding["fixes"][0]["steps"][0]["argv"] == ["kill", "-CONT", str(etcd)]
    assert seen.failed() == {"etcd.unhealthy"}
    assert seen.outcome("etcd.alarm-raised", "local") == "skipped"
    assert examined(cli, CHECKS).findings() == []


def test_a_full_database_raises_an_alarm_that_readyz_does_not_tell(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD, "--set", "etcd.quota-backend-bytes=4194304")
    fill(cli)
    ready = cli.ok("enter", "curl", "-s", "http://127.0.0.1:2381/readyz")
    assert ready.out.startswith("ok")
    seen = examined(cli, CHECKS, fixture="etcd.alarm-raised")
    message = seen.message("etcd.alarm-raised")
    assert "has raised NOSPACE: its database is full (" in message
    assert " MiB of 4 MiB, " in message  # it may be over its quota by what it wrote at last
    assert seen.failed() == {"etcd.alarm-raised"}
    assert seen.outcome("etcd.unhealthy", "local") == "passed"


FILL = """
import base64, json, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
context.load_cert_chain(sys.argv[2], sys.argv[3])
for number in range(1000):
    body = {"key": base64.b64encode(b"k%d" % number).decode(), "value": base64.b64encode(bytes(100000)).decode()}
    request = urllib.request.Request("https://127.0.0.1:2379/v3/kv/put", json.dumps(body).encode())
    try:
        urllib.request.urlopen(request, context=context, timeout=5)
    except urllib.error.HTTPError as refused:
        sys.exit(0 if b"space exceeded" in refused.read() else 2)
sys.exit(1)
"""


def fill(cli: Kubedoctor) -> None:
    """Write to etcd until it takes no more."""
    pki = cli.home / "clusters" / "local" / "pki"
    files = [str(pki / name) for name in ("etcd-ca.crt", "client-etcd.crt", "client-etcd.key")]
    cli.ok("enter", "python3", "-c", FILL, *files)


def test_a_variable_of_etcds_in_our_environment_is_mentioned_and_is_no_error(cli: Kubedoctor) -> None:
    stray = {"ETCD_INITIAL_CLUSTER": "infra0=http://10.0.1.10:2380", "ETCD_PORT": str(free_port())}
    seen = examined(cli, "etcd.environment-shadows-flag", env=stray)
    (finding,) = seen.findings("etcd.environment-shadows-flag")
    assert finding["severity"] == "info"
    assert str(finding["message"]).startswith("ETCD_INITIAL_CLUSTER is set here")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="a machine of the test's own needs root")
def test_a_variable_that_etcd_ends_of_is_found_in_a_static_pod(binaries: Mapping[str, Path], tmp_path: Path) -> None:
    flags = ["--name=a", f"--data-dir={tmp_path / 'data'}"]
    refused = subprocess.run(
        [str(binaries["etcd"]), *flags], env={"ETCD_NAME": "b"}, capture_output=True, timeout=30, text=True, check=False
    )
    assert refused.returncode != 0
    assert "shadowed by corresponding command-line flag" in refused.stderr

    with box(tmp_path) as machine:  # where no other test's kubeadm is to be seen
        for file in (LAYOUTS / "kubeadm/etc/kubernetes").rglob("*"):
            if file.is_file():
                machine.write(f"/{file.relative_to(LAYOUTS / 'kubeadm')}", file.read_bytes())
        manifest = machine.path("/etc/kubernetes/manifests/etcd.yaml")
        pod = yaml.safe_load(manifest.read_text())
        pod["spec"]["containers"][0]["env"] = [{"name": "ETCD_NAME", "value": "b"}]
        manifest.write_text(yaml.safe_dump(pod))
        cli = machine.command(one_directory(tmp_path, binaries))
        check = "etcd.environment-shadows-flag"
        seen = examined(cli, check, fixture=check, name="kubeadm")
    message = seen.message(check)
    assert message.startswith("ETCD_NAME in the environment of etcd of manifest /etc/kubernetes/manifests/etcd.yaml")
    assert message.endswith("is also its flag --name: etcd refuses to start with both")
