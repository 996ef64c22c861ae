"""Swap, and what the kubelet makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Context, Evidence, Finding, Fix, Phase, Safety, Severity, check, host, run
from kubedoctor_host.kubelets import NAME, Kubelet, kubelets
from kubedoctor_host.wording import listed, size

SWAP_MANAGEMENT = "https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/"


@check(
    "host.swap",
    title="the kubelet can live with the machine's swap",
    looks_at="/proc/swaps, and failSwapOn and memorySwap in the configuration of the kubelet",
    fix="turn swap off, or set failSwapOn to false in the kubelet's configuration",
    seen_as=("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false",),
    of=(NAME,),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("memory",),
    aliases=("Swap",),
)
def swap(context: Context) -> Iterator[Finding]:
    """A kubelet refuses to start while swap is on, unless its failSwapOn is false, which it is not by default.

    `up` sets it to false. Then pods are not swapped out unless memorySwap.swapBehavior is LimitedSwap, which needs
    cgroup v2. Swap that was turned on later does not disturb a kubelet that runs, until it is restarted. zram is swap
    as well.
    """
    areas = context.get(host.swaps)
    if not areas:
        return
    for kubelet in kubelets(context):
        if kubelet.fails_on_swap:
            yield _refuses(kubelet, areas)
        elif kubelet.swap_behavior == "LimitedSwap":
            yield from _limited(context, kubelet)


def _refuses(kubelet: Kubelet, areas: tuple[host.Swap, ...]) -> Finding:
    runs = kubelet.instance.is_running
    then = "will not start again" if runs else "does not start"
    return Finding(
        message=f"swap is on ({_named(areas)}) and failSwapOn is true: the {kubelet.where} {then}",
        subject="swap",
        severity=Severity.WARNING if runs else Severity.ERROR,
        evidence=_evidence(areas),
        fixes=_fixes(areas),
        explains=() if runs else ("kubelet.not-running",),
    )


def _limited(context: Context, kubelet: Kubelet) -> Iterator[Finding]:
    layout = context.get(host.cgroups, kubelet.instance.root).layout
    if layout is not host.CgroupLayout.V2:
        yield Finding(
            message=f"swapBehavior is LimitedSwap, which needs cgroup v2: pods of the {kubelet.where} are not swapped",
            subject="swap behavior",
            severity=Severity.WARNING,
            evidence=(Evidence(source="/sys/fs/cgroup", observed=f"cgroups: {layout.value}", expected="v2"),),
            fixes=(Fix(summary="boot with cgroup v2, or set swapBehavior to NoSwap", link=SWAP_MANAGEMENT),),
        )


def _named(areas: tuple[host.Swap, ...]) -> str:
    return listed(f"{host.printable(area.path)}, {size(area.size)}" for area in areas)


def _evidence(areas: tuple[host.Swap, ...]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            source="/proc/swaps",
            observed=f"{host.printable(area.path)}: {area.kind}, {size(area.size)}, {size(area.used)} used"
            + (", compressed memory" if area.is_compressed_memory else ""),
            expected="none",
        )
        for area in areas
    )


def _fixes(areas: tuple[host.Swap, ...]) -> tuple[Fix, ...]:
    steps = tuple(run("swapoff", area.path, undo=("swapon", area.path)) for area in areas)
    return (
        Fix(summary="turn swap off; /etc/fstab turns it on again at the next boot", safety=Safety.SAFE, steps=steps),
        Fix(summary="set failSwapOn: false in the kubelet's configuration", link=SWAP_MANAGEMENT),
    )
