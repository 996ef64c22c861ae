"""The rules of docs/explanation/architecture.md, held by reading the source: nothing is imported here but the core."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import kubedoctor

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "kubedoctor"
PLUGINS = ROOT / "plugins"
RESIDENT = ("keeper", "supervisor", "relay", "control")
"""The modules of kubedoctor.cluster that stay in memory as long as a cluster runs."""

HEAVY = {
    "cryptography": {"kubedoctor.cluster.pki", "kubedoctor.host.x509"},
    "h2": {"kubedoctor.host.grpc"},
    "httpx": {"kubedoctor.cluster.api", "kubedoctor.cluster.binaries", "kubedoctor.host"},
    "pluggy": {"kubedoctor.hookspecs", "kubedoctor.plugins"},
    "psutil": {"kubedoctor.host"},
    "pyroute2": {"kubedoctor.host", "kubedoctor.cluster.sandbox"},
    "rich": {"kubedoctor.cli", "kubedoctor.report"},
    "yaml": {
        "kubedoctor.cluster.kubeconfig_merge",
        "kubedoctor.cluster.kubeconfig_text",
        "kubedoctor.cluster.planning",
        "kubedoctor.cluster.yaml_edit",
        "kubedoctor.host.documents",
    },
    "click": {"kubedoctor.cli", "kubedoctor.reference"},
    "pytest": {"kubedoctor.testing"},
}
"""Where each library may be imported: in these modules and what is below them."""

LAYERS = {
    "kubedoctor.cluster": {"kubedoctor.cli", "kubedoctor.doctor", "kubedoctor.report"},
    "kubedoctor.doctor": {"kubedoctor.cli", "kubedoctor.cluster", "kubedoctor.report"},
    "kubedoctor.host": {"kubedoctor.cli", "kubedoctor.cluster", "kubedoctor.doctor", "kubedoctor.report"},
    "kubedoctor.report": {"kubedoctor.cli"},
}
"""What each part must not import. Modules at the top of the package must not import any part."""

PARTS = {"kubedoctor.cli", "kubedoctor.cluster", "kubedoctor.doctor", "kubedoctor.host", "kubedoctor.report"}
DOORS = {"kubedoctor", "kubedoctor.__main__", "kubedoctor.reference", "kubedoctor.testing"}
"""Modules at the top that are entries of their own and see everything."""

LONGEST = 400
LONGER = {
    "kubedoctor/config.py": "the table of all options, one entry an option",
    "kubedoctor/host/__init__.py": "the table of all doors and facts, one name a line",
}


@dataclass(frozen=True)
class Import:
    """An import of *module* that stands in *line* of *importer*; `name` is what is taken from it."""

    importer: str
    line: int
    module: str
    name: str = ""
    typing_only: bool = False

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module} {self.name}".rstrip()


def sources(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def module_name(path: Path) -> str:
    relative = path.relative_to(ROOT if path.is_relative_to(CORE) else PLUGINS).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in (*sources(CORE), *sources(PLUGINS))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = typing_only or _typing_only(child)
        yield child, inside
        yield from _walk(child, inside)


@cache
def imports(name: str) -> tuple[Import, ...]:
    """Return every import of the module, those inside functions too."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    for node, typing_only in _walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [Import(name, node.lineno, alias.name, typing_only=typing_only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *filter(None, [base])])
            for alias in node.names:
                module = f"{base}.{alias.name}"
                if module in modules():  # `from kubedoctor.cluster import files` imports a module
                    found.append(Import(name, node.lineno, module, typing_only=typing_only))
                else:
                    found.append(Import(name, node.lineno, base, alias.name, typing_only))
    return tuple(found)


def is_below(name: str, tops: set[str]) -> bool:
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def core_imports() -> Iterator[Import]:
    for name in modules():
        if is_below(name, {"kubedoctor"}):
            yield from imports(name)


def listed(broken: list[Import]) -> str:
    return "\n".join(map(str, broken))


# --- who sees whom ----------------------------------------------------------------------------------------------------


def test_the_parts_of_the_core_keep_to_their_layers() -> None:
    broken = [
        one
        for one in core_imports()
        for part, forbidden in LAYERS.items()
        if is_below(one.importer, {part}) and is_below(one.module, forbidden)
    ]
    assert not broken, listed(broken)


def test_the_modules_at_the_top_import_no_part() -> None:
    broken = [
        one
        for one in core_imports()
        if one.importer not in DOORS and not is_below(one.importer, PARTS) and is_below(one.module, PARTS)
    ]
    assert not broken, listed(broken)


def test_the_core_knows_no_plugin() -> None:
    bundled = {path.name for path in PLUGINS.iterdir()}
    broken = [one for one in core_imports() if one.module.split(".")[0] in {*bundled, "plugins"}]
    assert not broken, listed(broken)


def test_plugins_see_only_what_the_core_makes_public() -> None:
    broken = []
    for name in modules():
        own = name.split(".")[0]
        if own == "kubedoctor":
            continue
        for one in imports(name):
            top = one.module.split(".")[0]
            public = one.module == "kubedoctor" and one.name in kubedoctor.__all__
            public |= (one.module, one.name) == ("kubedoctor.host", "")  # `from kubedoctor import host`, and no further
            if not (public or top in (own, "click") or top in sys.stdlib_module_names):
                broken.append(one)
    assert not broken, listed(broken)


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_in_its_place_only(library: str) -> None:
    broken = [
        one
        for one in core_imports()
        if one.module.split(".")[0] == library and not is_below(one.importer, HEAVY[library]) and not one.typing_only
    ]
    assert not broken, listed(broken)


def test_every_library_that_is_imported_is_declared() -> None:
    declared = {
        requirement.replace("[", ">").replace("<", ">").split(">")[0].strip().lower()
        for requirement in project()["dependencies"]
    }
    distribution = {"yaml": "pyyaml"}
    declared.add("pytest")  # whoever asks for kubedoctor.testing has it
    found = {
        one.module.split(".")[0]
        for one in core_imports()
        if one.module.split(".")[0] not in sys.stdlib_module_names and not is_below(one.module, {"kubedoctor"})
    }
    assert {distribution.get(name, name) for name in found} <= declared


# --- what stays in memory ---------------------------------------------------------------------------------------------


def closure(*names: str) -> dict[str, tuple[Import, ...]]:
    """Return all modules of ours that *names* may come to import, with their imports."""
    waiting, seen = list(names), dict[str, tuple[Import, ...]]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in modules():
            continue
        seen[name] = tuple(one for one in imports(name) if not one.typing_only)
        waiting += [one.module for one in seen[name]]
        waiting += [".".join(name.split(".")[:length]) for length in range(1, name.count(".") + 1)]  # its packages
    return seen


def test_resident_processes_import_the_standard_library_only() -> None:
    reached = closure(*(f"kubedoctor.cluster.{name}" for name in RESIDENT))
    broken = [
        one
        for found in reached.values()
        for one in found
        if one.module.split(".")[0] not in {*sys.stdlib_module_names, "kubedoctor"}
    ]
    assert not broken, listed(broken)
    assert {f"kubedoctor.cluster.{name}" for name in RESIDENT} <= reached.keys()


def test_nothing_prints_but_the_command_line_and_what_writes_the_keepers_log() -> None:
    resident = closure(*(f"kubedoctor.cluster.{name}" for name in RESIDENT))
    broken = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        if not is_below(name, {"kubedoctor.cli"}) and name not in resident
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not broken


# --- the public API ---------------------------------------------------------------------------------------------------


def test_what_is_public_is_importable_and_nothing_else_is_offered() -> None:
    for name in kubedoctor.__all__:
        assert getattr(kubedoctor, name) is not None
    homes: dict[str, str] = kubedoctor._HOME
    assert sorted(kubedoctor.__all__) == sorted([*homes, "host"]) == sorted(set(kubedoctor.__all__))
    for_types = {one.name: one.module for one in imports("kubedoctor") if one.typing_only and one.name}
    assert for_types == {name: f"kubedoctor.{home}" for name, home in homes.items()}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = kubedoctor.no_such_name


@pytest.mark.parametrize("name", [name for name in modules() if name.split(".")[0] != "kubedoctor"])
def test_what_a_bundled_plugin_lists_in_all_is_there(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public)


# --- bundled plugins look like everyone's -----------------------------------------------------------------------------


def project() -> dict[str, list[str]]:
    table: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_entry_points_are_the_directories_of_plugins() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["kubedoctor"]
    directories = sorted(path.name for path in PLUGINS.iterdir() if path.name != "__pycache__")
    assert points == {name.removeprefix("kubedoctor_").replace("_", "-"): name for name in directories}
    assert list(points) == sorted(points)


def test_plugins_is_a_directory_of_packages_and_never_one_itself() -> None:
    assert not (PLUGINS / "__init__.py").exists()
    for path in PLUGINS.iterdir():
        if path.name != "__pycache__":
            assert (path / "__init__.py").is_file()


@pytest.mark.parametrize("package", sorted(path.name for path in PLUGINS.iterdir() if path.name != "__pycache__"))
def test_a_bundled_plugin_has_its_hooks_and_nothing_else_in_its_first_file(package: str) -> None:
    functions = [node for node in tree(PLUGINS / package / "__init__.py").body if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        assert function.name.startswith("kubedoctor_")
        assert [ast.unparse(decorator) for decorator in function.decorator_list] == ["hookimpl"]
        assert ast.get_docstring(function)
    for path in sources(PLUGINS / package):
        marks = [
            ast.unparse(decorator)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
        ]
        assert path.name == "__init__.py" or "hookimpl" not in marks


# --- the files --------------------------------------------------------------------------------------------------------


def test_no_module_is_too_long_to_be_read() -> None:
    too_long = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in modules().values()
        if len(path.read_text().splitlines()) > LONGEST and str(path.relative_to(ROOT)) not in LONGER
    }
    assert not too_long


def test_every_module_says_what_it_is_for() -> None:
    assert not [name for name, path in modules().items() if tree(path).body and not ast.get_docstring(tree(path))]


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_file_names_this_machine_or_a_package_registry() -> None:
    registries = [".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"), ("proxy", "golang", "org"))]
    forbidden = [*registries, f"{ROOT}/"]
    broken = []
    for path in tracked():
        if path.is_file():
            text = path.read_bytes().decode(errors="replace")
            broken += [f"{path.relative_to(ROOT)}: {word}" for word in forbidden if word in text]
    assert not broken
