"""What a kubelet needs in the API where nobody speaks for it."""

from __future__ import annotations

from kubedoctor import ClusterConfig, Manifest
from kubedoctor_kubelet.component import authorization_modes, enforces_limits, is_known_to_authorizer

GROUP = "rbac.authorization.k8s.io"
POLICIES = "admissionregistration.k8s.io/v1"
NO_RESIZING = "kubedoctor-no-resizing"
REASON = (
    "this node enforces no cgroup limits, so there is nothing to resize, and its kubelet would crash for good: "
    "make the pod anew"
)


def rights(config: ClusterConfig) -> list[Manifest]:
    """Return the rights of nodes, unless the Node authorizer gives them; one of the user's own is the user's matter.

    The role is Kubernetes' own. It is broader than what the Node authorizer allows: each node may read every secret.
    """
    if config.authorization_config or is_known_to_authorizer(config) or "RBAC" not in authorization_modes(config):
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


def no_resizing(config: ClusterConfig) -> list[Manifest]:
    """Return a policy that refuses to resize a running pod, where pods have no cgroups.

    A kubelet with `cgroupsPerQOS: false` takes such a wish and then reads the limits of a cgroup that is not there
    (doPodResizeAction of pkg/kubelet/kuberuntime, 1.37): it panics, and again after each restart, since the pod stays.
    The subresource is there since 1.32, such policies since 1.30.
    """
    if enforces_limits(config):
        return []
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods/resize"]}
    return [
        Manifest(
            name="no-resizing",
            objects=(
                {
                    "apiVersion": POLICIES,
                    "kind": "ValidatingAdmissionPolicy",
                    "metadata": {"name": NO_RESIZING},
                    "spec": {
                        "failurePolicy": "Fail",
                        "matchConstraints": {"resourceRules": [rule]},
                        "validations": [{"expression": "false", "message": REASON, "reason": "Forbidden"}],
                    },
                },
                {
                    "apiVersion": POLICIES,
                    "kind": "ValidatingAdmissionPolicyBinding",
                    "metadata": {"name": NO_RESIZING},
                    "spec": {"policyName": NO_RESIZING, "validationActions": ["Deny"]},
                },
            ),
            needs=("kubelet",),
            suits="1.32-",
        )
    ]
