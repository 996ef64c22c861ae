"""What a kubelet needs in the API where nobody speaks for it."""

from __future__ import annotations

from kubedoctor import ClusterConfig, Manifest

GROUP = "rbac.authorization.k8s.io"


def rights(config: ClusterConfig) -> list[Manifest]:
    """Return the rights of nodes, unless the Node authorizer gives them; one of the user's own is the user's matter.

    The role is Kubernetes' own. It is broader than what the Node authorizer allows: each node may read every secret.
    """
    modes = {mode.strip() for mode in config.authorization_mode.split(",")}
    if config.authorization_config or "Node" in modes or "RBAC" not in modes:
        return []
    return [
        Manifest(
            name="node-rights",
            objects=(
                {
                    "apiVersion": f"{GROUP}/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": "kubedoctor:nodes"},
                    "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "system:node"},
                    "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": "system:nodes"}],
                },
            ),
            needs=("kubelet",),
        )
    ]
