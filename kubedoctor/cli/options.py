"""The options of a cluster, made from the table in `kubedoctor.config`, for every command that settles one.

They default to None and read no variable: which layer wins is decided in `kubedoctor.configuration.layers` alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import Field
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from kubedoctor.config import GROUPS, flag_of, options
from kubedoctor.options import Form

F = TypeVar("F", bound=Callable[..., Any])

METAVARS = {
    "authority": "ROLE=CERT,KEY",
    "binary": "C=PATH",
    "env": "C.K=V",
    "external": "C[=ADDRESS]",
    "feature_gates": "NAME=true,…",
    "json_logs": "C",
    "kubernetes": "VERSION",
    "name": "NAME",
    "only": "C,…",
    "ports": "C=PORT",
    "publish": "PORT",
    "reach": "[NAME=]PORT",
    "registry_mirror": "REGISTRY=URL",
    "set": "C.FLAG=VALUE",
    "v": "C=N",
    "vmodule": "C=PATTERN=N,…",
    "without": "C,…",
}


class ClusterOption(click.Option):
    """An option of the table; `group` is the heading it stands under."""

    def __init__(self, *args: Any, group: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class ClusterCommand(click.Command):
    """A command whose help lists the options of the cluster under their headings, its own ones first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = parameter.group if isinstance(parameter, ClusterOption) else "Options"
                groups.setdefault(heading, []).append(record)
        for heading in sorted(groups, key=["Options", *GROUPS.values()].index):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])


def cluster_options(command: F) -> F:
    """Add the options of a cluster to *command*, which gets those given as `flags: dict[str, object]`.

    `flags` is what `kubedoctor.configuration.layers.load` takes. Stands below `@click.command(cls=ClusterCommand)`.
    """
    names = {*options(), "config"}

    @functools.wraps(command)
    def gathered(*args: Any, **kwargs: Any) -> Any:
        flags = {name: kwargs.pop(name) for name in names & kwargs.keys()}
        given = {name: value for name, value in flags.items() if value is not None and value != ()}
        return command(*args, flags=given, **kwargs)

    decorated: Callable[..., Any] = gathered
    for made in reversed(cluster_parameters()):
        decorated = _attach(decorated, made)
    return decorated  # type: ignore[return-value]


def cluster_parameters() -> list[ClusterOption]:
    """Return a new click option for each option of the table that has a flag, and `--config`."""
    made = [
        ClusterOption(
            ["--config"],
            metavar="FILE",
            group=next(iter(GROUPS.values())),
            help="configuration file (./kubedoctor.toml, or the one in ~/.config/kubedoctor)",
        )
    ]
    heading = ""
    for name, field in options().items():
        heading = GROUPS.get(name, heading)
        if flag_of(field):
            made.append(_option(name, field, heading))
    return made


def _option(name: str, field: Field[Any], heading: str) -> ClusterOption:
    declaration = flag_of(field)
    text = field.metadata["help"]
    if field.type == "bool":
        return ClusterOption([name, declaration], is_flag=True, default=None, help=text, group=heading)
    return ClusterOption(
        [name, declaration],
        multiple=field.type == "tuple[str, ...]" or str(field.type).startswith("Mapping"),
        metavar=_metavar(name, field),
        help=text + _shown_default(field),
        group=heading,
        shell_complete=_completions(name, field),
    )


def _metavar(name: str, field: Field[Any]) -> str:
    form: Form = field.metadata["form"]
    return METAVARS.get(name) or "|".join(field.metadata["choices"]) or form.value or "TEXT"


def _shown_default(field: Field[Any]) -> str:
    if not isinstance(field.default, (str, int, float)) or field.default == "" or field.metadata["form"] is Form.LEVEL:
        return ""
    return f" [{field.default:g}]" if isinstance(field.default, float) else f" [{field.default}]"


def _completions(name: str, field: Field[Any]) -> Callable[..., list[CompletionItem]] | None:
    """Return what completes the values of an option; None leaves it to click."""
    if choices := field.metadata["choices"]:
        return lambda _ctx, _parameter, incomplete: [
            CompletionItem(choice) for choice in choices if choice.startswith(incomplete)
        ]
    if field.metadata["form"] in (Form.FILE, Form.PATH, Form.DIRECTORY) and field.type == "str":
        kind = "dir" if field.metadata["form"] is Form.DIRECTORY else "file"
        return lambda _ctx, _parameter, incomplete: [CompletionItem(incomplete, type=kind)]
    if name in ("name", "only", "without", "external", "json_logs"):
        return functools.partial(_complete_name, name)
    return None


def _complete_name(name: str, ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cli.completion import complete_cluster, complete_component

    return (complete_cluster if name == "name" else complete_component)(ctx, parameter, incomplete)


def _attach(function: Callable[..., Any], made: ClusterOption) -> Callable[..., Any]:
    """Do as click's own decorators do: the list is reversed when the command is made."""
    parameters: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
    parameters.append(made)
    return function
