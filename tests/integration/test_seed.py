"""What readers of the guides to local-up-cluster.sh paste into their shells works, and files are where they look."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.clusters import commands, got, is_free, kubectl
from support.command import Kubedoctor
from support.machine import processes

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GUIDE = Path(__file__).parents[1] / "fixtures" / "seed-1.3.sh"
"""The block of exports of the guide, as it stands there."""

KEYS_AND_KUBECONFIGS = [
    *("client-ca.crt", "client-ca.key", "server-ca.crt", "server-ca.key"),
    *("serving-kube-apiserver.crt", "serving-kube-apiserver.key", "service-account.key", "service-account.pub"),
    *("admin.kubeconfig", "controller.kubeconfig", "scheduler.kubeconfig"),
]
LOGS = ["etcd.log", "kube-apiserver.log", "kube-controller-manager.log", "kube-scheduler.log"]


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as cli:
        yield cli


@pytest.fixture
def moved(cli: Kubedoctor, tmp_path: Path) -> Kubedoctor:
    """Keys, logs and data where the user wants them."""
    directories = {name: str(tmp_path / name.lower()) for name in ("CERT_DIR", "LOG_DIR", "ETCD_DIR")}
    return replace(cli, env={**cli.env, **directories})


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.skipif(not (is_free(6443) and is_free(2379)), reason="another cluster has the ports of the guide")
def test_block_of_exports_pasted_verbatim_gives_an_api_and_stays_attached(cli: Kubedoctor) -> None:
    cli = replace(cli, env={})
    pasted = ["bash", "-c", '. "$0" && unset CONTAINER_RUNTIME_ENDPOINT && exec "$@"', str(GUIDE)]
    environment = cli.environment()
    up = subprocess.Popen(
        [*pasted, *cli.argv("up")], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert up.stderr is not None
    said: list[str] = []
    for line in up.stderr:
        said.append(line.rstrip())
        if line.startswith("attached"):
            break
    assert "attached: Ctrl-C stops the cluster" in said, "\n".join(said)
    assert [line for line in said if line.startswith("note:")] == [
        "note: API_PORT has no meaning here: Kubernetes has no insecure ports since 1.24; API_SECURE_PORT is the port",
        "note: INSECURE_CONTROLLER_MANAGER has no meaning here: Kubernetes has no insecure ports since 1.24",
        "note: INSECURE_SCHEDULER has no meaning here: Kubernetes has no insecure ports since 1.24",
    ]
    config = json.loads(kubectl(cli, "config", "view", "-o", "json").out)
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok"
    service = got(cli, "get", "service", "kubernetes")
    assert service["spec"]["clusterIP"] == "10.0.0.1"
    assert up.poll() is None

    up.send_signal(signal.SIGINT)
    out, _ = up.communicate(timeout=60)
    assert (up.returncode, out) == (130, "")
    assert processes(cli.home) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_attached_up_stops_the_cluster_when_it_is_told_to_end(cli: Kubedoctor, number: signal.Signals) -> None:
    up = cli.popen("up", "--only", "etcd", env={"ENABLE_DAEMON": "false"})
    assert up.stderr is not None
    assert any(line.startswith("attached") for line in up.stderr)
    up.send_signal(number)
    up.communicate(timeout=60)
    assert up.returncode == 128 + number
    assert processes(cli.home) == []


def test_small_start_of_the_guide_finds_everything_where_it_looks(moved: Kubedoctor, tmp_path: Path) -> None:
    moved.ok("up", env={"LOG_LEVEL": "4", "ALLOW_PRIVILEGED": "true"})
    keys = tmp_path / "cert_dir"
    assert sorted({*KEYS_AND_KUBECONFIGS} - {*names(keys)}) == []
    for path in keys.iterdir():
        expected = 0o644 if path.suffix in (".crt", ".pub") else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    admin = keys / "admin.kubeconfig"
    assert kubectl(moved, "get", "--raw", "/readyz", kubeconfig=admin).out == "ok"
    assert kubectl(moved, "get", "nodes", kubeconfig=admin).status == 0
    healthy = kubectl(moved, "get", "componentstatuses", "--no-headers", kubeconfig=admin).out
    assert {line.split()[0]: line.split()[1] for line in healthy.splitlines()} == {
        "controller-manager": "Healthy",
        "etcd-0": "Healthy",
        "scheduler": "Healthy",
    }
    assert {*LOGS} <= {*names(tmp_path / "log_dir")}
    assert '--v="4"' in (tmp_path / "log_dir" / "kube-scheduler.log").read_text()
    assert (tmp_path / "etcd_dir" / "member").is_dir()
    assert not (moved.home / "clusters" / "local" / "pki").exists()

    down = moved.ok("down", "--delete")
    assert f"{keys} is yours and stays" in down.err
    assert admin.exists()
    assert (tmp_path / "etcd_dir" / "member").is_dir()


def test_debugging_start_of_the_guide_works_and_a_gate_that_is_permanent_by_now_is_dropped(cli: Kubedoctor) -> None:
    gates = "DynamicResourceAllocation=true,PodSchedulingReadiness=true"  # permanent too, but 1.37 still takes them
    exports = {"LOG_LEVEL": "6", "KUBE_VERBOSE": "6", "FEATURE_GATES": f"{gates},SidecarContainers=true"}
    up = cli.ok("up", env=exports)
    told = [line for line in up.err.splitlines() if "feature gate" in line]
    assert len(told) == 1, up.err
    assert "SidecarContainers=true left out" in told[0]
    metrics = kubectl(cli, "get", "--raw", "/metrics").out.splitlines()
    for gate in gates.replace("=true", "").split(","):
        assert any(f'name="{gate}"' in line and line.endswith(" 1") for line in metrics), gate
    kubectl(cli, "create", "deployment", "web", "--image=registry.invalid/image")
    kubectl(cli, "wait", "--for=create", "rs", "--selector=app=web", "--timeout=30s")
    log = (cli.home / "clusters/local/places/node-1/logs/kube-controller-manager.log").read_text()
    assert "deployment_controller" in log


def uid_of_default(cli: Kubedoctor) -> str:
    return str(got(cli, "get", "namespace", "default")["metadata"]["uid"])


def test_data_is_kept_over_down_unless_it_is_not_to_be_preserved(cli: Kubedoctor) -> None:
    cli.ok("up", env={"PRESERVE_ETCD": "true"})
    first = uid_of_default(cli)
    cli.ok("down")
    cli.ok("up", env={"PRESERVE_ETCD": "false"})
    assert uid_of_default(cli) == first
    cli.ok("down")
    cli.ok("up")
    assert uid_of_default(cli) != first


def test_data_in_a_directory_of_the_users_is_thrown_away_without_what_else_is_there(
    moved: Kubedoctor, tmp_path: Path
) -> None:
    mine = tmp_path / "etcd_dir" / "mine"
    mine.parent.mkdir(mode=0o700)
    mine.write_text("precious")
    moved.ok("up", "--only", "etcd", env={"PRESERVE_ETCD": "false"})
    assert (mine.parent / "member").is_dir()
    moved.ok("down")
    assert names(mine.parent) == ["mine"]
    moved.ok("up", "--only", "etcd", env={"PRESERVE_ETCD": "true"})
    moved.ok("down")
    assert names(mine.parent) == ["member", "mine"]


@pytest.mark.parametrize("trap", ["link", "pipe", "foreign"])
def test_trap_in_a_log_directory_that_others_can_write_is_refused(moved: Kubedoctor, tmp_path: Path, trap: str) -> None:
    logs, victim = tmp_path / "log_dir", tmp_path / "victim"
    logs.mkdir()
    logs.chmod(0o1777)
    victim.write_text("untouched")
    log = logs / "etcd.log"
    if trap == "link":
        log.symlink_to(victim)
    elif trap == "pipe":
        os.mkfifo(log)
    elif os.geteuid() != 0:
        pytest.skip("only root can make a file that is another user's")
    else:
        log.touch()
        os.chown(log, 65534, 65534)
    up = moved("up", "--only", "etcd")
    assert up.status == 1
    assert str(log) in up.err
    assert "choose another LOG_DIR" in up.err
    assert "Traceback" not in up.err
    assert victim.read_text() == "untouched"
    assert processes(moved.home) == []
    log.unlink()
    moved.ok("up", "--only", "etcd")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_file_that_is_named_and_not_there_is_wrong_use(cli: Kubedoctor) -> None:
    for options in ((), ("--dry-run",)):
        up = cli("up", *options, env={"AUDIT_POLICY_FILE": "/nope"})
        assert up.status == 2
        assert "environment AUDIT_POLICY_FILE: there is no file /nope" in up.err
        assert not cli.home.exists()


def test_wishes_hold_until_down_wherever_the_next_command_runs(cli: Kubedoctor, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "kubedoctor.toml").write_text("[component.etcd]\nflags.snapshot-count = 4321\n")
    replace(cli, cwd=here).ok("up", "--only", "etcd", env={"ETCD_DIR": "data", "LOG_DIR": "logs"})
    assert (here / "data" / "member").is_dir()
    again = replace(cli, cwd=there).ok("up")
    assert "ready already" in again.err
    assert names(there) == []
