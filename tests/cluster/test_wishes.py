"""What is remembered of an `up` means the same wherever the next command runs."""

from __future__ import annotations

from pathlib import Path

from kubedoctor.cluster.wishes import added, anchored, anchored_variables, honoured

BASE = Path("/srv/here")


def test_paths_of_options_are_made_absolute_and_nothing_else_is_touched() -> None:
    given = {
        "config": "my.toml",
        "bin_dir": "_output/bin",
        "binary": ("etcd=./etcd", "kubectl=/opt/kubectl"),
        "authority": ("server=ca.pem,ca-key.pem",),
        "name": "two",
        "set": ("etcd.data-dir=data",),
    }
    assert anchored(given, BASE) == {
        "config": "/srv/here/my.toml",
        "bin_dir": "/srv/here/_output/bin",
        "binary": ("etcd=/srv/here/etcd", "kubectl=/opt/kubectl"),
        "authority": ("server=/srv/here/ca.pem,/srv/here/ca-key.pem",),
        "name": "two",
        "set": ("etcd.data-dir=data",),
    }


def test_paths_of_variables_are_made_absolute_under_either_name() -> None:
    given = {
        "AUDIT_POLICY_FILE": "policy.yaml",
        "KUBEDOCTOR_ETCD_DIR": "data",
        "KUBEDOCTOR_BINARY": "etcd='my etcd'",
        "LOG_DIR": "",
        "LOG_LEVEL": "4",
    }
    assert anchored_variables(given, BASE) == {
        "AUDIT_POLICY_FILE": "/srv/here/policy.yaml",
        "KUBEDOCTOR_ETCD_DIR": "/srv/here/data",
        "KUBEDOCTOR_BINARY": "'etcd=/srv/here/my etcd'",
        "LOG_DIR": "",
        "LOG_LEVEL": "4",
    }


def test_anchoring_twice_changes_nothing_more() -> None:
    once = anchored({"bin_dir": "bin", "binary": ("etcd=etcd",)}, BASE)
    assert anchored(once, Path("/elsewhere")) == once


def test_variables_of_the_machine_are_not_remembered() -> None:
    given = {"LOG_LEVEL": "4", "KUBEDOCTOR_HOME": "/h", "KUBEDOCTOR_LOG_LEVEL": "5", "PATH": "/bin"}
    assert honoured(given) == {"LOG_LEVEL": "4", "KUBEDOCTOR_LOG_LEVEL": "5"}


def test_later_options_replace_earlier_ones_and_parts_add_up() -> None:
    earlier = {"api_port": "1", "set": ["etcd.a=1"], "only": ["etcd"]}
    assert added(earlier, {"api_port": "2", "set": ("etcd.b=2",)}) == {
        "api_port": "2",
        "set": ("etcd.a=1", "etcd.b=2"),
        "only": ("etcd",),
    }
