"""A third party's package, built and installed beside ours, has everything a bundled plugin has."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Kubedoctor

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "sample_plugin"
ORIGIN = "plugin acme (acme-kubedoctor 0.3)"


def run(*argv: str | Path) -> None:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh environment with both wheels; what they depend on is taken from the one that runs the tests."""
    directory = tmp_path_factory.mktemp("environment")
    for project in (ROOT, SAMPLE):
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory / "wheels", project)
    venv = directory / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", *sorted((directory / "wheels").iterdir()))
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # After its own packages, and without the .pth files in there: kubedoctor itself comes from the wheel.
    (Path(packages) / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv


def command(environment: Path, directory: Path) -> Kubedoctor:
    return Kubedoctor(
        home=directory / "home", bin_dir=directory / "bin", prefix=(str(environment / "bin" / "python"),), cwd=directory
    )


@pytest.fixture
def cli(environment: Path, tmp_path: Path) -> Kubedoctor:
    return command(environment, tmp_path)


def test_kubedoctor_itself_comes_from_its_wheel(cli: Kubedoctor, environment: Path, tmp_path: Path) -> None:
    script = "import kubedoctor, kubedoctor_etcd; print(kubedoctor.__file__, kubedoctor_etcd.__file__)"
    found = subprocess.run(
        [environment / "bin" / "python", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.split()
    assert all(Path(file).is_relative_to(environment) for file in found)
    for name in ("kubedoctor", "kubectl-doctor"):
        done = subprocess.run([environment / "bin" / name, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("kubedoctor ")


def test_it_is_listed_with_its_distribution_and_hooks(cli: Kubedoctor) -> None:
    plugins = {plugin["name"]: plugin for plugin in cli.ok("plugins", "-o", "json").json["plugins"]}
    assert {"acme", "apiserver", "binaries", "controllers", "etcd", "scheduler"} <= plugins.keys()
    acme = plugins["acme"]
    assert (acme["distribution"], acme["version"], acme["problems"]) == ("acme-kubedoctor", "0.3", [])
    assert acme["commands"] == ["acme"]
    assert [hook.removeprefix("kubedoctor_") for hook in acme["hooks"]] == [
        *("binaries", "checks", "commands", "components", "facts", "manifests", "modify_components")
    ]


def test_its_command_is_one_of_kubedoctors(cli: Kubedoctor) -> None:
    assert cli.ok("acme", "hello", "you").out == "hello you, says acme\n"
    assert "Greet NAME." in cli.ok("acme", "hello", "--help").out
    assert "did you mean `acme`?" in cli("acmee").err


def test_its_check_is_explained_like_ours(cli: Kubedoctor) -> None:
    said = cli.ok("explain", "acme.greeter-rude").out
    assert "makes visitors leave" in said
    assert "have it say hello" in said


def test_without_it_nothing_of_it_is_there(cli: Kubedoctor) -> None:
    done = cli("--no-plugin", "acme", "acme", "hello")
    assert (done.status, done.err.splitlines()[0]) == (2, "error: there is no command `acme`")
    listed = cli.ok("plugins", "-o", "json", "--no-plugin", "acme").json["plugins"]
    assert "acme" not in [plugin["name"] for plugin in listed]


def make_binaries(directory: Path) -> None:
    """Make programs that tell a version, so that a plan can be made of them."""
    directory.mkdir()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        version = "etcd Version: 3.7.3" if name == "etcd" else "Kubernetes v1.37.2"
        (directory / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (directory / name).chmod(0o755)


def test_a_dry_run_shows_what_it_adds_and_changes_and_says_it_was_this_plugin(cli: Kubedoctor) -> None:
    make_binaries(cli.bin_dir)
    plan = cli.ok("up", "--no-node", "--dry-run", "-o", "json").json
    components = {component["name"]: component for component in plan["components"]}
    greeter, apiserver = components["acme-greeter"], components["kube-apiserver"]
    assert greeter["binary"].endswith("/bin/acme-greeter")
    assert greeter["version"] == "v0.3.0"
    assert "--port=8099" in greeter["argv"]
    assert greeter["origins"]["port"] == ORIGIN
    assert "--event-ttl=2h0m0s" in apiserver["argv"]
    assert apiserver["origins"]["event-ttl"] == ORIGIN
    assert apiserver["origins"]["secure-port"] == "plugin apiserver"
    assert "acme-greeter" in [manifest["name"] for manifest in plan["manifests"]]


def test_the_user_has_the_last_word(cli: Kubedoctor) -> None:
    make_binaries(cli.bin_dir)
    done = cli.ok("up", "--no-node", "--dry-run", "-o", "json", "--set", "kube-apiserver.event-ttl=3h0m0s")
    apiserver = next(one for one in done.json["components"] if one["name"] == "kube-apiserver")
    assert "--event-ttl=3h0m0s" in apiserver["argv"]
    assert apiserver["origins"]["event-ttl"].startswith("--set")


def test_its_own_settings_and_its_own_words_about_them(cli: Kubedoctor, tmp_path: Path) -> None:
    make_binaries(cli.bin_dir)
    (tmp_path / "kubedoctor.toml").write_text('[plugin.acme]\ngreeting = "moin"\n')
    plan = cli.ok("up", "--no-node", "--dry-run", "-o", "json").json
    assert "--greeting=moin" in next(one for one in plan["components"] if one["name"] == "acme-greeter")["argv"]
    (tmp_path / "kubedoctor.toml").write_text("[plugin.acme]\ngreeting = 3\n")
    done = cli("up", "--no-node", "--dry-run")
    assert (done.status, done.err) == (
        1,
        'error: [plugin.acme]: `greeting` is 3, not text\n\nhint: greeting = "hello"\n',
    )


# --- and it really runs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(
    environment: Path, tmp_path_factory: pytest.TempPathFactory, binaries: dict[str, Path]
) -> Iterator[Kubedoctor]:
    cli = command(environment, tmp_path_factory.mktemp("running"))
    cli.bin_dir.mkdir()
    for name, path in binaries.items():
        (cli.bin_dir / name).symlink_to(path)
    try:
        cli.ok("up", "--no-node")
        yield cli
    finally:
        cli("down", "--all", "--delete")


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_its_component_runs_beside_the_others(running: Kubedoctor) -> None:
    status = running.ok("status", "-o", "json").json
    components = {component["name"]: component for component in status["components"]}
    greeter = components["acme-greeter"]
    assert (greeter["state"], greeter["version"]) == ("ready", "v0.3.0")
    assert components["kube-apiserver"]["state"] == "ready"
    (port,) = greeter["ports"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port['outside']}/") as answer:
        assert answer.read() == b"hello from acme\n"
    arguments = Path(f"/proc/{components['kube-apiserver']['pid']}/cmdline").read_bytes().decode().split("\0")
    assert "--event-ttl=2h0m0s" in arguments
    found = running.ok("kubectl", "get", "configmap", "-n", "acme", "greeter", "-o", "json").out
    assert json.loads(found)["data"] == {"language": "en"}
    running.ok("restart", "acme-greeter")
    assert not Path(f"/proc/{greeter['pid']}").exists()


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_its_check_looks_is_recorded_and_replayed(running: Kubedoctor, tmp_path: Path) -> None:
    polite = running.ok("check", "acme", "-o", "json").json
    (result,) = polite["results"]
    assert (result["check"], result["outcome"]) == ("acme.greeter-rude", "passed")

    running.ok("restart", "acme-greeter", "--set", "greeting=go away")
    recording = tmp_path / "rude.json.gz"
    rude = running("check", "acme", "-o", "json", "--record", str(recording))
    assert rude.status == 1
    (finding,) = rude.json["results"][0]["findings"]
    assert finding["message"] == "the greeter says `go away from acme`"

    components = running.ok("status", "-o", "json").json["components"]
    (greeter,) = (component for component in components if component["name"] == "acme-greeter")
    running.ok("down")
    assert not Path(f"/proc/{greeter['pid']}").exists()
    replayed = running("check", "acme", "-o", "json", "--from", str(recording))
    assert replayed.status == 1
    assert replayed.json["results"][0]["findings"] == [finding]
