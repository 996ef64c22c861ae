from __future__ import annotations

from support.planning import component, plan

CALLER = {
    "PATH": "/home/me/bin:relative:/usr/bin",
    "HOME": "/home/me",
    "ETCD_DATA_DIR": "/elsewhere",
    "HTTPS_PROXY": "http://proxy:3128",
    "GODEBUG": "x=1",
    "KUBECONFIG": "/home/me/.kube/config",
}


def test_components_get_little_of_the_callers_environment() -> None:
    environment = component(plan(environment=CALLER), "etcd").env
    assert set(environment) == {"PATH", "HOME", "LANG", "GODEBUG"}


def test_path_keeps_the_callers_directories_and_has_the_systems() -> None:
    path = component(plan(environment=CALLER), "etcd").env["PATH"].split(":")
    assert path[:2] == ["/home/me/bin", "/usr/bin"]
    assert "/usr/sbin" in path
    assert "relative" not in path


def test_users_variables_come_on_top() -> None:
    made = plan(environment=CALLER, env={"etcd": {"GODEBUG": "y=2", "ETCD_LOG_LEVEL": "debug"}})
    assert component(made, "etcd").env["GODEBUG"] == "y=2"
    assert component(made, "etcd").env["ETCD_LOG_LEVEL"] == "debug"
    assert "ETCD_LOG_LEVEL" not in component(made, "kube-apiserver").env


def test_proxy_of_a_component_never_gets_the_clusters_own_traffic() -> None:
    made = plan(env={"kube-apiserver": {"HTTPS_PROXY": "http://proxy:3128"}})
    direct = component(made, "kube-apiserver").env["NO_PROXY"].split(",")
    assert {"localhost", "127.0.0.0/8", "::1", "198.18.0.1", "10.0.0.0/24", ".svc"} <= set(direct)


def test_no_proxy_of_the_user_is_left_alone() -> None:
    made = plan(env={"kube-apiserver": {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "all.mine"}})
    assert "NO_PROXY" not in component(made, "kube-apiserver").env
