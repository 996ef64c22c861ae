"""Loading plugins: the sick ones are named and left out, the others work on."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import (
    Component,
    Context,
    Download,
    Found,
    GoBuild,
    Kind,
    Look,
    Manifest,
    Phase,
    Severity,
    Source,
    check,
    fact,
    hookimpl,
)
from kubedoctor.config import ClusterConfig
from kubedoctor.contributions import Plugin, origins_after, rank_of_source
from kubedoctor.errors import KubedoctorError, PluginError, UsageError
from kubedoctor.plugins import Manager, load

CONFIG = ClusterConfig()


def component(name: str, **flags: Any) -> Component:
    return Component(name=name, kind=Kind.EXTRA, binary=name, flags=flags)


def plugin(**hooks: Callable[..., Any]) -> SimpleNamespace:
    """Return a plugin whose hooks are *hooks*, without the prefix in their names."""
    return SimpleNamespace(**{f"kubedoctor_{name}": hookimpl(hook) for name, hook in hooks.items()})


def _itself(module: object) -> object:
    return module


def manager(**plugins: object) -> Manager:
    """Return a manager with *plugins*; acme comes from a distribution of its own, the others from ours."""
    made = Manager()
    for name, module in plugins.items():
        distribution = ("acme-kubedoctor", "0.3") if name == "acme" else ("kubedoctor", "0.1")
        made.add(name, functools.partial(_itself, module), distribution=distribution[0], version=distribution[1])
    return made


def only_problem(found: Manager) -> str:
    (problem,) = found.problems
    return f"{problem.owner}: {problem.message}"


# --- an environment of real distributions -----------------------------------------------------------------------------


class Environment:
    """A directory on sys.path that distributions are installed into."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def install(self, distribution: str, entry: str, source: str = "", *, version: str = "1.0") -> None:
        """Install *distribution* with the entry point *entry* (`name = module`), the module holding *source*."""
        info = self.directory / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[kubedoctor]\n{entry}\n")
        (self.directory / f"{entry.partition('=')[2].strip()}.py").write_text(source)

    def points(self) -> list[EntryPoint]:
        """Return the entry points of what is installed."""
        return [
            point
            for distribution in distributions(path=[str(self.directory)])
            for point in distribution.entry_points
            if point.group == "kubedoctor"
        ]

    def load(self, **options: Any) -> Manager:
        """Load the plugins."""
        return load(points=self.points(), **options)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Environment(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


GOOD = """
from kubedoctor import Component, Kind, hookimpl

@hookimpl
def kubedoctor_components(config):
    return [Component(name="acme", kind=Kind.EXTRA, binary="acme", flags={"port": 80})]
"""


def test_a_plugin_is_found_by_its_entry_point_and_known_by_its_distribution(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD, version="0.3")
    found = environment.load()
    (loaded,) = found.plugins
    assert (loaded.owner, loaded.hooks) == ("acme (acme-kubedoctor 0.3)", ("kubedoctor_components",))
    assert loaded.seconds > 0
    assert found.problems == []
    assert found.components(CONFIG).origins == {("acme", "port"): "plugin acme (acme-kubedoctor 0.3)"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "left out: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('bye')", "left out: SystemExit: bye"),
        ("def (", "left out: SyntaxError: "),
        ("raise RuntimeError('one\\ntwo')", "left out: RuntimeError: one two"),
        (
            "from kubedoctor import hookimpl\n@hookimpl\ndef kubedoctor_components(config, cluster): ...",
            "left out: PluginValidationError: ",
        ),
        (
            "from kubedoctor import hookimpl\n@hookimpl\ndef kubedoctor_snapshots(): ...",
            "left out: PluginValidationError: unknown hook 'kubedoctor_snapshots'",
        ),
        (
            "from kubedoctor import hookimpl\n@hookimpl(wrapper=True)\ndef kubedoctor_checks():\n    return (yield)",
            "left out: TypeError: kubedoctor_checks is a hook wrapper",
        ),
    ],
)
def test_a_sick_plugin_is_named_and_the_others_load(environment: Environment, source: str, message: str) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD, version="0.3")
    environment.install("sick-one", "sick = sick_module", source)
    found = environment.load()
    assert [one.name for one in found.plugins] == ["acme"]
    assert only_problem(found).startswith(f"sick (sick-one 1.0): {message}")
    assert list(found.components(CONFIG).components) == ["acme"]


def test_an_interrupt_while_loading_is_not_taken_for_a_sick_plugin(environment: Environment) -> None:
    environment.install("sick-one", "sick = sick_interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        environment.load()


def test_the_second_plugin_of_a_name_is_left_out_and_ours_is_never_the_second(environment: Environment) -> None:
    environment.install("aaa", "etcd = aaa_etcd", GOOD.replace("acme", "theirs"))
    environment.install("kubedoctor", "etcd = our_etcd", GOOD.replace("acme", "ours"))
    environment.install("bbb", "etcd = bbb_etcd", GOOD)
    found = environment.load()
    assert list(found.components(CONFIG).components) == ["ours"]
    assert [f"{problem.owner}: {problem.message}" for problem in found.problems] == [
        "etcd (aaa 1.0): left out: etcd (kubedoctor 1.0) already has this name",
        "etcd (bbb 1.0): left out: etcd (kubedoctor 1.0) already has this name",
    ]


def test_a_module_under_two_names_is_loaded_once(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_twice\nbeta = acme_twice", GOOD)
    environment.directory.joinpath("acme_twice.py").write_text(GOOD)
    found = environment.load()
    assert [one.name for one in found.plugins] == ["acme"]
    assert "beta (acme-kubedoctor 1.0): left out: ValueError: Plugin already registered" in only_problem(found)


def test_a_name_that_cannot_be_the_prefix_of_a_check_is_refused(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "Acme.Corp = acme_named", GOOD)
    assert "the name must be lower-case words" in only_problem(environment.load())


def test_a_hook_without_its_mark_is_noticed_with_the_hook_that_was_meant() -> None:
    module = SimpleNamespace(kubedoctor_component=lambda config: [], kubedoctor_helper=lambda: None)
    messages = [problem.message for problem in manager(acme=module).problems]
    assert messages[0] == (
        "kubedoctor_component is not marked with @hookimpl, so it is never called (did you mean kubedoctor_components?)"
    )


def test_blocked_plugins_are_not_even_imported(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD)
    environment.install("sick-one", "sick = sick_exits", "raise SystemExit(3)")
    found = environment.load(block=["sick"])
    assert [one.name for one in found.plugins] == ["acme"]
    assert found.problems == []


def test_only_allowed_plugins_are_loaded(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD)
    environment.install("beta-kubedoctor", "beta = beta_good", GOOD.replace("acme", "beta"))
    assert [one.name for one in environment.load(allow={"beta"}).plugins] == ["beta"]
    assert environment.load(allow=()).plugins == []


def test_an_allowed_plugin_that_is_not_there_is_reported(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD)
    assert "betta: is not installed" in only_problem(environment.load(allow={"acme", "betta"}))


def test_blocking_a_plugin_that_is_not_there_is_wrong_use(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_good", GOOD)
    with pytest.raises(UsageError, match="there is no plugin `acne`") as raised:
        environment.load(block=["acne"])
    assert raised.value.hint == "did you mean `acme`?"


def test_no_plugin_at_all_means_kubedoctor_is_not_installed() -> None:
    with pytest.raises(KubedoctorError, match="no plugins found") as raised:
        load(points=[])
    assert "pip install" in raised.value.hint


# --- components and what is changed in them ---------------------------------------------------------------------------


def test_components_come_in_plugin_order_and_each_flag_knows_its_origin() -> None:
    def modify(config: ClusterConfig, components: dict[str, Component]) -> None:
        components["etcd"] = components["etcd"].with_flags({"quota": 2, "new": "x", "gone": None})
        components["extra"] = component("extra", port=1)

    found = manager(
        etcd=plugin(components=lambda config: [component("etcd", quota=1, data="d", gone="?")]),
        acme=plugin(components=lambda: [component("acme", on=True)], modify_components=modify),
    ).components(CONFIG)
    acme = "plugin acme (acme-kubedoctor 0.3)"
    assert list(found.components) == ["acme", "etcd", "extra"]
    assert found.origins == {
        ("acme", "on"): acme,
        ("etcd", "data"): "plugin etcd",
        ("etcd", "quota"): acme,
        ("etcd", "new"): acme,
        ("etcd", "gone"): acme,
        ("extra", "port"): acme,
    }


def test_a_plugin_sees_what_those_before_it_changed() -> None:
    def add(word: str) -> Callable[..., None]:
        def modify(components: dict[str, Component]) -> None:
            old = components["etcd"].flags["who"]
            components["etcd"] = components["etcd"].with_flags({"who": f"{old}{word}"})

        return modify

    found = manager(
        zeta=plugin(modify_components=add("z")),
        etcd=plugin(components=lambda: [component("etcd", who="")]),
        beta=plugin(modify_components=add("b")),
    ).components(CONFIG)
    assert found.components["etcd"].flags == {"who": "bz"}
    assert found.origins["etcd", "who"] == "plugin zeta"


def test_true_instead_of_one_is_a_change() -> None:
    def modify(components: dict[str, Component]) -> None:
        components["etcd"] = components["etcd"].with_flags({"v": True})

    found = manager(
        etcd=plugin(components=lambda: [component("etcd", v=1)]), beta=plugin(modify_components=modify)
    ).components(CONFIG)
    assert found.origins["etcd", "v"] == "plugin beta"


def test_a_component_may_be_taken_out() -> None:
    found = manager(
        etcd=plugin(components=lambda: [component("etcd", v=1)]),
        beta=plugin(modify_components=lambda components: components.clear()),
    ).components(CONFIG)
    assert found.components == {}
    assert found.origins == {}


def wrong_component(**fields: Any) -> Component:
    return Component(name="a", kind=Kind.EXTRA, binary="a", **fields)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda: 1 / 0, "kubedoctor_components failed: ZeroDivisionError: division by zero"),
        (lambda: sys.exit(2), "kubedoctor_components failed: SystemExit: 2"),
        (lambda: None, "kubedoctor_components failed: TypeError: returned NoneType, not a list"),
        (lambda: {"a": component("a")}, "kubedoctor_components failed: TypeError: returned dict, not a list"),
        (
            lambda: [{"name": "a"}],
            "kubedoctor_components failed: TypeError: returned a list with dict in it, not Component",
        ),
        (lambda: [component("a"), component("a")], "its component `a` is already one of acme (acme-kubedoctor 0.3)"),
        (lambda: [wrong_component(after="etcd")], "a: Component.after: expected a list, found 'etcd'"),
        (lambda: [wrong_component(env={"A": 1})], "a: Component.env.A: expected a string, found 1"),
        (lambda: [wrong_component(flags={"a": 1.5})], "a: Component.flags.a: expected a string or an integer or"),
        (lambda: [wrong_component(flags={"--a": "b"})], "a: `--a` is not a flag's name"),
        (lambda: [wrong_component(flags={"a=b": None})], "a: `a=b` is not a flag's name"),
    ],
)
def test_a_failure_in_components_names_the_plugin_and_how_to_do_without(hook: Callable[[], Any], message: str) -> None:
    with pytest.raises(PluginError) as raised:
        manager(acme=plugin(components=hook)).components(CONFIG)
    assert raised.value.message.startswith(f"plugin acme (acme-kubedoctor 0.3): {message}")
    assert len(raised.value.message.splitlines()) == 1
    assert raised.value.hint == "leave the plugin out with --no-plugin acme"


def test_a_generator_that_fails_half_way_names_the_plugin() -> None:
    def components() -> Iterator[Component]:
        yield component("a")
        raise KeyError("ports")

    with pytest.raises(PluginError, match=r"acme-kubedoctor 0\.3.*KeyError: 'ports'"):
        manager(acme=plugin(components=components)).components(CONFIG)


def test_two_plugins_with_one_component_are_both_named() -> None:
    with pytest.raises(PluginError, match=r"plugin etcd .*: its component `a` is already one of acme"):
        manager(
            acme=plugin(components=lambda: [component("a")]), etcd=plugin(components=lambda: [component("a")])
        ).components(CONFIG)


def returns_new_mapping(components: dict[str, Component]) -> dict[str, Component]:
    return {**components}


def renames(components: dict[str, Component]) -> None:
    components["b"] = components.pop("a")


def breaks(components: dict[str, Any]) -> None:
    components["a"] = None


def misses(components: dict[str, Component]) -> None:
    del components["kube-proxy"]


def spoils_a_flag(components: dict[str, Any]) -> None:
    components["a"].flags["odd"] = object()


@pytest.mark.parametrize(
    ("modify", "message"),
    [
        (returns_new_mapping, "has to edit the mapping it is given, but returned dict"),
        (renames, "left component `a` under the name `b`"),
        (breaks, "left NoneType as component `a`"),
        (misses, "failed: KeyError: 'kube-proxy'"),
    ],
)
def test_a_modification_gone_wrong_names_the_plugin(modify: Callable[..., Any], message: str) -> None:
    with pytest.raises(PluginError) as raised:
        manager(acme=plugin(components=lambda: [component("a")], modify_components=modify)).components(CONFIG)
    assert raised.value.message == f"plugin acme (acme-kubedoctor 0.3): kubedoctor_modify_components {message}"


def test_what_was_spoilt_in_place_is_noticed_too() -> None:
    with pytest.raises(PluginError, match=r"plugin acme .*: a: object has no JSON form"):
        manager(acme=plugin(components=lambda: [component("a")], modify_components=spoils_a_flag)).components(CONFIG)


def test_what_a_plugin_tells_the_user_is_told_as_it_is() -> None:
    def components(config: ClusterConfig) -> list[Component]:
        raise UsageError("[plugin.acme] needs `port`", hint="add it")

    with pytest.raises(UsageError, match=r"^\[plugin.acme\] needs `port`$"):
        manager(acme=plugin(components=components)).components(CONFIG)


def test_what_a_plugin_prints_does_not_get_between_our_data(capsys: pytest.CaptureFixture[str]) -> None:
    def components() -> Iterator[Component]:
        print("hello")  # noqa: T201 - what it must not do
        yield component("a")

    manager(acme=plugin(components=components)).components(CONFIG)
    assert capsys.readouterr() == ("", "hello\n")


FLAGS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, True, 1, "1", 0, False]))
CLUSTERS = st.dictionaries(st.sampled_from(["x", "y"]), FLAGS)


@given(CLUSTERS, CLUSTERS)
def test_every_flag_has_the_origin_of_whoever_set_it_last(
    before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> None:
    origins = {(name, flag): "first" for name, flags in before.items() for flag in flags}
    components = {name: component(name, **flags) for name, flags in after.items()}
    found = origins_after(origins, before, components, "second")
    assert found.keys() == {(name, flag) for name, flags in after.items() for flag in flags}
    for (name, flag), origin in found.items():
        same = flag in before.get(name, {}) and repr(before[name][flag]) == repr(after[name][flag])
        assert origin == ("first" if same else "second")


# --- manifests and binaries -------------------------------------------------------------------------------------------


def test_manifests_come_in_plugin_order() -> None:
    def manifests(name: str) -> Callable[..., list[Manifest]]:
        return lambda: [Manifest(name=name, objects=({"kind": "Namespace"},))]

    found = manager(zeta=plugin(manifests=manifests("z")), acme=plugin(manifests=manifests("a"))).manifests(CONFIG)
    assert [manifest.name for manifest in found] == ["a", "z"]
    with pytest.raises(PluginError, match="its manifest `a` is already one of acme"):
        manager(zeta=plugin(manifests=manifests("a")), acme=plugin(manifests=manifests("a"))).manifests(CONFIG)


CANDIDATES = st.one_of(
    st.builds(Found, path=st.just("/x"), source=st.sampled_from(Source)),
    st.just(Download(url="https://example.invalid/x", version="1")),
    st.just(GoBuild(module="example.invalid/x", version="v1", packages={})),
)


@given(st.lists(CANDIDATES), st.lists(CANDIDATES))
def test_candidates_are_tried_in_the_order_of_sources_then_of_plugins(first: list[Any], second: list[Any]) -> None:
    found = manager(acme=plugin(binaries=lambda name: first), beta=plugin(binaries=lambda name: second)).binaries(
        "etcd", CONFIG
    )
    ranks = [rank_of_source(candidate) for candidate in found]
    assert ranks == sorted(ranks)
    given_order = [*first, *second]
    for rank in set(ranks):
        assert [c for c in found if rank_of_source(c) == rank] == [c for c in given_order if rank_of_source(c) == rank]


def test_a_plugin_that_fails_to_find_binaries_is_reported_once_and_the_others_are_asked() -> None:
    found = manager(
        acme=plugin(binaries=lambda name: 1 / 0),
        binaries=plugin(binaries=lambda name: [Found(path=f"/bin/{name}", source=Source.PATH)]),
    )
    for _ in range(2):
        assert [c.path for c in found.binaries("etcd", CONFIG) if isinstance(c, Found)] == ["/bin/etcd"]
    assert only_problem(found) == (
        "acme (acme-kubedoctor 0.3): kubedoctor_binaries failed: ZeroDivisionError: division by zero"
    )


# --- facts and checks -------------------------------------------------------------------------------------------------


@fact("acme.speed")
def speed(look: Look) -> int:
    """How fast it is."""
    return 1


@check("acme.slow", title="it is fast", looks_at="speed", fix="push")
def slow(context: Context) -> None:
    """Slow things keep others waiting."""


def test_facts_and_checks_come_with_the_plugin_they_are_of() -> None:
    found = manager(acme=plugin(facts=lambda: [speed], checks=lambda: [slow]))
    assert (found.facts(), found.checks()) == ([speed], [slow])
    owner = found.owner_of("acme.slow")
    assert owner is not None
    assert owner.owner == "acme (acme-kubedoctor 0.3)"
    assert found.owner_of("core.fact") is None
    assert found.problems == []


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (slow.run, "is not a check: its function lacks the decorator `@check`, or it is something else"),
        (Unspeakable(), "a Unspeakable is not a check: its function lacks the decorator"),
        (replace(slow, id="beta.slow"), "check beta.slow: left out: `beta` is another plugin; it has to begin with"),
        (replace(slow, id="Acme Slow"), "check Acme Slow: left out: not <plugin>.<word> in lower-case words"),
        (replace(slow, id=cast("str", 3)), "check 3: left out: `id` is not text"),
        (replace(slow, of=cast("tuple[str, ...]", "etcd")), "check acme.slow: left out: `of` is not a tuple of texts"),
        (replace(slow, severity=cast("Severity", "error!")), "check acme.slow: left out: `severity` is not a Severity"),
        (replace(slow, phases=()), "check acme.slow: left out: `phases` is empty"),
        (replace(slow, phases=cast("tuple[Phase, ...]", Phase.RUNNING)), "left out: `phases` is not a tuple of phases"),
        (replace(slow, deadline=float("inf")), "left out: `deadline` is not a number of seconds above 0"),
        (replace(slow, run=cast("Any", None)), "left out: `run` is no function"),
    ],
)
def test_a_bad_check_is_named_and_left_out(offered: object, message: str) -> None:
    found = manager(acme=plugin(checks=lambda: [offered]))
    assert found.checks() == []
    assert message in only_problem(found)
    assert only_problem(found).startswith("acme (acme-kubedoctor 0.3): ")


def test_a_second_one_of_a_name_is_left_out() -> None:
    found = manager(acme=plugin(checks=lambda: [slow, replace(slow, title="other")], facts=lambda: [speed, speed]))
    assert found.checks() == [slow]
    assert found.facts() == [speed]
    assert [problem.message for problem in found.problems] == [
        "check acme.slow: left out: its id is taken by another one",
        "fact acme.speed: left out: its id is taken by another one",
    ]


# --- what is collected once -------------------------------------------------------------------------------------------


def test_what_is_collected_is_asked_for_once_and_a_failing_plugin_drops_out() -> None:
    asked = []

    def facts() -> list[object]:
        asked.append("acme")
        return [speed]

    found = manager(acme=plugin(facts=facts), beta=plugin(facts=lambda: 1 / 0))
    assert found.facts() == found.facts() == [speed]
    assert asked == ["acme"]
    assert only_problem(found).startswith("beta (kubedoctor 0.1): kubedoctor_facts failed: ZeroDivisionError")
    assert (found.checks(), found.signatures(), found.causes()) == ([], [], [])


def test_a_command_that_is_none_is_reported_and_the_first_of_a_name_stays() -> None:
    def command(name: str, owner: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, make_context=None, owner=owner)

    found = manager(
        acme=plugin(commands=lambda: [command("hello", "acme"), "not a command"]),
        beta=plugin(commands=lambda: [command("hello", "beta")]),
    )
    assert found.commands()["hello"].owner == "acme"
    assert [problem.message for problem in found.problems] == [
        "'not a command' is not a click command",
        "another plugin already has a command `hello`",
    ]
    assert list(found.commands()) == ["hello"]
    assert len(found.problems) == 2


# --- whose code it is -------------------------------------------------------------------------------------------------


def test_a_plugin_owns_the_files_of_its_package(environment: Environment) -> None:
    package = environment.directory / "acme_package"
    package.mkdir()
    environment.install("acme-kubedoctor", "acme = acme_package", GOOD)
    (environment.directory / "acme_package.py").unlink()
    (package / "__init__.py").write_text(GOOD)
    (owner,) = environment.load().plugins
    assert owner.owns(package / "component.py")
    assert not owner.owns(environment.directory / "other.py")


def test_a_plugin_of_one_file_owns_that_file_only(environment: Environment) -> None:
    environment.install("acme-kubedoctor", "acme = acme_single", GOOD)
    (owner,) = environment.load().plugins
    assert owner.owns(environment.directory / "acme_single.py")
    assert not owner.owns(environment.directory / "other.py")


def test_our_plugins_are_named_without_their_distribution_in_origins() -> None:
    def made(distribution: str) -> str:
        return Plugin(
            name="etcd", distribution=distribution, version="1", module=object(), hooks=(), seconds=0.0
        ).origin

    assert made("kubedoctor") == "plugin etcd"
    assert made("theirs") == "plugin etcd (theirs 1)"
