"""Reference pages made from the code: `python -m kubedoctor.cli.reference` writes them into docs/reference/.

A test compares the pages with what this module makes, so they cannot fall behind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from kubedoctor.cli.config_explain import FILE_KEYS, default_of, type_of
from kubedoctor.config import GROUPS, flag_of, options, variables_of
from kubedoctor.configuration.values import dashed
from kubedoctor.configuration.variables import CONFUSED, GONE, NODE, NODE_NOTE, SILENT

INTRODUCTION = """\
# Configuration

Made from the code by `python -m kubedoctor.reference`; edit `kubedoctor/config.py` instead.

Every option may be set in four places. What stands further down wins:

1. the default,
2. the configuration file,
3. the environment: `KUBEDOCTOR_<OPTION>`, and before that the names of `hack/local-up-cluster.sh`,
4. the command line.

Options with parts (`set`, `env`, `v`, `vmodule`, `json-logs`, `ports`, `binary`, `authority`, `feature-gates`) are
laid over each other part by part; of all others the highest place wins as a whole. `kubedoctor config` shows what is
set and where, `kubedoctor config --explain NAME` tells of one option or variable.

## The file

`--config FILE` or `$KUBEDOCTOR_CONFIG`, else `./kubedoctor.toml`, else `$XDG_CONFIG_HOME/kubedoctor/config.toml`
(`~/.config/kubedoctor/config.toml`), for root also `/etc/kubedoctor/config.toml`: the first there is, alone. A
`./kubedoctor.toml` that belongs to another user, or that everybody may write, is refused unless it is named by
`--config`: it says which programs are run. Under sudo the file may belong to whoever called sudo.

```toml
kubernetes = "1.37.2"
api-port = 7443
cluster-cidr = "10.2.0.0/16"
audit-policy-file = "audit.yaml"       # paths are seen from the file's directory

[feature-gates]
DynamicResourceAllocation = true

[component.kube-apiserver]
v = 4
port = 7443                            # outside port; `ports = { NAME = 1234 }` where there are several
without-flags = ["profiling"]          # the flag is not passed

[component.kube-apiserver.flags]       # text, numbers, true and false; a list is joined with commas
max-requests-inflight = 800

[component.kube-controller-manager.env]
GODEBUG = "gctrace=1"

[component.kube-scheduler]
json-logs = true                       # Kubernetes has no vmodule with it
binary = "./_output/bin/kube-scheduler"

[authority]
server = "ca/server.crt,ca/server.key"

[plugin.example]                       # whatever the plugin of that name reads
colour = "green"

[cluster.other]                        # for the cluster of that name, over all of the above
api-port = 8443
```

An unknown key, a value of another type and a syntax error are errors that name the file and the key or line.

## The environment

An empty variable counts as not set. Booleans are `true`, `1`, `yes`, `on` and `false`, `0`, `no`, `off`. Lists are
separated by commas; the items of `KUBEDOCTOR_SET`, `_ENV`, `_VMODULE`, `_BINARY` and `_AUTHORITY` by spaces, quoted as
in a shell. Paths are seen from the current directory. A value that cannot be read is an error, unless something above
sets the option: general names such as `LOG_LEVEL` may be meant for another program. Names that are almost one of these
are reported. sudo drops variables: `sudo -E` keeps them.

Of two names for one thing (`KUBE_DNS_SERVER_IP`, `DNS_SERVER_IP`) the one that local-up-cluster.sh reads wins.

Some defaults differ from those of the script: etcd's data is kept (`PRESERVE_ETCD`), certificates are reused while they
are right (`REUSE_CERTS`), `up` returns when the cluster is ready (`ENABLE_DAEMON`; `false` keeps it attached), nothing
listens on other machines' addresses, and auditing is off without a policy.

## The command line

Options that may be given several times add up; lists also take commas. `--set C.flag` passes a bare flag, and
`--set C.flag-` removes one. `--v N` is the level of all components, `--v C=N` that of one. `--json-logs C-` takes back
what the file says. `--port C=PORT` sets the outside port of a component's first port, `--port C.NAME=PORT` that of
another one. For the components with a port option of their own, `--set C.port=PORT` means the same: none of them has a
flag of that name. `--publish [ADDRESS:][OUTSIDE:]INSIDE` chooses a free port outside when none is named.

## Options
"""


def configuration_page() -> str:
    """Return docs/reference/configuration.md."""
    parts = [INTRODUCTION]
    for name, field in options().items():
        if name in GROUPS:
            parts.append(f"\n### {GROUPS[name]}\n")
        parts.append(_option(field))
    parts.append(_variables())
    return "\n".join(parts).rstrip() + "\n"


def _option(field: Field[Any]) -> str:
    facts = [type_of(field)]
    if default := default_of(field):
        facts.append(f"default `{default}`")
    if flag := flag_of(field):
        facts.append(f"`{flag}`")
    facts.append(", ".join(f"`{variable}`" for variable in variables_of(field)))
    if field.name in FILE_KEYS:
        facts.append(f"in the file: {FILE_KEYS[field.name]}")
    return f"- **`{dashed(field.name)}`**: {field.metadata['help']}  \n  {' · '.join(facts)}"


def _variables() -> str:
    lines = ["\n## Variables without meaning\n", "Known, read by nobody; one line says so when they are set.\n"]
    lines += [f"- `{name}`: {reason}" for name, reason in sorted(GONE.items())]
    lines += ["\n## Variables of the node\n", f"{NODE_NOTE[0].upper()}{NODE_NOTE[1:]}: {_names(NODE)}."]
    lines += ["\n## Other names\n", f"Neither read nor mentioned, being too general: {_names(SILENT)}.\n"]
    lines += ["Easily confused:\n", *(f"- `{wrong}`: `{right}`" for wrong, right in sorted(CONFUSED.items()))]
    return "\n".join(lines)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


PAGES: Mapping[str, Callable[[], str]] = {"configuration.md": configuration_page}


def write_pages(directory: Path) -> None:
    """Write all pages into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page())


if __name__ == "__main__":
    write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
