"""What other machines lack for a node, and what would be run there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.machines import EVERYTHING, KERNEL, RELEASES, machine

from kubedoctor.cluster.setup.kernel import IPTABLES, IPVS, NFT, OVERLAY
from kubedoctor.cluster.setup.machine import Machine, parse_release
from kubedoctor.cluster.setup.missing import Missing, Wish, missing_for_node, require_for_node, steps_for
from kubedoctor.errors import KubedoctorError

ROOTS, ANN = Wish(), Wish(user="ann")
DEP = "kernel/net/netfilter/{}.ko.zst: kernel/net/netfilter/x_tables.ko.zst\n"


def commands(missing: list[Missing], where: Machine) -> list[str]:
    return [str(step) for step in steps_for([one for one in missing if not one.optional], where)]


def named(missing: list[Missing]) -> list[str]:
    return [one.what for one in missing]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("wish", [ROOTS, ANN, Wish(proxy_mode="nftables"), Wish(proxy_mode="ipvs", user="ann")])
def test_where_everything_is_nothing_is_missing(tmp_path: Path, release: str, wish: Wish) -> None:
    assert missing_for_node(wish, machine(tmp_path, release)) == []


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (
            "debian",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mount iptables ipset uidmap",
        ),
        (
            "mint",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mount iptables ipset uidmap",
        ),
        ("fedora", "dnf install -y util-linux iptables-nft ipset shadow-utils"),
        ("rocky10", "dnf install -y util-linux iptables-nft ipset shadow-utils"),
        ("rhel8", "dnf install -y util-linux iptables ipset shadow-utils"),
        ("amazon", "dnf install -y util-linux iptables-nft ipset shadow-utils"),
        ("leap", "zypper --non-interactive install --no-recommends util-linux iptables ipset shadow"),
        ("tumbleweed", "zypper --non-interactive install --no-recommends util-linux iptables ipset shadow"),
        ("arch", "pacman -Sy --needed --noconfirm util-linux iptables ipset shadow"),
        ("alpine", "apk add util-linux iptables ipset shadow-uidmap"),
    ],
)
def test_programs_come_with_the_packages_of_the_distribution(tmp_path: Path, release: str, expected: str) -> None:
    bare = machine(tmp_path, release, programs=["usermod"])
    missing = missing_for_node(Wish(proxy_mode="ipvs", user="ann"), bare)
    assert named(missing) == ["mount", "iptables", "ipset", "newuidmap", "conntrack"]
    assert [one.what for one in missing if one.optional] == ["conntrack"]
    done = commands(missing, bare)
    assert done == (["apt-get update", expected] if release in ("debian", "mint") else [expected])


def test_a_system_without_a_manager_we_know_is_told_what_to_install(tmp_path: Path) -> None:
    bare = machine(tmp_path, "nixos", programs=["mount", "conntrack"])
    (missing,) = missing_for_node(ROOTS, bare)
    assert missing.advice == "install iptables as this system installs programs"
    assert commands([missing], bare) == []


def test_a_system_that_is_an_image_gets_no_command_that_cannot_work(tmp_path: Path) -> None:
    bare = machine(tmp_path, "fedora", programs=["mount"], files={"/run/ostree-booted": ""})
    assert commands(missing_for_node(ROOTS, bare), bare) == []


def test_what_is_there_tells_where_nothing_else_does(tmp_path: Path) -> None:
    bare = machine(tmp_path, "nixos", programs=["mount", "apk"], files={"/etc/os-release": "garbage\n'=\n"})
    assert commands(missing_for_node(ROOTS, bare), bare) == ["apk add iptables"]


def test_pacman_asks_for_no_half_upgrade_where_it_has_its_lists(tmp_path: Path) -> None:
    bare = machine(tmp_path, "arch", programs=["mount"], files={"/var/lib/pacman/sync/core.db": ""})
    assert commands(missing_for_node(ROOTS, bare), bare) == ["pacman -S --needed --noconfirm iptables"]


def test_an_older_system_is_served_by_yum(tmp_path: Path) -> None:
    bare = machine(tmp_path, "amazon", programs=["mount", "yum"])
    assert commands(missing_for_node(ROOTS, bare), bare) == ["yum install -y iptables-nft"]


def test_nft_will_do_where_there_is_no_iptables(tmp_path: Path) -> None:
    assert missing_for_node(ROOTS, machine(tmp_path, "debian", set(EVERYTHING) - {"iptables"})) == []


def test_the_mode_that_is_wished_for_wants_its_own_program(tmp_path: Path) -> None:
    there = machine(tmp_path, "debian", set(EVERYTHING) - {"nft"})
    assert named(missing_for_node(Wish(proxy_mode="nftables"), there)) == ["nft"]


# --- the kernel -------------------------------------------------------------------------------------------------------


def test_a_kernel_without_overlay_is_told(tmp_path: Path) -> None:
    there = machine(tmp_path, "debian", files={"/proc/filesystems": "\text4\n"})
    (missing,) = missing_for_node(ROOTS, there)
    assert missing.what == "kernel feature overlay"
    assert "boot the kernel that is installed" in missing.advice


def test_a_module_that_is_there_is_loaded(tmp_path: Path) -> None:
    modules = f"/lib/modules/{KERNEL}/modules.dep"
    text = "kernel/fs/overlayfs/overlay.ko:\n" + "".join(DEP.format(one.module) for one in IPTABLES)
    there = machine(tmp_path, "debian", files={"/proc/filesystems": "", modules: text})
    assert missing_for_node(ROOTS, there) == []
    tried = missing_for_node(ROOTS, there, features=lambda *_, **__: {OVERLAY: "No such device"})
    assert commands(tried, there) == ["modprobe overlay"]


@pytest.mark.parametrize(
    ("release", "package"),
    [
        ("rocky10", f"dnf install -y kernel-modules-extra-{KERNEL}"),
        ("ubuntu", f"linux-modules-extra-{KERNEL}"),
        ("debian", ""),
    ],
)
def test_modules_that_a_distribution_keeps_apart_are_installed(tmp_path: Path, release: str, package: str) -> None:
    text = "".join(DEP.format(one.module) for one in (*IPTABLES, OVERLAY) if one.module != "xt_comment")
    there = machine(tmp_path, release, files={f"/lib/modules/{KERNEL}/modules.dep": text})
    (missing,) = missing_for_node(ROOTS, there)
    assert missing.what == "kernel feature xt_comment"
    done = commands([missing], there)
    assert done[-1:] == (["modprobe xt_comment"] if package else [])
    assert bool(missing.advice) is not bool(package)
    assert any(command.endswith(package) for command in done) or not package


def test_rules_are_those_of_the_mode(tmp_path: Path) -> None:
    there = machine(tmp_path, "debian", files={f"/lib/modules/{KERNEL}/modules.dep": "kernel/overlay.ko:\n"})
    ipvs = Wish(proxy_mode="ipvs")
    for wish, features in ((ROOTS, IPTABLES), (Wish(proxy_mode="nftables"), NFT), (ipvs, (*IPTABLES, *IPVS))):
        assert named(missing_for_node(wish, there)) == [f"kernel feature {one.module}" for one in features]


@pytest.mark.parametrize(
    "files",
    [
        {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"},
        {
            "/sys/fs/cgroup/cgroup.controllers": None,
            "/proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
            "cpuset\t1\t1\t1\ncpu\t2\t1\t1\nmemory\t0\t1\t0\npids\t3\t1\t1\n",
        },
    ],
)
def test_a_memory_controller_that_is_off_is_told(tmp_path: Path, files: dict[str, str | None]) -> None:
    (missing,) = missing_for_node(ROOTS, machine(tmp_path, "debian", files=files | {"/etc/subuid": ""}))
    assert missing.what == "cgroup controller memory"
    assert "cgroup_enable=memory" in missing.advice


# --- ordinary users ---------------------------------------------------------------------------------------------------


def test_a_user_gets_ids_that_nobody_has(tmp_path: Path) -> None:
    files = {"/etc/subuid": "bob:100000:65536\nann:5:1\njunk\n:::\n", "/etc/subgid": "bob:165536:65536\n"}
    there = machine(tmp_path, "debian", files=files)
    missing = missing_for_node(ANN, there)
    assert named(missing) == ["65536 subordinate uids and gids of ann"]
    assert commands(missing, there) == ["usermod --add-subuids 231072-296607 --add-subgids 231072-296607 ann"]
    assert missing_for_node(ROOTS, there) == []


def test_only_the_ids_that_lack_are_added(tmp_path: Path) -> None:
    there = machine(tmp_path, "alpine", set(EVERYTHING) - {"usermod"}, files={"/etc/subgid": None})
    assert commands(missing_for_node(ANN, there), there) == [
        "apk add shadow",
        "usermod --add-subgids 165536-231071 ann",
    ]


def test_settings_that_forbid_namespaces_are_changed_and_kept(tmp_path: Path) -> None:
    files = {
        "/proc/sys/kernel/unprivileged_userns_clone": "0\n",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
        "/proc/sys/user/max_user_namespaces": "0\n",
    }
    there = machine(tmp_path, "ubuntu", files=files)
    assert missing_for_node(ROOTS, there) == []
    write, load = steps_for(missing_for_node(ANN, there), there)
    assert write.argv == ("tee", "/etc/sysctl.d/60-kubedoctor.conf")
    assert write.text.splitlines() == [
        "kernel.unprivileged_userns_clone = 1",
        "kernel.apparmor_restrict_unprivileged_userns = 0",
        "user.max_user_namespaces = 15000",
    ]
    assert load.argv == ("sysctl", "-p", "/etc/sysctl.d/60-kubedoctor.conf")


# --- in one word ------------------------------------------------------------------------------------------------------


def test_up_is_refused_with_the_whole_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = machine(tmp_path, "debian", programs=[])
    monkeypatch.setattr("kubedoctor.cluster.setup.missing.Machine", lambda: bare)
    with pytest.raises(KubedoctorError) as raised:
        require_for_node(ROOTS)
    assert "mount (the kubelet mounts volumes with it), iptables (kube-proxy writes" in raised.value.message
    assert "conntrack" not in raised.value.message
    assert raised.value.hint.startswith("make it ready: kubedoctor setup\n")


@given(st.text())
def test_any_release_file_is_read(text: str) -> None:
    assert all(isinstance(value, str) for value in parse_release(text).values())
