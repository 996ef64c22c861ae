"""The small languages of repeatable options: `C.flag=value`, `C=n`, `[ADDRESS:][OUTSIDE:]INSIDE` and their kin.

Every function returns what one item says or raises ConfigError, which tells the form that was expected; whoever calls
adds where the item stood.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from kubedoctor.components import FlagValue
from kubedoctor.configuration.values import absolute, boolean, number, plain, shown
from kubedoctor.errors import ConfigError
from kubedoctor.options import Form

COMPONENT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
FLAG = re.compile(r"[A-Za-z0-9]([-\w.]*\w)?", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Since 1.31 a gate may be meant for one component of a binary: `kube:Name=true`.
GATE = re.compile(r"([a-z][-a-z0-9]*:)?[A-Za-z][A-Za-z0-9]*")
# klog takes file name patterns, without `.go`, that may hold shell wildcards.
VMODULE = re.compile(r"[^\s,=]+=[0-9]{1,3}(,[^\s,=]+=[0-9]{1,3})*")
ROLES = ("server", "client", "request-header", "etcd")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?"
)


class FlagWish(NamedTuple):
    """A flag of a component; None removes it, True is the bare flag."""

    component: str
    flag: str
    value: FlagValue


class EnvWish(NamedTuple):
    """A variable in the environment of a component."""

    component: str
    variable: str
    value: str


class PublishWish(NamedTuple):
    """A port of the inside to be reachable at an address outside; 0: on any free port."""

    address: str
    outside: int
    inside: int


class ReachWish(NamedTuple):
    """A port of the host's loopback to be reachable inside, under a name unless that is empty."""

    name: str
    port: int


class ExternalWish(NamedTuple):
    """A component that runs elsewhere, at an address unless that is empty."""

    component: str
    address: str


def parse_set(text: str) -> FlagWish:
    """Return what `C.flag=value`, `C.flag` or `C.flag-` asks for."""
    component, flag, value = _component_item(text, "C.flag=value")
    flag = flag.lstrip("-")
    if value is None and flag.endswith("-"):
        return FlagWish(component, flag_name(flag[:-1]), None)
    return FlagWish(component, flag_name(flag), True if value is None else plain(value))


def parse_env(text: str) -> EnvWish:
    """Return what `C.K=V` asks for."""
    component, variable, value = _component_item(text, "C.K=V")
    if value is None:
        raise ConfigError(f"expected C.K=V, found {shown(text)}")
    return EnvWish(component, variable_name(variable), plain(value))


def parse_level(text: str) -> tuple[str, int]:
    """Return component and level of `C=n`; the component of `n` alone is "", which is all of them."""
    component, equals, level = text.rpartition("=")
    return component_name(component) if equals else "", log_level(level)


def parse_vmodule(text: str) -> tuple[str, str]:
    """Return component and pattern of `C=PATTERN=n,…`."""
    component, _, pattern = text.partition("=")
    if "=" not in pattern:
        raise ConfigError(
            f"expected C=PATTERN=n,…, found {shown(text)}",
            hint="LOG_SPEC or log-spec sets the pattern of all components",
        )
    return component_name(component), vmodule(pattern)


def parse_json_logs(text: str) -> tuple[str, bool]:
    """Return a component and whether it logs JSON: `C` does, `C-` does not."""
    return component_name(text.removesuffix("-")), not text.endswith("-")


def parse_binary(text: str, base: Path) -> tuple[str, str]:
    """Return component and absolute path of `C=PATH`."""
    component, equals, path = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"expected C=PATH, found {shown(text)}")
    return component_name(component), absolute(path, base)


def parse_port(text: str) -> tuple[str, str, int]:
    """Return component, name of the port ("" for its first) and outside port of `C=PORT` or `C.NAME=PORT`."""
    target, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"expected C=PORT or C.NAME=PORT, found {shown(text)}")
    component, dot, name = target.partition(".")
    return component_name(component), port_name(name) if dot else "", port(value)


def parse_authority(text: str, base: Path) -> tuple[str, str]:
    """Return role and `CERT,KEY`, both made absolute, of `ROLE=CERT,KEY`."""
    role, _, files = text.partition("=")
    return authority_role(role), authority_files(files, base)


def parse_gate(text: str) -> tuple[str, str]:
    """Return name and value (`true` or `false`) of a feature gate `Name=true`."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise ConfigError(f"expected NAME=true or NAME=false, found {shown(text)}")
    return gate_name(name), gate_value(name, value)


def parse_publish(text: str) -> PublishWish:
    """Return what `[ADDRESS:][OUTSIDE:]INSIDE` asks for; an IPv6 address stands in brackets."""
    match = re.fullmatch(
        r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<four>[0-9.]*\.[0-9.]*)):)?(?:(?P<out>[^:]*):)?(?P<inside>[^:]*)", text
    )
    if match is None:
        raise ConfigError(f"expected [ADDRESS:][OUTSIDE:]INSIDE, found {shown(text)}")
    given = match["six"] if match["six"] is not None else match["four"]
    outside = match["out"]
    return PublishWish(
        "127.0.0.1" if given is None else ip_address(given),
        port(outside) if outside not in (None, "", "0") else 0,
        port(match["inside"]),
    )


def parse_reach(text: str) -> ReachWish:
    """Return what `[NAME=]PORT` asks for."""
    name, _, value = text.rpartition("=")
    return ReachWish(host(name) if name else "", port(value))


def parse_external(text: str) -> ExternalWish:
    """Return what `C` or `C=ADDRESS` says; the address is kept as it is: a host, host:port or URL."""
    component, equals, address = text.partition("=")
    if equals and (not address or re.search(r"\s", address)):
        raise ConfigError(f"expected C or C=ADDRESS, found {shown(text)}")
    return ExternalWish(component_name(component), plain(address))


# --- the parts --------------------------------------------------------------------------------------------------------


def component_name(text: str) -> str:
    """Return *text* if a component can be called that."""
    if not COMPONENT.fullmatch(text):
        raise ConfigError(f"{shown(text)} cannot be the name of a component")
    return text


def port_name(text: str) -> str:
    """Return *text* if a port of a component can be called that."""
    if not COMPONENT.fullmatch(text):
        raise ConfigError(f"{shown(text)} cannot be the name of a port")
    return text


def flag_name(text: str) -> str:
    """Return *text* if a flag can be called that; no dashes in front."""
    if not FLAG.fullmatch(text):
        raise ConfigError(f"{shown(text)} cannot be the name of a flag")
    return text


def variable_name(text: str) -> str:
    """Return *text* if an environment variable can be called that."""
    if not VARIABLE.fullmatch(text):
        raise ConfigError(f"{shown(text)} cannot be the name of a variable")
    return text


def gate_name(text: str) -> str:
    """Return *text* if a feature gate can be called that."""
    if not GATE.fullmatch(text):
        raise ConfigError(f"{shown(text)} cannot be the name of a feature gate")
    return text


def gate_value(name: str, text: str) -> str:
    """Return `true` or `false` for what turns gate *name* on or off."""
    try:
        return str(boolean(text.strip())).lower()
    except ConfigError as problem:
        raise ConfigError(f"{name}: {problem.message}") from None


def authority_role(text: str) -> str:
    """Return *text* if there is an authority of that role."""
    if text not in ROLES:
        raise ConfigError(f"expected one of {', '.join(ROLES)}, found {shown(text)}")
    return text


def authority_files(text: str, base: Path) -> str:
    """Return `CERT,KEY` with both paths absolute."""
    cert, _, key = text.partition(",")
    if not cert.strip() or not key.strip() or "," in key:
        raise ConfigError(f"expected CERT,KEY, found {shown(text)}")
    return f"{absolute(cert.strip(), base)},{absolute(key.strip(), base)}"


def log_level(text: str) -> int:
    """Return a log level; klog takes any number from 0 up."""
    level = number(text.strip())
    if level < 0:
        raise ConfigError(f"expected 0 or more, found {level}")
    return level


def port(text: str) -> int:
    """Return a port, 1 to 65535."""
    return valid_port(number(text.strip(), Form.PORT))


def valid_port(value: int) -> int:
    """Return *value* if it is a port."""
    if not 1 <= value <= 65535:
        raise ConfigError(f"expected a port from 1 to 65535, found {value}")
    return value


def vmodule(text: str) -> str:
    """Return *text* if klog takes it as `--vmodule`."""
    if not VMODULE.fullmatch(text):
        raise ConfigError(f"expected PATTERN=n,…, found {shown(text)}")
    return text


def ip_address(text: str) -> str:
    """Return *text* if it is an IP address."""
    from ipaddress import ip_address as parse

    try:
        parse(text)
    except ValueError:
        raise ConfigError(f"expected an IP address, found {shown(text)}") from None
    return text


def host(text: str) -> str:
    """Return *text* if it is an IP address or a host name."""
    if re.fullmatch(r"[0-9.]+|.*:.*", text):
        return ip_address(text)
    if not HOST_NAME.fullmatch(text):
        raise ConfigError(f"expected a host name or an IP address, found {shown(text)}")
    return text


def _component_item(text: str, form: str) -> tuple[str, str, str | None]:
    target, equals, value = text.partition("=")
    component, dot, rest = target.partition(".")
    if not dot or not rest:
        raise ConfigError(f"expected {form}, found {shown(text)}")
    return component_name(component), rest, value if equals else None
