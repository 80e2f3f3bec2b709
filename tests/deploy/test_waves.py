"""The order in which Argo CD applies: what the migration needs is there when it starts."""

import pytest
import yaml

from tests.deploy.tools import manifests, one, pod_of, with_components

WAVE, HOOK = "argocd.argoproj.io/sync-wave", "argocd.argoproj.io/hook"
#: Applications that a person may make of the scaled overlay.
VARIANTS = {
    "scaled": [],
    "with trial servers": ["servers"],
    "with a store of secrets": ["external-secrets"],
    "with sealed secrets": ["sealed-secrets"],
    "with everything": ["servers", "external-secrets", "monitoring", "workload-identity", "autoscaling-keda"],
}


@pytest.fixture(params=VARIANTS)
def documents(request, tmp_path):
    return manifests(with_components(tmp_path, "scaled", VARIANTS[request.param]))


def notes(document: dict) -> dict[str, str]:
    return document["metadata"].get("annotations") or {}


def wave(document: dict) -> int:
    """Return a document's wave; without the annotation it is 0, as Argo CD has it."""
    return int(notes(document).get(WAVE, "0"))


def references(job: dict) -> set[tuple[str, str]]:
    """Return kind and name of what a pod cannot start without."""
    pod = pod_of(job)
    found = {("ServiceAccount", pod["serviceAccountName"]), ("Namespace", job["metadata"]["namespace"])}
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            found |= {("ConfigMap", ref["name"]) for key, ref in source.items() if key == "configMapRef"}
            found |= {("Secret", ref["name"]) for key, ref in source.items() if key == "secretRef"}
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            found.add(("Secret", volume["secret"]["secretName"]))
    return found


def selects(policy: dict, labels: dict[str, str]) -> bool:
    """Tell whether a policy concerns a pod with these labels."""
    selector = policy["spec"]["podSelector"]
    same = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return same and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))


def needed(documents: list[dict], hook: dict) -> list[dict]:
    """Return every document of the application that a hook's pod needs: references, policies, servers."""
    named = references(hook)
    labels = hook["spec"]["template"]["metadata"]["labels"]
    found = []
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        made = {"ExternalSecret": "Secret", "SealedSecret": "Secret"}.get(kind, kind)
        policy = kind == "NetworkPolicy" and selects(document, labels)
        server = kind in {"Service", "StatefulSet"} and name in {"graph-smtp-postgres", "graph-smtp-rabbitmq"}
        if (made, name) in named or policy or server:
            found.append(document)
    return found


def test_what_a_hook_needs_has_an_earlier_wave(documents):
    hooks = [document for document in documents if HOOK in notes(document)]

    assert [hook["metadata"]["name"] for hook in hooks] == ["graph-smtp-migrate"]
    for hook in hooks:
        found = needed(documents, hook)
        kinds = {document["kind"] for document in found}
        assert {"Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy"} <= kinds
        late = [f"{d['kind']} {d['metadata']['name']}: {wave(d)}" for d in found if wave(d) >= wave(hook)]
        assert late == []


def test_the_namespace_comes_before_all_that_stands_in_it(documents):
    (namespace,) = [document for document in documents if document["kind"] == "Namespace"]

    assert wave(namespace) == min(map(wave, documents))


def test_the_workloads_come_after_the_migration(documents):
    hook = one(documents, "Job", "graph-smtp-migrate")

    assert all(wave(hook) < wave(document) for document in documents if document["kind"] == "Deployment")


def test_a_config_map_that_a_pod_still_reads_is_not_pruned_before_its_successor_is_read(documents):
    """Its name carries a hash: each change of a literal makes another one, and prunes the one before."""
    (settings,) = [
        d
        for d in documents
        if d["kind"] == "ConfigMap" and d["metadata"]["name"].startswith("graph-smtp-config")
    ]

    assert notes(settings)["argocd.argoproj.io/sync-options"] == "PruneLast=true"


def test_a_wave_is_a_whole_number_in_quotes(documents):
    """Annotations are strings: Kubernetes refuses a number."""
    waves = [value for document in documents for key, value in notes(document).items() if key == WAVE]

    assert waves
    assert all(isinstance(value, str) and yaml.safe_load(value) == int(value) for value in waves)
