"""What every command is given: the console, and what is loaded only when it is asked for."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.console import Console

if TYPE_CHECKING:
    from kubedoctor.plugins import Manager

ALLOW_LIST = "KUBEDOCTOR_PLUGINS"


class App:
    """The state of one run of the program, reached by `pass_app`."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.blocked: tuple[str, ...] = ()
        self.verbose = 0
        self.is_program = False
        """Whether this process is the program's own, so that a command may fork; not that of a test."""
        self._told = 0

    @cached_property
    def manager(self) -> Manager:
        """The plugins, loaded when first asked for."""
        from kubedoctor.plugins import load

        return load(block=self.blocked, allow=allowed_plugins())

    @property
    def loaded(self) -> Manager | None:
        """The plugins if anyone asked for them; None when this command did not."""
        manager: Manager | None = vars(self).get("manager")
        return manager

    def tell_plugin_problems(self) -> None:
        """Tell on stderr, once each, which plugins or parts of them had to be left out."""
        problems = self.loaded.problems if self.loaded else []
        for problem in problems[self._told :]:
            if not self.console.quiet:
                self.console.warn(f"plugin {problem.owner}: {problem.message}")
        self._told = len(problems)

    def block(self, names: tuple[str, ...]) -> None:
        """Leave these plugins out; without effect once they are loaded."""
        self.blocked += tuple(name for name in names if name not in self.blocked)

    def forget_plugin_problems(self) -> None:
        """Do not tell of them: the command does so itself."""
        self._told = len(self.manager.problems)


def allowed_plugins() -> frozenset[str] | None:
    """Return the names in $KUBEDOCTOR_PLUGINS: set but empty means none at all, unset (None) means all."""
    chosen = os.environ.get(ALLOW_LIST)
    if chosen is None:
        return None
    return frozenset(name.strip() for name in chosen.split(",") if name.strip())


pass_app = click.make_pass_decorator(App)
