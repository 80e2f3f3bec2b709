"""deploy/: every overlay and component builds, and every document fits its published schema."""

import re

import pytest
import yaml

from tests.deploy.tools import OVERLAYS, ROOT, built, manifests, node, one, pod_of, run, with_components

COMPONENTS = sorted(
    path.parent.name for path in (ROOT / "deploy" / "components").glob("*/kustomization.yaml")
)
#: Components that change what only the scaled overlay has.
SCALED_ONLY = {"disruption-budget", "topology-spread", "autoscaling-hpa", "autoscaling-keda"}
OWN_OF_SCALED = {"disruption-budget", "topology-spread", "network-policy"}
CUSTOM = (
    "argoproj.io",
    "bitnami.com",
    "external-secrets.io",
    "gateway.networking",
    "keda.sh",
    "monitoring.coreos",
)
#: What checkov would have of every cluster and not every cluster can give.
EXEMPT = {"CKV2_K8S_6": "the network-policy component; not on by default, since clients need labels for it"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The scaled overlay with every component at once, and Argo CD's two documents."""
    folder = tmp_path_factory.mktemp("everything")
    more = [name for name in COMPONENTS if name not in OWN_OF_SCALED]
    text = built(with_components(folder, "scaled", more))
    text += "".join(
        "---\n" + path.read_text() for path in sorted((ROOT / "deploy" / "argocd").glob("*.yaml"))
    )
    file = folder / "all.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlay_builds(overlay):
    kinds = [document["kind"] for document in manifests(f"deploy/overlays/{overlay}")]

    assert {"Namespace", "Service", "Deployment"} <= set(kinds)


@pytest.mark.parametrize("component", [name for name in COMPONENTS if name not in SCALED_ONLY])
def test_the_component_builds_on_the_single_pod(component, tmp_path):
    before = len(manifests("deploy/overlays/single"))

    assert len(manifests(with_components(tmp_path, "single", [component]))) >= before


def test_core_kinds_fit_the_schemas_of_kubernetes(everything):
    done = run("kubernetes-validate", "--strict", str(everything))

    assert done.returncode == 0, done.stdout
    unknown = re.findall(r"^WARN .* Couldn't find schema", done.stdout, re.MULTILINE)
    custom = [
        d for d in yaml.safe_load_all(everything.read_text()) if d and d["apiVersion"].startswith(CUSTOM)
    ]
    assert len(unknown) == len(custom)


def test_core_kinds_that_do_not_fit_are_found(everything, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(built("deploy/overlays/scaled").replace("replicas: 2", "replicas: two", 1))

    assert run("kubernetes-validate", "--strict", str(wrong)).returncode == 1


def test_custom_kinds_fit_their_published_schemas(everything):
    done = node("validate.mjs", str(everything))

    assert done.returncode == 0, done.stdout + done.stderr
    kinds = set(re.findall(r"^(\w+)/\S+: ok$", done.stdout, re.MULTILINE))
    assert kinds == {
        *("Application", "AppProject", "ExternalSecret", "HTTPRoute", "PodMonitor", "PrometheusRule"),
        *("ScaledObject", "SealedSecret", "ServiceMonitor", "TriggerAuthentication"),
    }


def test_custom_kinds_that_do_not_fit_are_found(everything, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(everything.read_text().replace("selfHeal: true", "selfHeal: yes-please"))

    assert node("validate.mjs", str(wrong)).returncode == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_checkov_finds_no_weakness(overlay, tmp_path):
    file = tmp_path / "overlay.yaml"
    file.write_text(built(f"deploy/overlays/{overlay}"))
    skipped = ["--skip-check", ",".join(EXEMPT)] if overlay == "single" else []
    done = run(
        *(
            "checkov",
            "--framework",
            "kubernetes",
            "--file",
            str(file),
            "--skip-download",
            "--compact",
            "--quiet",
        ),
        *skipped,
    )

    assert done.returncode == 0, done.stdout


def test_yamllint_has_nothing_to_say():
    rules = "{extends: relaxed, rules: {line-length: {max: 130}, comments-indentation: disable}}"
    done = run("yamllint", "--strict", "-d", rules, "deploy", "docker", ".github")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_keeps_to_the_restricted_pod_security_standard(overlay):
    workloads = [d for d in manifests(f"deploy/overlays/{overlay}") if d["kind"] in {"Deployment", "Job"}]

    assert workloads
    for workload in workloads:
        pod = pod_of(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        safe = {"net.ipv4.ip_unprivileged_port_start"}
        assert {sysctl["name"] for sysctl in pod["securityContext"].get("sysctls", [])} <= safe
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert {"memory", "cpu"} <= set(container["resources"]["limits"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_time_for_its_drain(overlay):
    from mailrelay.processes.stopping import ORDERLY

    relay = pod_of(one(manifests(f"deploy/overlays/{overlay}"), "Deployment", "graph-smtp-relay"))
    (container,) = relay["containers"]
    (_, seconds) = container["lifecycle"]["preStop"]["exec"]["command"]

    assert relay["terminationGracePeriodSeconds"] > int(seconds) + ORDERLY


def test_a_worker_has_time_for_the_request_under_way():
    from django.conf import settings

    worker = pod_of(one(manifests("deploy/overlays/scaled"), "Deployment", "graph-smtp-worker"))

    assert worker["terminationGracePeriodSeconds"] > settings.GRAPH_TIMEOUT


def test_the_migration_is_a_sync_hook_before_the_workloads():
    documents = manifests("deploy/overlays/scaled")
    hook = one(documents, "Job", "graph-smtp-migrate")["metadata"]["annotations"]
    waves = [
        int(d["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for d in documents
        if d["kind"] == "Deployment"
    ]

    assert hook["argocd.argoproj.io/hook"] == "Sync"
    assert int(hook["argocd.argoproj.io/sync-wave"]) < min(waves)
    assert hook["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"


def test_the_admin_stays_reachable_while_ready_is_red():
    scaled, single = manifests("deploy/overlays/scaled"), manifests("deploy/overlays/single")
    (container,) = pod_of(one(scaled, "Deployment", "graph-smtp-web"))["containers"]

    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    assert one(scaled, "Service", "graph-smtp-web")["spec"]["selector"] == {"app": "graph-smtp-web"}
    assert one(single, "Service", "graph-smtp-web")["spec"]["publishNotReadyAddresses"] is True


def test_the_network_policies_deny_first_and_let_mail_in_from_named_namespaces():
    documents = manifests("deploy/overlays/scaled")
    deny = one(documents, "NetworkPolicy", "default-deny")["spec"]
    (rule,) = one(documents, "NetworkPolicy", "smtp-from-clients")["spec"]["ingress"]

    assert (deny["podSelector"], deny["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert "ingress" not in deny
    assert rule["ports"] == [{"port": 25, "protocol": "TCP"}]
    assert rule["from"][0]["namespaceSelector"]["matchLabels"]


def test_flower_knows_the_broker_and_neither_database_nor_keys():
    (container,) = pod_of(one(manifests("deploy/overlays/scaled"), "Deployment", "graph-smtp-flower"))[
        "containers"
    ]
    names = {variable["name"] for variable in container["env"]}

    assert "envFrom" not in container
    assert "FLOWER_BASIC_AUTH_FILE" in names
    assert not names & {"DATABASE_URL_FILE", "FIELD_ENCRYPTION_KEYS_FILE", "DJANGO_SECRET_KEY_FILE"}


def test_argo_may_make_every_kind_that_the_overlays_have(everything):
    text = (ROOT / "deploy" / "argocd" / "project.yaml").read_text()
    project = yaml.safe_load(text)["spec"]
    allowed = {
        (entry["group"], entry["kind"])
        for entry in project["clusterResourceWhitelist"] + project["namespaceResourceWhitelist"]
    }
    made = {
        (d["apiVersion"].rpartition("/")[0], d["kind"])
        for d in yaml.safe_load_all(everything.read_text())
        if d and d["metadata"].get("namespace") != "argocd"
    }

    assert made <= allowed
