"""Machines and shells as people have them: proxies, no network, odd paths, closed streams, missing tools."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import Done, Kubedoctor
from support.guarded import ETCD, free_port, guarded, one_directory, place_of, refusal
from support.machine import difference, processes, snapshot
from support.mounts import lonely_network

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, binaries) as command:
        yield command


# --- networks ---------------------------------------------------------------------------------------------------------


def test_proxy_that_leads_nowhere_is_not_in_the_way(cli: Kubedoctor) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    proxied = replace(cli, env={**cli.env, **dict.fromkeys(names, nowhere)})
    proxied.ok("up", "--timeout", "40")
    assert proxied.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
    proxied.ok("restart", "kube-controller-manager")
    assert proxied.ok("enter", str(cli.bin_dir / "kubectl"), "get", "--raw", "/readyz").out == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
@pytest.mark.parametrize("options", [(), ("--host",)], ids=["sandbox", "host"])
def test_no_route_and_no_ipv6(cli: Kubedoctor, options: tuple[str, ...]) -> None:
    with lonely_network(sys.executable) as prefix:
        alone = replace(cli, prefix=(*prefix, *cli.prefix))
        alone.ok("up", *options)
        assert alone.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
        alone.ok("down")


def without_binaries(cli: Kubedoctor, tmp_path: Path, **env: str) -> Kubedoctor:
    """Return the program on a machine without any binary of a cluster, without Go, and with an empty cache."""
    path = tmp_path / "few"
    path.mkdir()
    bare = {"PATH": f"{path}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"), "KUBEDOCTOR_BIN_DIR": ""}
    return replace(cli, env={**cli.env, **bare, **env})


def test_no_binaries_and_no_way_to_get_any(cli: Kubedoctor, tmp_path: Path) -> None:
    bare = without_binaries(cli, tmp_path, KUBEDOCTOR_DOWNLOAD="off", KUBEDOCTOR_BUILD="off")
    said = refusal(bare("up"))
    assert "kube-apiserver" in said
    assert "--bin-dir" in said
    assert not place_of(cli).plan.exists()
    (tmp_path / "few" / "kube-apiserver").write_text("#!/bin/sh\nsleep 1000\n")  # of no version, not executable
    refusal(bare("up"))


def test_mirror_that_does_not_answer_is_named(cli: Kubedoctor, tmp_path: Path) -> None:
    mirror = f"http://127.0.0.1:{free_port()}"
    settings = {"KUBEDOCTOR_DOWNLOAD": "on", "KUBEDOCTOR_DOWNLOAD_URL": mirror, "KUBEDOCTOR_BUILD": "off"}
    said = refusal(without_binaries(cli, tmp_path, **settings)("up"))
    assert mirror in said
    assert "refused" in said
    assert not place_of(cli).plan.exists()


# --- paths ------------------------------------------------------------------------------------------------------------

LONG = "/".join(["a-directory-with-a-name-of-forty-letters"] * 6)
ODD = """sp ace/'single' "double"/$HOME;`id`&#*?[x]/ünïcödé-日本/-n %s"""


@pytest.mark.parametrize("path", [LONG, ODD], ids=["200 characters", "odd characters"])
def test_home_may_have_any_path(tmp_path: Path, binaries: dict[str, Path], path: str) -> None:
    home = tmp_path / path / "home"
    assert path is ODD or len(str(home)) > 200
    home.parent.mkdir(parents=True)
    bin_dir = one_directory(home.parent, binaries)
    with guarded(tmp_path, binaries, home=home, bin_dir=bin_dir) as cli:
        cli.ok("up")
        assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
        assert cli.ok("status", "-o", "json").json["phase"] == "ready"
        cli.ok("restart", "kube-scheduler")
        shell = 'eval "$1" && exec kubectl get --raw /readyz'
        lines = cli.ok("env").out
        path_with_kubectl = f"{cli.bin_dir}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", shell, "sh", lines],
            env={"PATH": path_with_kubectl},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "ok", done.stderr
        cli.ok("down")


# --- shells -----------------------------------------------------------------------------------------------------------


def test_working_directory_may_be_gone(cli: Kubedoctor, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = 'cd "$1" && rmdir "$1" && shift && exec "$@"'

    def run(*arguments: str) -> Done:
        gone.mkdir(exist_ok=True)
        argv = ["sh", "-c", shell, "sh", str(gone), *cli.argv(*arguments)]
        done = subprocess.run(argv, env=cli.environment(), capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    for command in (("up", *ETCD), ("status",), ("down",)):
        done = run(*command)
        assert done.status == 0, done.err


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(cli: Kubedoctor, redirection: str) -> None:
    before = snapshot(cli.home)
    for command in (("up", *ETCD), ("status",), ("down",)):
        argv = ["sh", "-c", f'exec "$@" {redirection}', "sh", *cli.argv(*command)]
        done = subprocess.run(
            argv, env=cli.environment(), cwd=cli.home.parent, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
    assert difference(before, snapshot(cli.home)) == {}


def test_reader_that_goes_away_is_no_reason_to_fail(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    for command in (("status",), ("logs",), ("status", "-o", "json"), ("clusters",)):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            cli.argv(*command), env=cli.environment(), stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        assert done.returncode in (0, 141), command
        assert done.stderr == ""


def test_up_whose_reader_goes_away_ends_in_order(cli: Kubedoctor) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    up = subprocess.run(
        cli.argv("up", *ETCD), env=cli.environment(), stderr=writing, stdout=subprocess.DEVNULL, check=False, timeout=60
    )
    os.close(writing)
    assert up.returncode in (0, 141)
    if up.returncode:
        cli("down")
        assert processes(cli.home) == []
    cli.ok("up", *ETCD)


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C", "TERM": "dumb"},
        {"LANG": "POSIX", "LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "COLUMNS": "1"},
        {"LC_ALL": "no_SUCH.locale", "TERM": "", "COLUMNS": "0", "TZ": "no/such/zone"},
        {"HOME": "/no/such/home", "USER": "", "TMPDIR": "/no/such/directory", "SHELL": "/no/such/shell"},
    ],
)
def test_environment_may_be_poor(cli: Kubedoctor, env: dict[str, str]) -> None:
    poor = replace(cli, env={**cli.env, **env})
    poor.ok("up", *ETCD)
    poor.ok("status")
    poor.ok("logs", "etcd")
    poor.ok("down")
