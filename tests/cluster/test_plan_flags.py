from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.planning import component, flag, plan

from kubedoctor.errors import ConfigError, PlanError

FLAGS = {"v", "vmodule", "bind-address", "secure-port", "audit-log-path", "event-ttl", "version"}


def knows_some(path: str, subcommand: Sequence[str]) -> frozenset[str]:
    return frozenset(FLAGS) if path.endswith("kube-scheduler") else frozenset()


def rejects_typos(path: str, words: Sequence[str]) -> str | None:
    return next((f"unknown flag: {word}" for word in words if "typo" in word), None)


def test_unknown_flags_are_left_out_with_a_note() -> None:
    made = plan(flags_of=knows_some)
    assert [word.partition("=")[0] for word in component(made, "kube-scheduler").argv[1:]] == [
        "--bind-address",
        "--secure-port",
        "--v",
    ]
    assert "kube-scheduler v1.37.2 has no --leader-elect: left out (--leader-elect=false)" in made.notes
    assert "leader-elect" not in component(made, "kube-scheduler").origins


def test_users_unknown_flag_is_refused_naming_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"kube-scheduler v1\.37\.2 has no flag --audit-log-typo") as refused:
        plan(flags_of=knows_some, rejects=rejects_typos, set={"kube-scheduler": {"audit-log-typo": "x"}})
    assert refused.value.hint == "did you mean --audit-log-path?"


def test_users_hidden_flag_is_passed_when_the_binary_takes_it() -> None:
    made = plan(flags_of=knows_some, rejects=rejects_typos, set={"kube-scheduler": {"hidden": True}})
    assert flag(made, "kube-scheduler", "hidden") == ""


def test_value_the_binary_refuses_is_told_before_anything_starts() -> None:
    def rejects(path: str, words: Sequence[str]) -> str | None:
        return 'invalid argument "abc" for "-v, --v" flag' if "--v=abc" in words else None

    with pytest.raises(PlanError, match='kube-scheduler refuses --v=abc: invalid argument "abc"'):
        plan(rejects=rejects, set={"kube-scheduler": {"v": "abc"}})


def test_binaries_are_asked_about_what_the_user_set_only() -> None:
    asked: list[str] = []

    def rejects(path: str, words: Sequence[str]) -> str | None:
        asked.append(path)
        return None

    plan(rejects=rejects)
    assert asked == []
    plan(rejects=rejects, set={"etcd": {"snapshot-count": 5}})
    assert asked == ["/opt/kubernetes/etcd"]


def test_json_logs_exclude_vmodule_however_it_is_set() -> None:
    together: tuple[dict[str, Any], ...] = (
        {"json_logs": ("kube-apiserver",), "vmodule": {"kube-apiserver": "a=1"}},
        {"json_logs": ("kube-apiserver",), "log_spec": "a=1"},
        {"set": {"kube-apiserver": {"logging-format": "json", "vmodule": "a=1"}}},
    )
    for wishes in together:
        with pytest.raises(ConfigError, match="kube-apiserver cannot log JSON with --vmodule: it works with text logs"):
            plan(**wishes)


def test_json_logs_are_each_programs_own() -> None:
    made = plan(json_logs=("kube-apiserver", "etcd"))
    assert flag(made, "kube-apiserver", "logging-format") == "json"
    assert flag(made, "etcd", "log-format") == "json"


def test_log_level_and_vmodule_of_one_component_replace_those_of_all() -> None:
    made = plan(log_level=3, log_spec="a=1", v={"kube-scheduler": 6}, vmodule={"kube-scheduler": "b=9"})
    assert (flag(made, "kube-scheduler", "v"), flag(made, "kube-scheduler", "vmodule")) == ("6", "b=9")
    assert (flag(made, "kube-apiserver", "v"), flag(made, "kube-apiserver", "vmodule")) == ("3", "a=1")


def test_etcd_has_no_numbered_log_levels() -> None:
    with pytest.raises(ConfigError, match="etcd has no log levels by number") as refused:
        plan(v={"etcd": 4})
    assert "log-level=debug" in refused.value.hint
