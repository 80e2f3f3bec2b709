"""docs/deploy.md, followed step by step: its order, its kustomizations, its versions."""

import re

import pytest
import yaml

from tests.deploy.test_documents import TEXTS, blocks
from tests.deploy.tools import OVERLAYS, ROOT, built, manifests, one, pod_of

PAGE = TEXTS["deploy"]
ELSEWHERE = "https://github.com/graph-mail-gateway/graph-mail-gateway//deploy/"
#: The minor version of Kubernetes 1 that first served an API; of a safe sysctl, that first allowed it.
SINCE = {
    "v1": 0,
    "apps/v1": 9,
    "networking.k8s.io/v1": 19,
    "batch/v1": 21,
    "policy/v1": 21,
    "net.ipv4.ip_unprivileged_port_start": 22,
}


def kustomizations() -> list[str]:
    return [block for block in blocks(PAGE, "yaml") if block.startswith("# kustomization.yaml")]


def local(text: str, folder) -> str:
    """Make a kustomization of the page build from this tree: its addresses become paths."""
    up = "../" * len(folder.parts[1:])
    text = re.sub(re.escape(ELSEWHERE) + r"([\w/-]+)\?ref=v[\d.]+", rf"{up}{str(ROOT)[1:]}/deploy/\1", text)
    (folder / "kustomization.yaml").write_text(text.replace("sha256:…", "sha256:" + "0" * 64))
    return str(folder)


@pytest.fixture(params=range(2), ids=OVERLAYS[::-1])
def own(request, tmp_path):
    return local(kustomizations()[request.param], tmp_path)


def test_each_kustomization_of_the_page_builds_and_leaves_no_placeholder(own):
    documents = manifests(own)
    doors = [d for d in documents if d["kind"] in {"Ingress", "HTTPRoute"}]

    assert doors
    assert "example.org" not in yaml.safe_dump_all(doors)
    assert "mail-gateway.contoso.com" in yaml.safe_dump_all(doors)


def test_each_kustomization_of_the_page_lets_the_admin_answer_to_its_name(own):
    documents = manifests(own)
    (container,) = pod_of(one(documents, "Deployment", "graph-smtp-relay"))["containers"]
    words = {entry["name"]: entry.get("value") for entry in container.get("env", [])}
    for entry in container.get("envFrom", []):
        if "configMapRef" in entry:
            words |= one(documents, "ConfigMap", entry["configMapRef"]["name"])["data"]

    assert "mail-gateway.contoso.com" in words["ALLOWED_HOSTS"].split(",")
    assert "localhost" in words["ALLOWED_HOSTS"].split(",")
    assert words["CSRF_TRUSTED_ORIGINS"] == "https://mail-gateway.contoso.com"


def test_nothing_is_made_in_a_namespace_before_the_namespace():
    for chapter in PAGE.split("\n## "):
        commands = "\n".join(blocks(chapter))
        if "create secret" in commands:
            assert commands.index("kubectl create namespace") < commands.index("create secret"), chapter[:40]


def test_the_servers_for_a_trial_have_no_tls_and_their_address_asks_for_none():
    (trial,) = [block for block in blocks(PAGE) if "@graph-smtp-postgres" in block]

    assert "sslmode=disable" in trial
    assert "create secret generic graph-smtp-servers" in trial
    assert "ssl" not in (ROOT / "deploy" / "components" / "servers" / "postgres.yaml").read_text()


@pytest.mark.parametrize("policy", ["smtp-from-clients", "web-from-ingress"])
def test_each_label_that_a_policy_lets_in_is_on_the_page(policy):
    spec = one(manifests("deploy/overlays/scaled"), "NetworkPolicy", policy)["spec"]
    labels = spec["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"]

    for name, value in labels.items():
        assert re.search(rf"kubectl label namespace \S+ {name}={value}", PAGE)


def test_the_version_of_kubernetes_that_the_page_asks_for_serves_all_that_the_overlays_use():
    documents = [document for overlay in OVERLAYS for document in manifests(f"deploy/overlays/{overlay}")]
    pods = [pod_of(d) for d in documents if d["kind"] in {"Deployment", "Job"}]
    sysctls = {entry["name"] for pod in pods for entry in pod["securityContext"].get("sysctls", [])}
    needs = max(SINCE[word] for word in {d["apiVersion"] for d in documents} | sysctls)
    (said,) = re.findall(r"need Kubernetes 1\.(\d+) or newer", PAGE)

    assert int(said) == needs
    assert "apiVersion: autoscaling/v2" in built_of_hpa()
    assert "`autoscaling-hpa` needs 1.23" in PAGE


def built_of_hpa() -> str:
    return (ROOT / "deploy" / "components" / "autoscaling-hpa" / "hpa.yaml").read_text()


def test_the_pause_of_an_update_is_that_of_the_manifest():
    """The old pod ends before the new one starts: preStop, the drain, and the start are one pause."""
    from mailrelay.processes.stopping import ORDERLY

    relay = one(manifests("deploy/overlays/single"), "Deployment", "graph-smtp-relay")
    (container,) = pod_of(relay)["containers"]
    (_, seconds) = container["lifecycle"]["preStop"]["exec"]["command"]

    assert relay["spec"]["strategy"]["type"] == "Recreate"
    assert f"{seconds} s until no node sends new connections, up to {ORDERLY:.0f} s for mail" in PAGE
    assert "seconds, which clients" not in PAGE


def test_the_overlays_build_as_the_page_says():
    for overlay in OVERLAYS:
        assert built(f"deploy/overlays/{overlay}")
