"""Writes the pages of docs/reference/ from the code: `python -m kubedoctor.reference`.

A test compares the pages with what this module makes, so they cannot fall behind.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import click

import kubedoctor
from kubedoctor import components, facts, hookspecs
from kubedoctor.cli.main import COMMANDS, SECTIONS, cli
from kubedoctor.cli.reference import PAGES as CONFIGURATION
from kubedoctor.cluster import documents
from kubedoctor.doctor.documents import Report
from kubedoctor.doctor.recording import Recording
from kubedoctor.jsonform import schema
from kubedoctor.plugins import Manager, bundled_points
from kubedoctor.report.checks_page import page as page_of_checks

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
    Recording,
    Report,
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
        "checks.md": checks_page(),
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


DIAGNOSING = ("kubedoctor.facts", "kubedoctor.checks", "kubedoctor.targets")
"""The modules whose public names are for facts and checks, in the order they are told of."""

DIAGNOSIS = """\
# Facts and checks

What `kubedoctor_facts` and `kubedoctor_checks` return, and what their functions are given. The bundled checks:
[checks](checks.md). Doors to the machine, for facts, are in `kubedoctor.host`.
"""

FACT_ERROR = """\
A fact raises one of these when it cannot be had, and a check that does not catch it is told as unknown, with the
reason. Anything else that is raised is a defect of the plugin.
"""

CHECKS = f"""\
# Checks

{MADE}; edit the checks in `plugins/` instead.
`kubedoctor explain ID` tells the same, offline, and of the checks of other plugins too.

`kubedoctor check` runs all of them, or those named by id, pattern, plugin, tag (`tag:NAME`) or kubeadm's name. Words:
[how the doctor is put together](../explanation/doctor.md)."""

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
    parts += [_class(value) for value in _public("kubedoctor.components")]
    parts.append(DIAGNOSIS)
    parts += [_class(value) for module in DIAGNOSING for value in _public(module)]
    parts.append(f"## FactError\n\n{FACT_ERROR}\n" + "\n".join(_errors()) + "\n")
    parts.append(f"## ClusterConfig\n\n{CONFIG}\n" + "\n".join(_methods(kubedoctor.ClusterConfig, "config")) + "\n")
    parts.append(f"## KubedoctorError\n\n{inspect.getdoc(kubedoctor.KubedoctorError)}\n\n{ERROR}")
    return "\n".join(parts)


def _public(module: str) -> Iterator[Any]:
    """Yield the classes and functions of *module* that plugins may use, but for the errors of facts."""
    for name in sorted(kubedoctor.__all__):
        value = getattr(kubedoctor, name)
        is_error = inspect.isclass(value) and issubclass(value, facts.FactError)
        if getattr(value, "__module__", "") == module and not is_error:
            yield value


def _class(value: Any) -> str:
    """Return the section of a class, or of a function."""
    said = inspect.getdoc(value)
    if not inspect.isclass(value):
        return f"## {value.__name__}()\n\n```python\n{_signature(value)}\n```\n\n{said}\n"
    has_fields = is_dataclass(value) or issubclass(value, Enum)
    parts = [f"## {value.__name__}\n\n{said}\n", f"```python\n{_source(value)}\n```\n" if has_fields else ""]
    methods = "\n".join(_methods(value, value.__name__.lower()))
    return "\n".join(part for part in (*parts, f"{methods}\n" if methods else "") if part)


def _signature(function: FunctionType) -> str:
    """Return the definition as it stands in the source, without the body."""
    lines = []
    for line in inspect.getsource(function).splitlines():
        lines.append(line.partition("  #")[0])
        if lines[-1].endswith(":"):
            break
    return "\n".join(lines)


def _errors() -> Iterator[str]:
    for name in sorted(kubedoctor.__all__):
        value = getattr(kubedoctor, name)
        if inspect.isclass(value) and issubclass(value, facts.FactError):
            yield f"- `{name}`: {' '.join((inspect.getdoc(value) or '').split())}"


def checks_page() -> str:
    """Return docs/reference/checks.md, of the bundled plugins."""
    manager = Manager()
    for point in bundled_points():
        manager.add(point.name, point.load)
    about = {plugin.name: (inspect.getdoc(plugin.module) or "") for plugin in manager.plugins}
    return page_of_checks(manager.checks(), CHECKS, about)


def _methods(kind: type[Any], name: str) -> Iterator[str]:
    """Yield a line for each property and method, of an object called *name*."""
    for attribute, member in vars(kind).items():
        if attribute.startswith("_") or not isinstance(member, (property, FunctionType)):
            continue
        arguments = ""
        if isinstance(member, FunctionType):
            _self, *parameters = inspect.signature(member).parameters.values()
            stars: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
            arguments = f"({', '.join(stars.get(one.kind, '') + one.name for one in parameters)})"
        yield f"- `{name}.{attribute}{arguments}`: {' '.join((inspect.getdoc(member) or '').split())}"


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

Exit status: 0 well · 1 not well (findings, a cluster that did not come up or is not ready) · 2 wrong use ·
3 a defect in kubedoctor or a plugin, with a crash file to attach · 4 could not tell · 130 interrupted. Data goes to
stdout, everything else to stderr. `NO_COLOR` is honoured.
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
