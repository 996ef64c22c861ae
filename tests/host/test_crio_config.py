from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor import Malformed
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.crio_config import CrioConfig, crio_config


def read(directory: Path) -> CrioConfig:
    return SharedLook().get(crio_config, str(directory / "crio.conf"), str(directory / "crio.conf.d"), 0)


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert read(tmp_path) == CrioConfig()


def test_drop_ins_are_laid_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "crio.conf.d").mkdir()
    (tmp_path / "crio.conf").write_text(
        '[crio.api]\nlisten = "/run/c.sock"\n[crio.network]\nnetwork_dir = "/a"\nplugin_dirs = ["/p", "/q"]\n'
    )
    (tmp_path / "crio.conf.d" / "10-b").write_text('[crio.network]\nnetwork_dir = "/b"\ncni_default_network = "x"\n')
    (tmp_path / "crio.conf.d" / "20-c").write_text('[crio.runtime]\ncgroup_manager = "systemd"\n')
    told = read(tmp_path)
    assert (told.socket, told.network_dir, told.plugin_dirs) == ("/run/c.sock", "/b", ("/p", "/q"))
    assert (told.default_network, told.cgroup_manager, len(told.files)) == ("x", "systemd", 3)


def test_what_is_no_toml_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "crio.conf").write_text("[crio")
    with pytest.raises(Malformed, match=r"crio\.conf is not TOML"):
        read(tmp_path)
