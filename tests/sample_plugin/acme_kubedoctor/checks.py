"""What can be wrong with the greeter, and the fact it is known by."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Context, Evidence, Finding, Fix, Look, NotApplicable, Safety, check, fact, host, run

PORT = "8099"


@fact("acme.greeting")
def greeting(look: Look, port: str, net: int) -> str:
    """What the greeter says, on one line."""
    return host.http_get(f"http://127.0.0.1:{port}/", net=net).body.decode(errors="replace").strip()


@check(
    "acme.greeter-rude",
    title="the greeter is polite",
    looks_at="what it answers on its port",
    fix="have it say hello",
    of=("acme-greeter",),
    seen_as=("go away from acme",),
)
def greeter_rude(context: Context) -> Iterator[Finding]:
    """A greeter that does not say hello makes visitors leave before they have seen the cluster."""
    instances = [one for one in context.target.all("acme-greeter") if one.is_running]
    if not instances:
        raise NotApplicable("it does not run")
    for instance in instances:
        said = context.get(greeting, instance.flag("port", PORT), instance.net)
        if not said.startswith("hello"):
            yield Finding(
                message=f"the greeter says `{said}`",
                subject="acme-greeter",
                evidence=(Evidence(source="its answer", observed=said, expected="hello from acme"),),
                fixes=(
                    Fix(
                        summary="have it say hello",
                        safety=Safety.DISRUPTIVE,
                        steps=(run("kubedoctor", "restart", "acme-greeter", "--set", "greeting=hello"),),
                    ),
                ),
            )


FACTS = (greeting,)
CHECKS = (greeter_rude,)
