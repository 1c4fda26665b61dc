"""The Kubernetes component that has a cluster's jobs traced."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.manifests import FOLDER, Network, container, of_kind, pods


def test_the_component_for_traces_sets_the_endpoint_and_opens_the_way_to_it(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    overlay, component = (
        os.path.relpath(FOLDER / part, tmp_path.resolve())
        for part in ("overlays/trial", "components/traces")
    )
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{overlay}]\ncomponents: [{component}]\n"
    )
    done = subprocess.run(
        ["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    documents = tuple(yaml.safe_load_all(done.stdout))
    settings = [d for d in documents if d["kind"] == "ConfigMap" and "KC_STORAGE_URL" in d["data"]]
    (data,) = (one["data"] for one in settings)
    assert data["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4318")
    network = Network(list(of_kind(documents, "NetworkPolicy").values()))
    ours = {name: pod for name, pod in pods(documents).items() if name != "redis"}
    assert len(ours) == 6
    for name, pod in ours.items():
        collectors = {"kokoro-cluster/traces": "true"}
        assert network.to_pod(pod["metadata"]["labels"], {}, 4318, collectors), name
        sources = [
            source["configMapRef"]["name"]
            for source in container(pod)["envFrom"]
            if "configMapRef" in source
        ]
        assert settings[0]["metadata"]["name"] in sources, name
