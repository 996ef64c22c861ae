"""Make a volume for each claim of the class `standard`: a directory on the node. A program of its own, never imported.

It does what Kubernetes leaves to an external provisioner: for a claim whose annotation names us, a PersistentVolume;
for a volume of ours that was released, its end. What a claim asks for as its size is not enforced.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAME = "kubedoctor.dev/local"

CLAIMS, VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"

_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_HOSTNAME = "kubernetes.io/hostname"
_OURS = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_RETRY = 1.0
"""Seconds until another try after a failure: nothing tells when it could go well."""
_WATCH = 300
"""Seconds that the API is asked to keep a watch open."""

Item = dict[str, Any]


class ApiError(Exception):
    """The API refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Api:
    """The API as a kubeconfig of kubedoctor's tells it: paths of files, one to a line."""

    kubeconfig: str

    def request(self, method: str, path: str, body: Item | None = None) -> Item:
        """Return the answer; raise ApiError or OSError."""
        with self._connected(timeout=30) as connection:
            found: Item = json.loads(self._ask(connection, method, path, body).read())
            return found

    def watch(self, path: str, version: str) -> Iterator[Item]:
        """Yield the items that change from *version* on, until the API ends the watch."""
        with self._connected(timeout=_WATCH + 30) as connection:
            query = f"?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={_WATCH}"
            for line in self._ask(connection, "GET", path + query, None):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(int(event["object"].get("code", 0)), str(event["object"].get("message")))
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]

    @contextlib.contextmanager
    def _connected(self, timeout: float) -> Iterator[http.client.HTTPSConnection]:
        text = Path(self.kubeconfig).read_text()  # each time: certificates are renewed
        context = ssl.create_default_context(cafile=_value(text, "certificate-authority"))
        context.check_hostname = False  # the authority tells whether it is our server
        context.load_cert_chain(_value(text, "client-certificate"), _value(text, "client-key"))
        server = urlsplit(_value(text, "server"))
        connection = http.client.HTTPSConnection(server.hostname or "", server.port, context=context, timeout=timeout)
        try:
            yield connection
        finally:
            connection.close()

    def _ask(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Item | None
    ) -> http.client.HTTPResponse:
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {"Accept": "application/json", "Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        if answer.status >= 300:
            said = answer.read(4096).decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = str(json.loads(said)["message"])
            raise ApiError(answer.status, said)
        return answer


def _value(text: str, name: str) -> str:
    """Return a value of a kubeconfig; raise ValueError when it is not there."""
    match = re.search(rf"^\s+{name}: (.+)$", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"the kubeconfig has no {name}")
    return str(json.loads(match[1])) if match[1].startswith('"') else match[1]


# --- what is to be done -----------------------------------------------------------------------------------------------


def is_ours(claim: Item, node: str) -> bool:
    """Return whether *claim* waits for a volume of ours, on this node or on any."""
    metadata = claim["metadata"]
    notes = metadata.get("annotations") or {}
    return (
        any(notes.get(key) == NAME for key in _PROVISIONER)
        and not claim["spec"].get("volumeName")
        and not metadata.get("deletionTimestamp")
        and notes.get(_SELECTED_NODE, node) == node
    )


def refusal(claim: Item) -> str:
    """Return why no directory can serve *claim*, "" when one can."""
    spec = claim["spec"]
    if spec.get("volumeMode") == "Block":
        return "a directory is no block device"
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        return "volumes begin empty: there are no snapshots or clones"
    return "a selector chooses among volumes that are there" if spec.get("selector") else ""


def volume_for(claim: Item, storage_class: Item, node: str, directory: Path) -> Item:
    """Return the PersistentVolume for *claim*, below *directory* on *node*."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    here = {"key": _HOSTNAME, "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: NAME}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": spec.get("storageClassName") or "",
            "volumeMode": "Filesystem",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": str(directory / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def is_to_be_removed(volume: Item, node: str) -> bool:
    """Return whether *volume* is one of ours, on this node, that nobody claims any more."""
    metadata, spec = volume["metadata"], volume["spec"]
    return (
        (metadata.get("annotations") or {}).get(_PROVISIONED_BY) == NAME
        and volume.get("status", {}).get("phase") == "Released"
        and spec.get("persistentVolumeReclaimPolicy") == "Delete"
        and f'"{node}"' in json.dumps(spec.get("nodeAffinity"))
        and _OURS.fullmatch(metadata["name"]) is not None  # whoever may write volumes may not name other directories
    )


class Provisioner:
    """Does it, for one node."""

    def __init__(self, api: Api, node: str, directory: Path) -> None:
        self._api, self._node, self._directory = api, node, directory

    def provide(self, claim: Item) -> None:
        """Make a volume for *claim* if that is ours to do; raise ApiError or OSError when it cannot be made now."""
        if not is_ours(claim, self._node):
            return
        if why := refusal(claim):
            self._tell(claim, why)
            return
        storage_class = self._api.request("GET", f"{CLASSES}/{claim['spec']['storageClassName']}")
        volume = volume_for(claim, storage_class, self._node, self._directory)
        path = Path(volume["spec"]["local"]["path"])
        path.mkdir(exist_ok=True)
        path.chmod(0o777)  # whoever runs in the pod; the directories above let nobody else in
        self._create(VOLUMES, volume)
        say(f"{volume['metadata']['name']}: made for {claim['metadata']['namespace']}/{claim['metadata']['name']}")

    def remove(self, volume: Item) -> None:
        """Remove *volume* with what is in it if that is ours to do."""
        if not is_to_be_removed(volume, self._node):
            return
        name = volume["metadata"]["name"]
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._directory / name)
        try:
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": volume["metadata"]["uid"]}}
            self._api.request("DELETE", f"{VOLUMES}/{name}", body)
        except ApiError as problem:
            if problem.status not in (404, 409):
                raise
        say(f"{name}: removed")

    def _create(self, path: str, item: Item) -> None:
        try:
            self._api.request("POST", path, item)
        except ApiError as problem:
            if problem.status != http.HTTPStatus.CONFLICT:  # it is there already
                raise

    def _tell(self, claim: Item, why: str) -> None:
        """Leave an event that `kubectl describe` shows; one for each claim."""
        metadata = claim["metadata"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200]}.{metadata['uid']}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: metadata[key] for key in ("name", "namespace", "uid")},
            },
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": why,
            "source": {"component": NAME},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._create(f"/api/v1/namespaces/{metadata['namespace']}/events", event)


# --- the program ------------------------------------------------------------------------------------------------------


def follow(api: Api, path: str, act: Callable[[Item], None]) -> None:
    """Act on every item there is and on every one that changes, for ever; after a failure all are looked at again."""
    while True:
        try:
            listing = api.request("GET", path)
            for item in listing["items"]:
                act(item)
            for item in api.watch(path, listing["metadata"]["resourceVersion"]):
                act(item)
            continue
        except ApiError as problem:
            if problem.status == http.HTTPStatus.GONE:
                continue
            say(f"{path}: {problem}")
        except (OSError, ValueError, KeyError, http.client.HTTPException) as problem:
            say(f"{path}: {problem or type(problem).__name__}")
        time.sleep(_RETRY)


_said = {""}


def say(line: str) -> None:
    """Write a line to the log, once for each time that something else was said."""
    if line not in _said:
        _said.clear()
        _said.add(line)
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
        sys.stderr.flush()


def main() -> None:
    """Serve the claims, and beside them the volumes."""
    options = argparse.ArgumentParser(description="make volumes of directories on this node")
    for name in ("kubeconfig", "directory", "node"):
        options.add_argument(f"--{name}", required=True)
    given = options.parse_args()
    os.umask(0o022)
    api, directory = Api(given.kubeconfig), Path(given.directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    provisioner = Provisioner(api, given.node, directory)
    threading.Thread(target=follow, args=(api, VOLUMES, provisioner.remove), daemon=True).start()
    follow(api, CLAIMS, provisioner.provide)


if __name__ == "__main__":
    main()
