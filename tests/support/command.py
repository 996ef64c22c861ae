"""The program as a person runs it: a process of its own, with its own home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSED_ON = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME", "GOFLAGS", "GOPROXY", "GOMODCACHE", "GOCACHE")


@dataclass(frozen=True)
class Done:
    """What a run of the program came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Kubedoctor:
    """Runs `kubedoctor` with a home of its own; `prefix` is what starts the interpreter, for another user."""

    home: Path
    bin_dir: Path
    prefix: Sequence[str] = (sys.executable,)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        ours = {"KUBEDOCTOR_DOWNLOAD": "off", "KUBEDOCTOR_BIN_DIR": str(self.bin_dir)}
        ours["KUBEDOCTOR_NODE"] = "off"  # a test that wants one says --node
        ours["KUBEDOCTOR_HOME"] = str(self.home)
        return {**inherited, **ours, **self.env, **(extra or {})}

    def argv(self, *arguments: str) -> list[str]:
        return [*self.prefix, "-m", "kubedoctor", *arguments]

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 100, stdin: str = ""
    ) -> Done:
        done = subprocess.run(
            self.argv(*arguments),
            env=self.environment(env),
            cwd=self.cwd or self.home.parent,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run it and insist that it went well."""
        done = self(*arguments, env=env)
        assert done.status == 0, f"kubedoctor {' '.join(arguments)}: {done.status}\n{done.out}\n{done.err}"
        return done

    def popen(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start it and return at once."""
        return subprocess.Popen(
            self.argv(*arguments),
            env=self.environment(env),
            cwd=self.cwd or self.home.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
