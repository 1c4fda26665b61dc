"""What the Kubernetes manifests promise; no cluster runs them here, their schemas judge them."""

import re
from typing import Any

import kubernetes_validate
import pytest

from deploy.cli import make_parser
from gateway.serve import GRACE_S
from shared.bell import Stage
from shared.settings import Settings
from tests.unit.deploy import compose
from tests.unit.deploy.manifests import (
    FOLDER,
    OVERLAYS,
    ROOT,
    Document,
    Network,
    container,
    files,
    of_kind,
    pods,
    rendered,
)
from worker.keeper import LEAVE_SLACK_S
from worker.run import children_of

VERSIONS = ["1.29", "1.33", "1.37"]
CUSTOM = {"ScaledObject", "ServiceMonitor"}
WORKERS = ["plan", "assemble", "deliver", "reconciler", "synth"]
OURS = ["gateway", *WORKERS]
PODS = pods(files())

PUBLIC = ["93.184.216.34", "2606:2800:220:1::1"]
INWARD = ["10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fd00::1"]


def labels(name: str) -> dict[str, str]:
    """Return the labels of a workload's pods, with the one that every overlay adds."""
    return {"app.kubernetes.io/name": "kokoro-cluster", **PODS[name]["metadata"]["labels"]}


def soft_shutdown_s(name: str) -> float:
    """Return how long a process told to stop may finish what it is at."""
    return 600 if name == "assemble" else 30


def settings_of(pod: Document, config: Document) -> dict[str, str]:
    given = {item["name"]: item.get("value", "") for item in container(pod)["env"]}
    return {**config["data"], **given}


def probe_words(probe: Document) -> list[str]:
    """Return what a probe's shell runs, its variables left as they are."""
    shell, flag, script = probe["exec"]["command"]
    assert (shell, flag) == ("sh", "-c")
    return [word.strip('"') for word in script.removeprefix("exec ").split()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid_in_each_version_of_kubernetes(overlay: str, version: str) -> None:
    for document in rendered(overlay):
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_files_are_valid_before_they_are_put_together(version: str) -> None:
    known = [document for document in files() if document["kind"] not in CUSTOM]
    for document in known:
        kubernetes_validate.validate(document, version, strict=True)
    broken = next(d for d in known if d["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**broken, "spek": {}}, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_is_chosen_or_referred_to_is_there(overlay: str) -> None:
    documents = rendered(overlay)
    templates = pods(documents)
    assert set(templates) == {*OURS, "redis"}
    for kind in ("Service", "PodDisruptionBudget"):
        for name, document in of_kind(documents, kind).items():
            selector = document["spec"]["selector"]
            wanted = selector.get("matchLabels", selector) if kind != "Service" else selector
            found = [
                pod
                for pod, template in templates.items()
                if wanted.items() <= template["metadata"]["labels"].items()
            ]
            assert found == [name], f"{kind} {name}"
    for name, scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        replicas = of_kind(documents, "Deployment")[name]["spec"]
        assert "replicas" not in replicas, "each apply would undo what the scaler did"
    configs = of_kind(documents, "ConfigMap")
    for name in OURS:
        (source,) = container(templates[name])["envFrom"]
        assert source["configMapRef"]["name"] in configs
    for document in documents:
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "kokoro-cluster"
        for image in re.findall(r"'image': '([^']+)'", str(document)):
            assert ":" in image and not image.endswith(":latest")


@pytest.mark.parametrize("name", [*OURS, "redis"])
def test_a_pod_keeps_to_the_restricted_standard_and_writes_only_where_it_must(name: str) -> None:
    pod = PODS[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "a service's variable would look like a setting"
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container(PODS[name])
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"/data", "/tmp"} <= {mount["mountPath"] for mount in own["volumeMounts"]}
    assert own["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert "memory" in own["resources"]["limits"]
    assert "cpu" not in own["resources"]["limits"], "a throttled process answers its probe late"


@pytest.mark.parametrize("name", ["plan", "assemble", "synth"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_child_that_grows_is_replaced_before_its_pod_is_killed(overlay: str, name: str) -> None:
    documents = rendered(overlay)
    pod = pods(documents)[name]
    (config,) = of_kind(documents, "ConfigMap").values()
    given = settings_of(pod, config)
    values = {n.removeprefix("KC_").lower(): v for n, v in given.items() if n.startswith("KC_")}
    settings = Settings(_env_file=None, **{n: v for n, v in values.items() if v})  # type: ignore[arg-type]
    children = children_of(Stage(name), settings)
    limit = container(pod)["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert children * settings.recycle_rss_mib < 0.9 * 1024 * int(limit[:-2])


def test_what_all_pods_have_in_common_is_the_same_in_all() -> None:
    first, *others = [PODS[name] for name in OURS]
    same = ("securityContext", "serviceAccountName", "automountServiceAccountToken")
    for other in others:
        for key in same:
            assert other["spec"][key] == first["spec"][key]
        for key in ("securityContext", "envFrom"):
            assert container(other)[key] == container(first)[key]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_process_gets_a_command_and_settings_that_there_are(overlay: str, name: str) -> None:
    documents = rendered(overlay)
    pod = pods(documents)[name]
    make_parser().parse_args(container(pod)["args"])
    (config,) = of_kind(documents, "ConfigMap").values()
    given = settings_of(pod, config)
    names = {n.removeprefix("KC_").lower(): v for n, v in given.items() if n.startswith("KC_")}
    assert set(names) <= set(Settings.model_fields)
    Settings(_env_file=None, **{n: v for n, v in names.items() if v})  # type: ignore[arg-type]
    assert float(names["soft_shutdown_s"]) == soft_shutdown_s(name)


@pytest.mark.parametrize("name", WORKERS)
def test_a_probe_asks_for_the_very_worker_that_runs_and_leaves_it_time(name: str) -> None:
    own = container(PODS[name])
    command = make_parser().parse_args(own["args"])
    assert command.name == "$(POD_NAME)", "no two workers of the cluster have one name"
    probes = [own["livenessProbe"], *([own["startupProbe"]] if name != "reconciler" else [])]
    for probe in probes:
        words = probe_words(probe)
        asked = make_parser().parse_args(words[1:])
        assert words[:2] == ["kokoro-cluster", "worker-health"]
        assert (asked.stage, asked.name) == (name, "$POD_NAME")
        assert probe["timeoutSeconds"] >= 10, "a busy machine starts a command slowly"
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
    assert "readinessProbe" not in own, "nothing is sent to a worker; recycling must change nothing"


@pytest.mark.parametrize("name", sorted({*WORKERS} - {"reconciler"}))
def test_a_worker_counts_as_started_once_it_has_loaded_however_long_that_may_take(
    name: str,
) -> None:
    probe = container(PODS[name])["startupProbe"]
    assert "--loaded" in probe_words(probe)
    load_most_s = Settings(_env_file=None).model_load_timeout_s * 10
    assert probe["periodSeconds"] * probe["failureThreshold"] > load_most_s
    assert "--loaded" not in probe_words(container(PODS[name])["livenessProbe"])


def test_the_gateways_probes_never_wait_for_inference_and_a_short_stutter_ends_nothing() -> None:
    own = container(PODS["gateway"])
    paths = {kind: own[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")}
    assert set(paths.values()) == {"/health/live"}
    assert own["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    live = own["livenessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] >= 60


@pytest.mark.parametrize("name", OURS)
def test_a_pod_is_given_the_time_that_a_soft_shutdown_takes(name: str) -> None:
    pod = PODS[name]["spec"]
    needed_s = soft_shutdown_s(name) + LEAVE_SLACK_S
    if name == "gateway":
        words = container(PODS[name])["lifecycle"]["preStop"]["exec"]["command"]
        needed_s = float(words[1]) + GRACE_S
    if name == "reconciler":
        needed_s = 15
    assert pod["terminationGracePeriodSeconds"] >= needed_s + 10


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_deliverer_may_go_out_to_the_internet(overlay: str) -> None:
    network = Network(list(of_kind(rendered(overlay), "NetworkPolicy").values()))
    for name in [*OURS, "redis"]:
        for address in PUBLIC:
            for port in (80, 443):
                allowed = network.to_address(labels(name), address, port)
                assert allowed is (name == "deliver"), f"{name} to {address}:{port}"
        for address in INWARD:
            for port in (80, 443, 6443, 10250):
                assert not network.to_address(labels(name), address, port), f"{name}, {address}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_reaches_redis_the_store_and_the_names(overlay: str) -> None:
    network = Network(list(of_kind(rendered(overlay), "NetworkPolicy").values()))
    system = {"kubernetes.io/metadata.name": "kube-system"}
    for name in OURS:
        assert network.to_pod(labels(name), {"k8s-app": "kube-dns"}, 53, system), name
        assert network.to_pod(labels(name), labels("redis"), 6379, {}), name
        storage = {"kokoro-cluster/storage": "true"}
        assert network.to_pod(labels(name), {"app": "minio"}, 9000, storage), name
        assert not network.to_pod(labels(name), labels("gateway"), 8880, {}), name
    assert network.to_address(labels("synth"), "10.20.30.4", 443) is (overlay == "example")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_in_goes_only_to_the_gateway_and_from_our_own_pods_to_redis(overlay: str) -> None:
    policies = of_kind(rendered(overlay), "NetworkPolicy")
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    into = {name: p["spec"] for name, p in policies.items() if p["spec"].get("ingress")}
    assert set(into) == {"to-gateway", "to-redis-from-here"}
    (rule,) = into["to-redis-from-here"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"].items() <= labels("plan").items()


def test_each_synth_pod_has_one_gpu_and_no_other_has_any() -> None:
    for overlay, wanted in (("example", {"synth": 1}), ("trial", {})):
        found = {
            name: container(pod)["resources"]["limits"]["nvidia.com/gpu"]
            for name, pod in pods(rendered(overlay)).items()
            if "nvidia.com/gpu" in container(pod)["resources"]["limits"]
        }
        assert found == wanted
        device = {
            e["name"]: e.get("value") for e in container(pods(rendered(overlay))["synth"])["env"]
        }
        assert device["KC_DEVICE"] == ("cuda" if wanted else "cpu")
    strategy = of_kind(files(), "Deployment")["synth"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}, "there may be no GPU to spare"


def test_synth_workers_come_and_go_with_the_seconds_of_audio_that_wait() -> None:
    spec: dict[str, Any] = of_kind(rendered("example"), "ScaledObject")["synth"]["spec"]
    assert set(spec) <= {
        "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "initialCooldownPeriod",
        "cooldownPeriod", "pollingInterval", "fallback", "advanced", "triggers",
    }  # fmt: skip
    assert spec["minReplicaCount"] == 0
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    query = re.fullmatch(r'max\((\w+)\{namespace="([\w-]+)"\}\)', trigger["metadata"]["query"])
    assert query is not None, "each gateway tells the same number: their sum would be wrong"
    assert query[2] == "kokoro-cluster"
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert f"| `{query[1]}` | gauge | s |" in page, "which a test holds against a scrape"
    assert float(trigger["metadata"]["activationThreshold"]) == 0, "one waiting word is enough"
    assert float(trigger["metadata"]["threshold"]) > 0
    assert trigger["metadata"]["ignoreNullValues"] == "false", "no answer is not an empty queue"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert spec["initialCooldownPeriod"] >= 900, "the first worker has yet to load"


def test_no_secret_is_part_of_it_and_the_guide_makes_each_that_is_asked_for() -> None:
    documents = [*files(), *rendered("example"), *rendered("trial")]
    assert not of_kind(documents, "Secret")
    asked = set(re.findall(r"secretKeyRef: \{name: kokoro-cluster, key: (\w+)", text()))
    assert asked
    guide = (ROOT / "docs" / "deployment.md").read_text()
    for key in {*asked, "kokoro-cluster-keys"}:
        assert key in guide, key
    assert "KC_INSECURE" not in text()


def text() -> str:
    return "\n".join(path.read_text() for path in FOLDER.glob("**/*.yaml"))


def test_redis_is_started_as_compose_starts_it() -> None:
    there = compose.load(["compose.yaml"], {"REDIS_PASSWORD": "x"})["services"]["redis"]
    here = container(PODS["redis"])
    assert here["command"] == there["command"]
    assert here["image"] == there["image"]
    security = PODS["redis"]["spec"]["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == there["user"]
