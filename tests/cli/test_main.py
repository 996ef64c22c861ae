"""The frame of all commands: help, unknown words, global options, and what becomes of errors."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import click
import pytest

from kubedoctor import hookimpl
from kubedoctor.cli.app import App
from kubedoctor.cli.main import COMMANDS, SECTIONS, program_name, run
from kubedoctor.errors import ConfigError, ExitCode, KubedoctorError, NotRunning
from kubedoctor.plugins import Manager

HEAVY = ("pluggy", "cryptography", "httpx", "psutil", "yaml", "rich", "pyroute2", "importlib.metadata")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBEDOCTOR_PLUGINS", raising=False)
    return tmp_path / "home"


Body = Callable[[], object]
Install = Callable[[Body], None]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make `kubedoctor probe` a command that does what it is given."""

    def install(body: Body) -> None:
        module = ModuleType("tests_probe_command")
        module.probe = click.Command("probe", callback=body)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "probe", (f"{module.__name__}:probe", "probe", "More"))

    return install


def raising(error: BaseException) -> Body:
    def body() -> None:
        raise error

    return body


def app_with(**plugins: object) -> App:
    """Return an App whose plugins are *plugins*, from the distribution acme-kubedoctor."""
    app, manager = App(), Manager()
    for name, module in plugins.items():
        manager.add(name, lambda module=module: module, distribution="acme-kubedoctor", version="0.3")  # type: ignore[misc]
    app.manager = manager
    return app


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, summary, section) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)
        assert section in SECTIONS


def test_no_word_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Usage: kubedoctor" in capsys.readouterr().out


def test_help_imports_neither_a_command_nor_a_heavy_library() -> None:
    script = (
        "import sys; from kubedoctor.cli.main import run; status = run(['--help']);"
        f"print(status, [m for m in sys.modules if m.startswith(({', '.join(map(repr, HEAVY))}))"
        " or (m.startswith('kubedoctor.') and m.count('.') > 1)])"
    )
    done = python("-c", script)
    assert done.returncode == 0, done.stderr
    status, loaded = done.stdout.splitlines()[-1].split(" ", 1)
    assert status == "0"
    assert set(re.findall(r"'([^']+)'", loaded)) == {
        "kubedoctor.cli.app",
        "kubedoctor.cli.console",
        "kubedoctor.cli.errors",
        "kubedoctor.cli.main",
    }


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "kubectl"])  # that hands --help on to kubectl
def test_every_command_of_the_table_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert capsys.readouterr().out.strip()


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"kubedoctor {version('kubedoctor')}\n"


def test_python_dash_m_is_the_same_program() -> None:
    done = python("-m", "kubedoctor", "no-such-word", KUBEDOCTOR_PLUGINS="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no command `no-such-word`\n")


def test_kubectl_finds_it_as_its_plugin() -> None:
    assert program_name("/usr/local/bin/kubectl-doctor") == "kubectl doctor"
    assert program_name("/usr/local/bin/kubedoctor") == "kubedoctor"


# --- words nobody knows -----------------------------------------------------------------------------------------------


def test_an_unknown_command_brings_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugin"], app=app_with()) == 2
    assert capsys.readouterr() == ("", "error: there is no command `plugin`\n\nhint: did you mean `plugins`?\n")


def test_an_unknown_command_unlike_any_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["xyzzy"], app=app_with()) == 2
    assert "hint: kubedoctor --help" in capsys.readouterr().err


def test_an_unknown_command_may_be_one_of_a_plugin_that_did_not_load(capsys: pytest.CaptureFixture[str]) -> None:
    app = app_with()

    def load() -> object:
        raise ImportError("no module named acme")

    app.manager.add("acme", load, distribution="acme-kubedoctor", version="0.3")
    assert run(["hello"], app=app) == 2
    assert capsys.readouterr().err == (
        "warning: plugin acme (acme-kubedoctor 0.3): left out: ImportError: no module named acme\n"
        "error: there is no command `hello`\n\n"
        "hint: a plugin that could not be loaded may have it: kubedoctor plugins\n"
    )


def test_an_unknown_option_is_wrong_use(command: Install, capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda: None)
    assert run(["probe", "--nonsense"]) == 2
    first, _, hint = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"error: no such option:? '?--nonsense'?", first)  # click's words change with its version
    assert hint == "hint: kubedoctor probe --help"


# --- commands of plugins ----------------------------------------------------------------------------------------------


def plugin_with(*commands: click.Command) -> SimpleNamespace:
    def kubedoctor_commands() -> list[click.Command]:
        return list(commands)

    return SimpleNamespace(kubedoctor_commands=hookimpl(kubedoctor_commands))


def test_a_command_of_a_plugin_runs(capsys: pytest.CaptureFixture[str]) -> None:
    hello = click.Command("hello", callback=lambda: click.echo("hello from acme"))
    assert run(["hello"], app=app_with(acme=plugin_with(hello))) == 0
    assert capsys.readouterr().out == "hello from acme\n"


def test_a_plugin_cannot_replace_a_command_of_the_core(command: Install, capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda: click.echo("the core's"))
    mine = click.Command("probe", callback=lambda: click.echo("the plugin's"))
    assert run(["probe"], app=app_with(acme=plugin_with(mine))) == 0
    assert capsys.readouterr().out == "the core's\n"


# --- global options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--no-plugin", "a", "--no-plugin", "b", "--no-color", "-q", "probe"],
        ["probe", "--no-plugin", "a", "--no-plugin", "b", "--no-color", "-q"],
        ["--no-plugin", "a", "-q", "probe", "--no-plugin", "b", "--no-color"],
    ],
)
def test_global_options_stand_before_or_after_the_command(command: Install, words: list[str]) -> None:
    command(lambda: None)
    app = App()
    assert run(words, app=app) == 0
    assert (app.blocked, app.console.color, app.console.quiet) == (("a", "b"), False, True)


def test_a_command_that_hands_its_words_on_keeps_them_all(command: Install) -> None:
    command(lambda: None)
    seen: list[str] = []

    def keep(words: tuple[str, ...]) -> None:
        seen.extend(words)

    sys.modules["tests_probe_command"].probe = click.Command(  # type: ignore[attr-defined]
        "probe",
        callback=keep,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
    )
    assert run(["probe", "--no-color", "-v", "6"]) == 0
    assert seen == ["--no-color", "-v", "6"]


def test_blocking_an_unknown_plugin_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "--no-plugin", "etdc"]) == 2
    assert capsys.readouterr().err == ("error: there is no plugin `etdc` to leave out\n\nhint: did you mean `etcd`?\n")


# --- exit statuses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NotRunning("cluster local is not running", hint="kubedoctor up"), 1, "cluster local is not running"),
        (ConfigError("--timeout: `x` is not a number"), 2, "--timeout: `x` is not a number"),
        (click.BadParameter("No."), 2, "invalid value: No"),
        (click.ClickException("Broken."), 1, "broken"),
        (SystemExit("told"), 1, "told"),
        (OSError(errno.ENOSPC, "x", "/var/file"), 1, "/var/file: No space left on device"),
        (PermissionError(errno.EACCES, "x", "/var/file"), 1, "/var/file: Permission denied"),
        (OSError(errno.EROFS, "x"), 1, "Read-only file system"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_a_status(
    command: Install, capsys: pytest.CaptureFixture[str], home: Path, error: Exception, status: int, text: str
) -> None:
    command(raising(error))
    assert run(["probe"]) == status
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"error: {text}")
    assert not home.exists()


def test_the_hint_stands_below_with_each_of_its_lines_aligned(
    command: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(KubedoctorError("it is so", hint="do this\nor that")))
    assert run(["probe"]) == ExitCode.NOT_WELL
    assert capsys.readouterr().err == "error: it is so\n\nhint: do this\n      or that\n"


def test_a_message_cannot_drive_the_terminal(command: Install, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(KubedoctorError("\x1b[2Jgone\r")))
    run(["probe"])
    assert capsys.readouterr().err == "error: \\x1b[2Jgone\\r\n"


def exits_with_4() -> None:
    click.get_current_context().exit(4)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (lambda: None, 0),
        (lambda: 1, 1),
        (lambda: ExitCode.CANNOT_TELL, 4),
        (exits_with_4, 4),
        (lambda: sys.exit(7), 7),
        (raising(KeyboardInterrupt()), 130),
        (raising(click.Abort()), 130),
    ],
)
def test_the_status_of_a_command_is_that_of_the_program(
    command: Install, capsys: pytest.CaptureFixture[str], body: Body, status: int
) -> None:
    command(body)
    assert run(["probe"]) == status
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "kubedoctor", "--help"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_stream_that_is_closed_from_the_start_is_no_error(closed: str, tmp_path: Path) -> None:
    script = f'"$0" -m kubedoctor --help {closed}'
    done = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: kubedoctor") == (">&-" not in closed.replace("2>&-", ""))


def test_a_name_that_is_not_text_can_be_shown() -> None:
    script = "import kubedoctor.cli as c; c._open_standard_streams(); print('a\\udcffb')"
    done = python("-c", script, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "a\\udcffb\n")


def test_verbose_tells_what_our_modules_log_and_nothing_of_others(
    command: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import logging, sys; from kubedoctor.cli.main import run; run([*sys.argv[1:], '--help']);"
        "logging.getLogger('kubedoctor.x').info('ours'); logging.getLogger('httpx').info('theirs')"
    )
    assert python("-c", script, "-v").stderr == "kubedoctor.x: ours\n"
    assert python("-c", script).stderr == ""


def test_a_broken_pipe_of_another_kind_is_a_defect(command: Install, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert run(["probe"]) == ExitCode.DEFECT


# --- defects ----------------------------------------------------------------------------------------------------------


def crash_file(error_text: str) -> Path:
    (path,) = re.findall(r"details for a report are in (\S+\.md)", error_text)
    return Path(path)


def test_a_defect_of_our_own_leaves_a_file_to_attach(
    command: Install, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    command(raising(ZeroDivisionError("division by zero")))
    assert run(["probe"]) == ExitCode.DEFECT
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error: kubedoctor hit a defect of its own: ZeroDivisionError: division by zero"
    assert "Traceback" not in err
    file = crash_file(err)
    assert file.parent == home
    assert file.name.startswith("crash-2")
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    for part in ("kubedoctor ", "Python 3.", "Linux", "arguments: ['probe']", "Traceback (most recent call last)"):
        assert part in text


def test_with_verbose_the_traceback_is_shown_too(command: Install, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ZeroDivisionError("division by zero")))
    assert run(["-v", "probe"]) == ExitCode.DEFECT
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A plugin in a file of its own, whose command `crash` fails inside a library."""
    (tmp_path / "acme_crashing.py").write_text(
        "import click, json\n"
        "from kubedoctor import Component, hookimpl\n"
        "crash = click.Command('crash', callback=lambda: json.loads('{'))\n"
        "@hookimpl\ndef kubedoctor_commands():\n    return [crash]\n"
        "@hookimpl\ndef kubedoctor_components():\n    return [{}['ports']]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    yield importlib.import_module("acme_crashing")
    del sys.modules["acme_crashing"]


def test_a_defect_of_a_plugin_is_called_the_plugins(acme: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["crash"], app=app_with(acme=acme)) == ExitCode.DEFECT
    first, _, hint, then = capsys.readouterr().err.splitlines()
    assert first.startswith("error: kubedoctor hit a defect in plugin acme (acme-kubedoctor 0.3): JSONDecodeError: ")
    assert "plugin acme (acme-kubedoctor 0.3)" in crash_file(hint).read_text()
    assert then == "      leave the plugin out with --no-plugin acme"


def test_a_hook_that_raises_leaves_a_file_too(
    acme: ModuleType, command: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    from kubedoctor.config import ClusterConfig

    app = app_with(acme=acme)
    command(lambda: app.manager.components(ClusterConfig()))
    assert run(["probe"], app=app) == ExitCode.DEFECT
    first, _, hint, then = capsys.readouterr().err.splitlines()
    assert first == ("error: plugin acme (acme-kubedoctor 0.3): kubedoctor_components failed: KeyError: 'ports'")
    assert "acme_crashing.py" in crash_file(hint).read_text()
    assert then == "      leave the plugin out with --no-plugin acme"


def test_without_a_place_for_state_the_file_goes_where_temporary_files_go(
    command: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "a-file" / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    command(raising(ZeroDivisionError()))
    assert run(["probe"]) == ExitCode.DEFECT
    assert crash_file(capsys.readouterr().err).parent == tmp_path / "temporary"


def test_without_any_place_for_the_file_the_traceback_is_shown(
    command: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "a-file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a-file"))
    command(raising(ZeroDivisionError()))
    assert run(["probe"]) == ExitCode.DEFECT
    assert "Traceback" in capsys.readouterr().err
