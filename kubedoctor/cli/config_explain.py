"""What `kubedoctor config --explain NAME` tells of one option or variable."""

from __future__ import annotations

from dataclasses import Field
from typing import TYPE_CHECKING, Any

from kubedoctor.cli.config_entries import entries
from kubedoctor.config import flag_of, options, variables_of
from kubedoctor.configuration.environment import known_variables, option_variables
from kubedoctor.configuration.values import closest, dashed
from kubedoctor.configuration.variables import CONFUSED, GONE, NODE, NODE_NOTE, SILENT
from kubedoctor.errors import UsageError
from kubedoctor.options import Form

if TYPE_CHECKING:
    from kubedoctor.configuration.layers import Resolved

FILE_KEYS = {
    "set": "[component.C.flags], without-flags in [component.C]",
    "env": "[component.C.env]",
    "v": "v in [component.C]",
    "vmodule": "vmodule in [component.C]",
    "json_logs": "json-logs in [component.C]",
    "ports": "port in [component.C], or the table [component.C.ports]",
    "binary": "the table [binary], or binary in [component.C]",
    "authority": "the table [authority]",
    "feature_gates": "the table [feature-gates]",
}
FORMS = {
    Form.PORT: "port",
    Form.CIDR: "range, or two of different families",
    Form.ADDRESS: "IP address",
    Form.HOST: "host name or IP address",
    Form.DIRECTORY: "directory",
    Form.PATH: "path",
    Form.URL: "URL",
    Form.DURATION: "duration",
    Form.VMODULE: "PATTERN=N,…",
    Form.SECONDS: "seconds",
}
TYPES = {
    "str": "text",
    "bool": "true or false",
    "int": "number",
    "int | None": "number",
    "float": "number",
    "tuple[str, ...]": "list",
}


def explanation(name: str, resolved: Resolved) -> str:
    """Return what there is to say of an option, by any of its names; raise UsageError for a name that is none."""
    found = option_named(name)
    if found:
        return _option(options()[found], resolved)
    if name in GONE:
        return f"{name} has no meaning here: {GONE[name]}"
    if name in NODE:
        return f"{name}: {NODE_NOTE}"
    if name in SILENT:
        return f"{name} is not read: its name is too general, and it has no use here"
    known = [*(dashed(option) for option in options()), *known_variables()]
    meant = CONFUSED.get(name) or closest(name.lstrip("-"), known)
    raise UsageError(
        f"there is no option `{name}`",
        hint=f"did you mean {meant}?" if meant else "`kubedoctor config --all` lists the options",
    )


def option_named(name: str) -> str:
    """Return the field that `api-port`, `api_port`, `--api-port`, `--no-node` or API_SECURE_PORT names, "" if none."""
    if name in option_variables():
        return option_variables()[name]
    for field in options().values():
        if name in flag_of(field).split("/"):
            return field.name
    plain = name.lstrip("-").replace("-", "_")
    return plain if plain in options() else ""


def type_of(field: Field[Any]) -> str:
    """Return what an option's values are, for people."""
    if field.metadata["choices"]:
        return ", ".join(field.metadata["choices"])
    form: Form = field.metadata["form"]
    if form is Form.FILE and field.type == "str":
        return "file"
    return FORMS.get(form) or TYPES.get(str(field.type), "one value for each key")


def default_of(field: Field[Any]) -> str:
    """Return an option's default, for people; "" for none."""
    default = field.default
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default) if isinstance(default, (int, str)) else ""


def _option(field: Field[Any], resolved: Resolved) -> str:
    rows = [
        ("is", type_of(field)),
        ("default", default_of(field) or "none"),
        ("flag", flag_of(field)),
        ("variables", ", ".join(variables_of(field))),
        ("file", FILE_KEYS.get(field.name) or dashed(field.name)),
    ]
    rows += [
        ("now", f"{entry.key} = {entry.toml}   ({entry.origin})")
        for entry in entries(resolved, everything=True)
        if entry.field == field.name
    ]
    return "\n".join([f"{dashed(field.name)}: {field.metadata['help']}", "", *(f"  {k:<10} {v}" for k, v in rows if v)])
