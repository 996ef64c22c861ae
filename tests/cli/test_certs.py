"""`kubedoctor certs` and `kubedoctor kubeconfig`, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from kubedoctor.cli.app import App
from kubedoctor.cli.certs import certs, shortened
from kubedoctor.cli.kubeconfig import kubeconfig
from kubedoctor.cluster.kubeconfig import write_kubeconfig
from kubedoctor.cluster.pki import issue
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError, NotRunning, UsageError

SERVING = Certificate(
    name="serving", authority=Authority.SERVER, common_name="api", sans=("localhost", "10.0.0.1"), server=True
)
Run = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "SUDO_UID", "KUBEDOCTOR_NAME"):
        monkeypatch.delenv(name, raising=False)
    config = ClusterConfig(directory=tmp_path / "clusters" / "local")
    config.directory.mkdir(parents=True)
    issue(config, (SERVING,))
    Path(config.kubeconfig("admin")).parent.mkdir()
    write_kubeconfig(
        Path(config.kubeconfig("admin")),
        server="https://127.0.0.1:6443",
        ca_file=config.pki("server-ca.crt"),
        cert_file=config.pki("client-admin.crt"),
        key_file=config.pki("client-admin.key"),
        cluster="local",
        user="admin",
        embed=True,
    )
    return config


@pytest.fixture
def certs_command(config: ClusterConfig) -> Run:
    return lambda *arguments: CliRunner().invoke(certs, arguments, obj=App(), standalone_mode=False)


@pytest.fixture
def kubeconfig_command(config: ClusterConfig) -> Run:
    return lambda *arguments: CliRunner().invoke(kubeconfig, arguments, obj=App(), standalone_mode=False)


def test_list_is_a_table_of_what_matters(certs_command: Run) -> None:
    result = certs_command("list")
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert result.return_value == 0
    assert "365 d" in rows["serving"]
    assert "server" in rows["serving"]
    assert "ECDSA P-256" in rows["serving"]
    assert "kubedoctor-local-server-ca" in rows["serving"]
    assert rows["serving"].endswith("localhost, 10.0.0.1")
    assert "itself" in rows["server-ca"]


def test_list_as_json_is_a_versioned_document(certs_command: Run) -> None:
    document = json.loads(certs_command("list", "-o", "json").stdout)
    assert (document["schema_version"], document["kind"], document["cluster"]) == (1, "Certificates", "local")
    serving = next(one for one in document["certificates"] if one["name"] == "serving")
    assert serving["sans"] == ["localhost", "10.0.0.1"]
    assert serving["not_after"].endswith("Z")


def test_list_exits_with_1_when_one_cannot_be_used(certs_command: Run, config: ClusterConfig) -> None:
    Path(config.pki("serving.crt")).write_text("garbage")
    result = certs_command("list")
    assert result.return_value == 1
    assert "serving: holds no certificate in PEM form" in result.stdout


def test_renew_tells_what_it_did(certs_command: Run, config: ClusterConfig) -> None:
    before = Path(config.pki("serving.crt")).read_bytes()
    assert certs_command("renew", "serving").stdout == "renewed serving\n"
    assert Path(config.pki("serving.crt")).read_bytes() != before
    assert certs_command("renew", "--all").stdout.splitlines() == ["renewed client-admin", "renewed serving"]


@pytest.mark.parametrize("arguments", [[], ["serving", "--all"], ["nonsense"]])
def test_renew_of_nothing_everything_and_nonsense_is_refused(certs_command: Run, arguments: list[str]) -> None:
    assert isinstance(certs_command("renew", *arguments).exception, UsageError)


def test_renewed_administrator_is_in_every_kubeconfig(
    certs_command: Run, kubeconfig_command: Run, config: ClusterConfig, tmp_path: Path
) -> None:
    kubeconfig_command("--merge")
    own = tmp_path / "home" / ".kube" / "config"
    before = yaml.safe_load(own.read_text())["users"]
    assert f"updated {own}" in certs_command("renew", "client-admin").stdout
    after = yaml.safe_load(own.read_text())["users"]
    assert after != before
    assert after == yaml.safe_load(Path(config.kubeconfig("admin")).read_text())["users"]


def test_unknown_cluster_is_told_with_the_way_to_make_it(certs_command: Run, kubeconfig_command: Run) -> None:
    for result in (certs_command("list", "--name", "other"), kubeconfig_command("--name", "other")):
        assert isinstance(result.exception, NotRunning)
        assert "kubedoctor up --name other" in result.exception.hint


def test_kubeconfig_prints_its_path(kubeconfig_command: Run, config: ClusterConfig) -> None:
    assert kubeconfig_command().stdout == f"{config.kubeconfig('admin')}\n"


def test_raw_kubeconfig_needs_no_other_file(kubeconfig_command: Run, config: ClusterConfig) -> None:
    data = yaml.safe_load(kubeconfig_command("--raw").stdout)
    assert data == yaml.safe_load(Path(config.kubeconfig("admin")).read_text())
    assert set(data["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_merge_and_unmerge_say_where(kubeconfig_command: Run, tmp_path: Path) -> None:
    own = tmp_path / "home" / ".kube" / "config"
    result = kubeconfig_command("--merge")
    assert result.stdout == ""
    assert result.stderr == f"context kubedoctor-local is in {own} and is the current one\n"
    assert kubeconfig_command("--unmerge").stderr == f"taken out of {own}\n"
    assert not own.exists()


def test_file_that_others_can_read_is_warned_of(kubeconfig_command: Run, tmp_path: Path) -> None:
    own = tmp_path / "home" / ".kube" / "config"
    own.parent.mkdir(parents=True)
    own.write_text("")
    own.chmod(0o644)
    assert f"others can read {own} (mode 644)" in kubeconfig_command("--merge").stderr


def test_wishes_that_exclude_each_other_are_refused(kubeconfig_command: Run) -> None:
    assert isinstance(kubeconfig_command("--raw", "--merge").exception, UsageError)


def test_cluster_without_a_kubeconfig_is_told(kubeconfig_command: Run, config: ClusterConfig) -> None:
    Path(config.kubeconfig("admin")).unlink()
    assert isinstance(kubeconfig_command().exception, NotRunning)


def test_kubeconfig_changed_by_another_program_is_told(kubeconfig_command: Run, config: ClusterConfig) -> None:
    Path(config.kubeconfig("admin")).write_text("clusters: []\n")
    problem = kubeconfig_command("--raw").exception
    assert isinstance(problem, KubedoctorError)
    assert "was changed by another program" in problem.message


def test_names_are_shortened_to_what_fits() -> None:
    assert shortened(()) == ""
    assert shortened(("a" * 60, "b")) == f"{'a' * 60} +1"
    assert shortened(tuple(f"name-{n}.example.test" for n in range(5))).endswith("+3")


def test_path_alone_costs_no_heavy_import() -> None:
    code = (
        "import sys; from kubedoctor.cli.kubeconfig import kubeconfig; from kubedoctor.cli.certs import certs;"
        "sys.exit(bool({'cryptography', 'yaml', 'rich', 'httpx'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
