"""Reads the Kubernetes manifests: as files, and as `kubectl kustomize` puts them together."""

import functools
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())

Document = dict[str, Any]


def files() -> list[Document]:
    """Return every whole resource that is written down, before any overlay."""
    paths = sorted(FOLDER.glob("**/*.yaml"))
    found = [
        document
        for path in paths
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]
    assert len(found) > 20
    return found


@functools.cache
def rendered(overlay: str) -> tuple[Document, ...]:
    """Return what an overlay comes to; skips the test where there is no kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / "overlays" / overlay],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(documents: tuple[Document, ...] | list[Document], *kinds: str) -> dict[str, Document]:
    """Return the documents of these kinds by name."""
    return {d["metadata"]["name"]: d for d in documents if d["kind"] in kinds}


def pods(documents: tuple[Document, ...] | list[Document]) -> dict[str, Document]:
    """Return each workload's pod template by the workload's name."""
    workloads = of_kind(documents, "Deployment", "StatefulSet")
    return {name: workload["spec"]["template"] for name, workload in workloads.items()}


def container(pod: Document) -> Document:
    """Return a pod's only container."""
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def matches(selector: Document | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector chooses these labels; an empty one chooses all."""
    wanted = (selector or {}).get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


class Network:
    """Which connections a set of NetworkPolicies lets out of a pod, as Kubernetes defines it."""

    def __init__(self, policies: list[Document]) -> None:
        self._policies = [policy["spec"] for policy in policies]

    def _rules(self, labels: dict[str, str]) -> Iterator[Document]:
        chosen = [p for p in self._policies if matches(p["podSelector"], labels)]
        out = [p for p in chosen if "Egress" in p["policyTypes"]]
        assert out, "a pod that no policy chooses may go anywhere"
        for policy in out:
            yield from policy.get("egress", [])

    def to_address(self, labels: dict[str, str], address: str, port: int) -> bool:
        """Return whether a pod may connect to an address outside the cluster."""
        return any(
            _has_port(rule, port) and any(_in_block(peer, address) for peer in rule["to"])
            for rule in self._rules(labels)
        )

    def to_pod(
        self, labels: dict[str, str], other: dict[str, str], port: int, namespace: dict[str, str]
    ) -> bool:
        """Return whether a pod may connect to another.

        Args:
            labels: of the pod that connects.
            other: of the pod that is connected to.
            port: its number.
            namespace: labels of the other's; empty for the same.
        """

        def chosen(peer: Document) -> bool:
            if "ipBlock" in peer:
                return False
            if ("namespaceSelector" in peer) != bool(namespace):
                return False
            here = matches(peer.get("namespaceSelector"), namespace)
            return here and matches(peer.get("podSelector"), other)

        return any(
            _has_port(rule, port) and any(map(chosen, rule["to"])) for rule in self._rules(labels)
        )


def _has_port(rule: Document, port: int) -> bool:
    return any(one["port"] == port for one in rule["ports"])


def _in_block(peer: Document, address: str) -> bool:
    block = peer.get("ipBlock")
    if block is None:
        return False
    found = ipaddress.ip_address(address)
    if found not in ipaddress.ip_network(block["cidr"]):
        return False
    return not any(found in ipaddress.ip_network(part) for part in block.get("except", []))
