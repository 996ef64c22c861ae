"""The group of all commands. A command's module is imported when the command runs, not when it is listed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from kubedoctor.cli.app import App
from kubedoctor.cli.console import Console
from kubedoctor.errors import UsageError

COMPLETE_VARIABLE = "_KUBEDOCTOR_COMPLETE"

# name -> (where it is, what it does, section of --help); one command a line
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("kubedoctor.cli.up:up", "bring a cluster up and return when it is ready", "Cluster"),
    "down": ("kubedoctor.cli.down:down", "stop a cluster; nothing of it is left behind", "Cluster"),
    "status": ("kubedoctor.cli.status:status", "show how a cluster and its components are", "Cluster"),
    "clusters": ("kubedoctor.cli.clusters:clusters", "list the clusters there are", "Cluster"),
    "check": ("kubedoctor.cli.check:check", "tell what is wrong with this machine and its clusters", "Doctor"),
    "explain": ("kubedoctor.cli.explain:explain", "tell what a check means and how to mend what it finds", "Doctor"),
    "start": ("kubedoctor.cli.component:start", "start a stopped component", "Components"),
    "stop": ("kubedoctor.cli.component:stop", "stop one component", "Components"),
    "restart": ("kubedoctor.cli.component:restart", "restart a component, with another binary or flags", "Components"),
    "logs": ("kubedoctor.cli.logs:logs", "show or follow what components write, in time order", "Use"),
    "kubectl": ("kubedoctor.cli.kubectl:kubectl", "run kubectl with the cluster", "Use"),
    "env": ("kubedoctor.cli.env:env", "print the shell lines that make kubectl use the cluster", "Use"),
    "kubeconfig": ("kubedoctor.cli.kubeconfig:kubeconfig", "print, or merge into your own, the kubeconfig", "Use"),
    "enter": ("kubedoctor.cli.enter:enter", "run a shell or a command inside the sandbox", "Use"),
    "images": ("kubedoctor.cli.images:images", "load images from archives, and list those there are", "Use"),
    "publish": ("kubedoctor.cli.publish:publish", "make a port of the inside reachable outside", "Use"),
    "unpublish": ("kubedoctor.cli.unpublish:unpublish", "end what `publish` began", "Use"),
    "config": ("kubedoctor.cli.config:config", "show the configuration, and where each value was said", "More"),
    "setup": ("kubedoctor.cli.setup:setup", "make this machine able to run a node", "More"),
    "binaries": ("kubedoctor.cli.binaries:binaries", "list, get, build and remove binaries", "More"),
    "certs": ("kubedoctor.cli.certs:certs", "list and renew certificates", "More"),
    "plugins": ("kubedoctor.cli.plugins:plugins", "list plugins and what is wrong with them", "More"),
    "completion": ("kubedoctor.cli.completion:completion", "print the completion script of a shell", "More"),
}

SECTIONS = ("Cluster", "Doctor", "Components", "Use", "More")
"""The sections of --help, in order."""


class LazyGroup(click.Group):
    """A group that imports a command when it is invoked, and asks the plugins for those it does not know."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of the core's commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None when neither the core nor a plugin has it."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
        else:
            found = self._plugin_command(ctx, cmd_name)
            if found is None:
                return None
            command = found
        _take_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of *args*; raise UsageError with the nearest name when there is none."""
        name, *rest = args
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            raise self._unknown(ctx, name)
        return name if command else None, command, rest

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - the signature is click's
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands by section; the stock method would import each for its help."""
        for section in SECTIONS:
            rows = [(name, text) for name, (_, text, where) in COMMANDS.items() if where == section]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows, col_spacing=3)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands, those of plugins too, and options."""
        rows = {name: text for name, (_, text, _) in COMMANDS.items()}
        with contextlib.suppress(Exception):  # whatever is wrong with plugins, the core's commands complete
            rows = {**{n: _summary(c) for n, c in _app(ctx).manager.commands().items()}, **rows}
        items = [CompletionItem(name, help=text) for name, text in rows.items() if name.startswith(incomplete)]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def _plugin_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = _app(ctx).manager.commands().get(name)
        return command if isinstance(command, click.Command) else None

    def _unknown(self, ctx: click.Context, name: str) -> UsageError:
        import difflib

        app = _app(ctx)
        known = [*COMMANDS, *app.manager.commands()]
        hints = [f"did you mean `{near}`?" for near in difflib.get_close_matches(name, known, n=1)]
        if app.manager.problems:
            hints.append("a plugin that could not be loaded may have it: kubedoctor plugins")
        return UsageError(f"there is no command `{name}`", hint="\n".join(hints) or f"{ctx.command_path} --help")


def _app(ctx: click.Context) -> App:
    return ctx.ensure_object(App)


def _summary(command: object) -> str:
    return command.get_short_help_str() if isinstance(command, click.Command) else ""


# --- options that may stand before or after the command ---------------------------------------------------------------


def _no_plugin(ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    _app(ctx).block(value)


def _no_color(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        _app(ctx).console.color = False


def _verbose(ctx: click.Context, _parameter: click.Parameter, value: int) -> None:
    if value and not ctx.resilient_parsing:
        app = _app(ctx)
        app.verbose += value
        import logging

        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("kubedoctor").setLevel(logging.DEBUG if app.verbose > 1 else logging.INFO)


def _quiet(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        _app(ctx).console.quiet = True


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        _app(ctx).console.data(f"kubedoctor {version('kubedoctor')}")
        ctx.exit()


def _complete_plugin(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cli.completion import complete_plugin

    return complete_plugin(ctx, parameter, incomplete)


def _global_options(*, hidden: bool) -> list[click.Option]:
    options: list[click.Option] = [
        click.Option(
            ["--no-plugin"],
            multiple=True,
            metavar="NAME",
            help="leave a plugin out",
            callback=_no_plugin,
            shell_complete=_complete_plugin,
        ),
        click.Option(["--no-color"], is_flag=True, help="no colour, as with $NO_COLOR", callback=_no_color),
        click.Option(["-v", "--verbose"], count=True, help="tell more; -vv tells everything", callback=_verbose),
        click.Option(["-q", "--quiet"], is_flag=True, help="tell only what was asked for", callback=_quiet),
    ]
    for option in options:
        option.hidden, option.is_eager, option.expose_value = hidden, True, False
    return options


def _take_global_options(command: click.Command) -> None:
    """Let *command* take the global options too, unless it hands its arguments on or has options of these names."""
    if command.context_settings.get("ignore_unknown_options") or command.context_settings.get("allow_extra_args"):
        return
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params.extend(o for o in _global_options(hidden=True) if taken.isdisjoint(o.opts))
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _take_global_options(child)


HELP = """A real Kubernetes from native binaries on one machine, and a doctor that names what is wrong with it.

The options below may stand before or after the command.
"""


@click.group(
    cls=LazyGroup,
    name="kubedoctor",
    help=HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    params=[
        *_global_options(hidden=False),
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, help="print the version", callback=_version
        ),
    ],
    epilog="Plugins may add commands: `kubedoctor plugins` lists them.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Without a command, show the help."""
    if ctx.invoked_subcommand is None:
        _app(ctx).console.data(ctx.get_help())


def program_name(argv0: str | None = None) -> str:
    """Return how the program is called by its user: `kubectl doctor` when kubectl found it as its plugin."""
    name = os.path.basename(argv0 if argv0 is not None else sys.argv[0])  # noqa: PTH119 - pathlib is not needed here
    return "kubectl doctor" if name in ("kubectl-doctor", "kubectl_doctor") else "kubedoctor"


def run(args: Sequence[str], *, app: App | None = None) -> int:
    """Run one command line and return the exit status; nothing but SystemExit of a command's own comes out.

    A command may return its exit status as an int, call `ctx.exit`, or raise KubedoctorError.
    """
    from kubedoctor.cli.errors import boundary

    app = app or App()

    def invoke() -> int:
        _stand_somewhere()
        if COMPLETE_VARIABLE in os.environ:
            return _complete()
        with cli.make_context(program_name(), list(args), obj=app) as ctx:
            result = cli.invoke(ctx)
        return result if isinstance(result, int) else 0

    return boundary(app, args, invoke)


def _stand_somewhere() -> None:
    """Leave a working directory that was removed: asking for it fails everywhere, and nothing is relative to it."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not needed here
    except FileNotFoundError:
        os.chdir("/")


def _complete() -> int:
    from click.shell_completion import shell_complete

    quiet = App(Console(quiet=True))  # whatever is said lands in the middle of what is being typed
    return shell_complete(cli, {"obj": quiet}, "kubedoctor", COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])
