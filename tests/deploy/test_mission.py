"""What the published page of the replaced service promises, held line by line against ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.deploy.tools import ROOT, manifests, one
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

PAGE = {
    document["kind"]: document
    for document in yaml.safe_load_all((Path(__file__).parent / "mission" / "manifests.yaml").read_text())
}
METRICS = (
    "graph_smtp_emails_sent_total",
    "graph_smtp_emails_failed_total",
    "graph_smtp_token_refreshes_total",
    "graph_smtp_token_expiry_timestamp",
)


def leaves(node: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Yield every line of a document; entries of a list go by their name where they have one."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            name = value.get("name", number) if isinstance(value, dict) else number
            yield from leaves(value, (*path, name))
    else:
        yield path, node


#: Ours is another image, and asks a node for what it has at rest; the page's own 64Mi runs as well.
OTHER = (("image",), ("requests", "memory"))
DEPLOYMENT = [
    line for line in leaves(PAGE["Deployment"]) if not any(line[0][-len(end) :] == end for end in OTHER)
]


def told(line) -> str:
    path, value = line
    return f"{'.'.join(map(str, path))}={value}"


@pytest.mark.parametrize("line", DEPLOYMENT, ids=told)
def test_the_single_pod_keeps_the_line_of_the_deployment(line):
    path, value = line
    ours = dict(leaves(one(manifests("deploy/overlays/single"), "Deployment", "graph-smtp-relay")))

    assert ours[path] == value


@pytest.mark.parametrize("overlay", ["single", "scaled"])
@pytest.mark.parametrize("line", list(leaves(PAGE["Service"])), ids=told)
def test_both_overlays_keep_the_line_of_the_service(overlay, line):
    path, value = line
    ours = dict(leaves(one(manifests(f"deploy/overlays/{overlay}"), "Service", "graph-smtp-relay")))

    assert ours[path] == value


def test_the_single_pod_adds_no_second_container_and_no_other_port():
    ours = one(manifests("deploy/overlays/single"), "Deployment", "graph-smtp-relay")
    (container,) = ours["spec"]["template"]["spec"]["containers"]

    assert len(container["ports"]) == 2
    assert ours["spec"]["strategy"] == {"type": "Recreate"}
    assert "command" not in container
    assert "args" not in container


def test_the_secret_has_the_keys_that_it_always_had():
    example = yaml.safe_load((ROOT / "deploy" / "overlays" / "single" / "secret.example.yaml").read_text())

    assert set(example["stringData"]) == set(PAGE["Secret"]["stringData"])
    assert example["metadata"] == PAGE["Secret"]["metadata"]
    assert example["type"] == PAGE["Secret"]["type"]


def test_a_pod_without_a_volume_would_lose_the_queue_and_ours_has_one():
    documents = manifests("deploy/overlays/single")
    volumes = one(documents, "Deployment", "graph-smtp-relay")["spec"]["template"]["spec"]["volumes"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]

    assert [one(documents, "PersistentVolumeClaim", name)["kind"] for name in claims] == [
        "PersistentVolumeClaim"
    ]


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_the_relays_of_the_scaled_overlay_keep_the_probes(probe):
    ours = one(manifests("deploy/overlays/scaled"), "Deployment", "graph-smtp-relay")
    (theirs,) = PAGE["Deployment"]["spec"]["template"]["spec"]["containers"]
    (container,) = ours["spec"]["template"]["spec"]["containers"]

    assert container[probe] == theirs[probe]
    assert ours["spec"]["selector"] == PAGE["Deployment"]["spec"]["selector"]


def test_the_endpoints_and_metrics_of_the_page_answer(embedded):
    process = embedded.start()
    send(process.smtp_port, mail(1))
    embedded.wait_for(sent=1)
    eventually(lambda: process.metrics().get(METRICS[0]) == 1, what="the mail in the metrics")

    assert process.get("/health") == 200
    assert eventually(lambda: process.get("/ready") == 200)
    text = requests.get(f"http://127.0.0.1:{process.http_port}/metrics", timeout=10).text
    for name in METRICS:
        assert f"\n{name} " in text
