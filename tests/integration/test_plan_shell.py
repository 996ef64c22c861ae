"""The script of `up --dry-run -o shell`, run for real in namespaces of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.planning import Binary, bundled, configuration

from kubedoctor.cluster.binaries.probe import known_flags, rejects
from kubedoctor.cluster.plan import components, make_plan
from kubedoctor.report.plan_shell import plan_shell

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
    pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("curl"), reason="needs openssl and curl"),
]

# Runs the script, asks the cluster it makes, ends it as Ctrl-C would, and tells what is left.
BODY = """
ip link set lo up
sh "$1" >"$2/out" 2>"$2/err" &
script=$!
until grep -q '^ready$' "$2/out" 2>/dev/null; do
    kill -0 "$script" || exit 9
    [ "$(cut -d')' -f2 "/proc/$script/stat" | cut -c2)" != Z ] || exit 8
    sleep 0.1
done
export KUBECONFIG="$3"
"$4" get --raw /readyz >"$2/readyz" && "$4" get serviceaccount default -o name >"$2/account"
kill -TERM "$script"
wait "$script"
echo $? >"$2/status"
for process in /proc/[0-9]*; do cat "$process/comm"; done 2>/dev/null >"$2/left"
"""


def test_script_starts_a_cluster_and_leaves_no_process(tmp_path: Path, binaries: dict[str, Path]) -> None:
    directory = tmp_path / "it's a directory"
    config = configuration(directory=directory)
    wanted = components(config, bundled())
    chosen = {name: Binary(str(binaries[binary]), "v1.37.2") for name, binary in wanted.binaries.items()}
    made = make_plan(config, wanted, chosen, flags_of=known_flags, rejects=rejects, environment=os.environ)
    script = tmp_path / "script.sh"
    script.write_text(plan_shell(made, config, wanted.certificates, kubeconfigs=wanted.kubeconfigs))
    kubeconfig = directory / "places/node-1/config/admin.script.kubeconfig"
    arguments = [str(script), str(tmp_path), str(kubeconfig), str(binaries["kubectl"])]
    began = time.monotonic()
    with subprocess.Popen([*NAMESPACES, "sh", "-c", BODY, "sh", *arguments]) as process:
        try:
            status = process.wait(100)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
    assert status == 0, (tmp_path / "err").read_text()
    assert (tmp_path / "readyz").read_text() == "ok"
    assert (tmp_path / "account").read_text() == "serviceaccount/default\n"
    assert (tmp_path / "status").read_text() == "143\n"
    assert not {"etcd", "kube-apiserver", "kube-controller", "kube-scheduler"} & set(
        (tmp_path / "left").read_text().split()
    )
    stopped = [line.split()[1] for line in (tmp_path / "out").read_text().splitlines() if line.startswith("stopping")]
    assert stopped == ["kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"]
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert time.monotonic() - began < 90
