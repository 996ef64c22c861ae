"""What the greeter expects in the cluster."""

from __future__ import annotations

from kubedoctor import Manifest

GREETER = Manifest(
    name="acme-greeter",
    objects=(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "acme"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "greeter", "namespace": "acme"},
            "data": {"language": "en"},
        },
    ),
    wait=("/api/v1/namespaces/acme/configmaps/greeter",),
)
