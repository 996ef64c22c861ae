"""Writes the pages of docs/reference/ from the code: `python -m kubedoctor.reference`.

A test compares the pages with what this module makes, so they cannot fall behind.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import click

import kubedoctor
from kubedoctor import components, hookspecs
from kubedoctor.cli.main import COMMANDS, SECTIONS, cli
from kubedoctor.cli.reference import PAGES as CONFIGURATION
from kubedoctor.cluster import documents
from kubedoctor.jsonform import schema

MADE = "Made from the code by `python -m kubedoctor.reference`"

DOCUMENTS: tuple[type[Any], ...] = (
    components.Certificate,
    components.Component,
    components.Download,
    components.Found,
    components.GoBuild,
    components.Manifest,
    components.Probe,
    components.SourceBuild,
    documents.Event,
    documents.PlaceStatus,
    documents.Plan,
    documents.Status,
)
"""The dataclasses whose JSON form others read; each has a schema."""

CALLED = {
    "kubedoctor_components": ("for every plan, `up --dry-run` too", "the command fails and names the plugin"),
    "kubedoctor_modify_components": ("after all components are known", "the command fails and names the plugin"),
    "kubedoctor_manifests": ("for every plan", "the command fails and names the plugin"),
    "kubedoctor_binaries": ("for every binary that is looked for", "its candidates are left out and it is reported"),
    "kubedoctor_facts": ("once, when first needed", "its facts are left out and it is reported"),
    "kubedoctor_checks": ("once, when first needed", "its checks are left out and it is reported"),
    "kubedoctor_signatures": ("once, when first needed", "its signatures are left out and it is reported"),
    "kubedoctor_causes": ("once, when first needed", "its rules are left out and it is reported"),
    "kubedoctor_commands": ("when a command is not one of the core's", "its commands are left out and it is reported"),
}
"""For each hook: when it is called, and what happens when a plugin fails in it."""


def pages() -> dict[str, str]:
    """Return the text of every page by its path below docs/reference/."""
    return {
        **{name: page() for name, page in CONFIGURATION.items()},
        "cli.md": cli_page(),
        "hooks.md": hooks_page(),
        **{f"schemas/{kind.__name__}.json": json.dumps(schema(kind), indent=2) + "\n" for kind in DOCUMENTS},
    }


def write(directory: Path) -> None:
    """Write every page below *directory*."""
    for name, text in pages().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# --- hooks ------------------------------------------------------------------------------------------------------------

HOOKS = f"""\
# Hooks

{MADE}; edit `kubedoctor/hookspecs.py` and `kubedoctor/components.py` instead.

A plugin is a module (or package) that a distribution names in the entry-point group `kubedoctor`; its hooks are
functions marked with `@hookimpl`. They return data: only the core spawns, writes, signals, downloads and prints. An
implementation may ask for fewer arguments than are listed here, so a later kubedoctor can offer more. Plugins are
asked in the order of their names. How to write one: [write a plugin](../how-to/write-a-plugin.md).

| hook | called | when a plugin fails in it |
|---|---|---|
"""

DATA = """\
# Data

What hooks are given and return. All of it comes from `kubedoctor` itself (`from kubedoctor import Component`); whatever
is not listed in `kubedoctor.__all__` may change without notice. Fields without a default have to be given, all of them
by name.
"""


CONFIG = """\
What the cluster is asked to be: one frozen dataclass, with an attribute for each option of
[the configuration](configuration.md). Paths come from its methods, never from the layout of directories:
"""

ERROR = """\
A hook that raises it talks to the user, for instance about a value in `[plugin.NAME]` of the configuration file. Any
other exception is a defect of the plugin, and is shown as one.
"""


def hooks() -> list[str]:
    """Return the names of all hooks, in the order of their specification."""
    return [name for name in vars(hookspecs) if name.startswith("kubedoctor_")]


def heading(hook: str) -> str:
    """Return the heading of *hook*: its name and exact arguments."""
    return f"{hook}({', '.join(inspect.signature(getattr(hookspecs, hook)).parameters)})"


def hooks_page() -> str:
    """Return docs/reference/hooks.md."""
    parts = [HOOKS + "\n".join(f"| `{hook}` | {CALLED[hook][0]} | {CALLED[hook][1]} |" for hook in hooks()) + "\n"]
    for hook in hooks():
        function = getattr(hookspecs, hook)
        signature = str(inspect.signature(function)).replace("'", "")
        code = f"```python\n@hookimpl\ndef {hook}{signature}: ...\n```"
        parts.append(f"## {heading(hook)}\n\n{code}\n\n{inspect.getdoc(function)}\n")
    parts.append(DATA)
    for name in sorted(kubedoctor.__all__):
        value = getattr(kubedoctor, name)
        if inspect.isclass(value) and value.__module__ == "kubedoctor.components":
            parts.append(f"## {name}\n\n{inspect.getdoc(value)}\n\n```python\n{_source(value)}\n```\n")
    parts.append(f"## ClusterConfig\n\n{CONFIG}\n" + "\n".join(_methods(kubedoctor.ClusterConfig)) + "\n")
    parts.append(f"## KubedoctorError\n\n{inspect.getdoc(kubedoctor.KubedoctorError)}\n\n{ERROR}")
    return "\n".join(parts)


def _methods(kind: type[Any]) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_") or not isinstance(member, (property, FunctionType)):
            continue
        arguments = ""
        if isinstance(member, FunctionType):
            arguments = f"({', '.join(list(inspect.signature(member).parameters)[1:])})"
        yield f"- `config.{name}{arguments}`: {' '.join((inspect.getdoc(member) or '').split())}"


def _source(kind: type[Any]) -> str:
    """Return the fields or members of *kind* as they stand in the source, with their comments."""
    lines = inspect.getsource(kind).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("class "))
    body = [lines[start]]
    in_docstring = False
    for line in lines[start + 1 :]:
        if in_docstring or line.strip().startswith('"""'):
            opened = not in_docstring
            in_docstring = not line.rstrip().endswith('"""') or (opened and line.strip() == '"""')
        elif line.strip().startswith(("def ", "@")):
            break
        elif line.strip():
            body.append(line)
    return "\n".join(body)


# --- commands ---------------------------------------------------------------------------------------------------------


COMMANDS_INTRODUCTION = f"""\
# Commands

{MADE}; edit the commands in `kubedoctor/cli/` instead.

Exit status: 0 well · 1 not well (a cluster that did not come up or is not ready) · 2 wrong use · 3 a defect in
kubedoctor or a plugin, with a crash file to attach · 4 could not tell · 130 interrupted. Data goes to stdout,
everything else to stderr. `NO_COLOR` is honoured.
"""


def cli_page() -> str:
    """Return docs/reference/cli.md. It does not hold click's own help, whose form changes with click's version."""
    parts = [COMMANDS_INTRODUCTION, "## Global options\n\nThey may stand before or after the command.\n", _options(cli)]
    for section in SECTIONS:
        for name in (name for name, (_, _, where) in COMMANDS.items() if where == section):
            where, _, attribute = COMMANDS[name][0].partition(":")
            parts += _command(f"kubedoctor {name}", getattr(import_module(where), attribute), 2)
    return "\n".join(part for part in parts if part)


def _command(path: str, command: click.Command, level: int) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    words = [path, *(_placeholder(argument) for argument in arguments)]
    if isinstance(command, click.Group):
        words.append("COMMAND")
    yield f"{'#' * level} {path}\n\n`{' '.join(words)}`\n"
    yield "\n\n".join(map(_paragraph, inspect.cleandoc(command.help or "").split("\n\n"))) + "\n"
    yield _options(command)
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _command(f"{path} {name}", child, level + 1)


def _paragraph(text: str) -> str:
    # A backspace at its start tells click to leave the paragraph as it is.
    return f"```\n{text.removeprefix(chr(8)).strip()}\n```" if text.startswith("\b") else text


def _options(command: click.Command) -> str:
    shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return "".join(f"- `{_spelled(option)}`: {option.help or ''}\n" for option in shown)


def _spelled(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    return names if option.is_flag or option.count else f"{names} {_value(option)}"


def _placeholder(argument: click.Argument) -> str:
    if argument.metavar:
        return argument.metavar
    word = _value(argument) + ("…" if argument.nargs != 1 else "")
    return word if argument.required else f"[{word}]"


def _value(parameter: click.Parameter) -> str:
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    return (parameter.name or "").upper() if isinstance(parameter, click.Argument) else parameter.type.name.upper()


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
