"""Alert rules and dashboard: right, tested one by one, and about metrics that the code exports."""

import json
import re

import pytest
import yaml

from scripts import write_rules
from tests.deploy.tools import ROOT, run

RULES = ROOT / "docker" / "prometheus" / "rules.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy" / "components" / "monitoring" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\b((?:graph_smtp|flower|process)_[a-z_]+)\b")
DOCS = "https://github.com/graph-mail-gateway/graph-mail-gateway/blob/main/docs/troubleshooting.md"


def expressions() -> dict[str, str]:
    """Map every expression of a rule or a panel to where it stands."""
    rules = {rule["expr"]: rule["alert"] for rule in ALERTS}
    return rules | {target["expr"]: panel["title"] for panel in PANELS for target in panel["targets"]}


def exported() -> set[str]:
    """Name every metric of ours, as a process that has counted something exposes it."""
    import prometheus_client

    from mailrelay import metrics  # noqa: F401 - declaring registers
    from mailrelay.health import exposition
    from mailrelay.health.figures import Figures
    from mailrelay.health.monitor import Look, Monitor
    from mailrelay.outbox.db import counters

    values = dict.fromkeys(Figures.__dataclass_fields__, 0)
    values |= {"totals": dict.fromkeys(counters.ALL, 0), "depth": {"queued": 0}, "default_token_expiry": 1.0}
    values |= {name: {} for name, kind in Figures.__annotations__.items() if str(kind).startswith("dict")} | {
        name: value for name, value in values.items() if isinstance(value, dict)
    }
    monitor = Monitor(look=Look(0.0, {}, Figures(**values)))
    families = [*prometheus_client.REGISTRY.collect(), *exposition.QueueCollector(monitor).collect()]
    suffixes = {
        "counter": ("_total",),
        "histogram": ("_bucket", "_sum", "_count"),
        "gauge": ("",),
    }
    return {f.name + suffix for f in families for suffix in suffixes.get(f.type, ("",))}


def test_promtool_accepts_the_rules():
    done = run("promtool", "check", "rules", str(RULES))

    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_configuration(tmp_path):
    # The rules lie elsewhere in the container.
    text = (ROOT / "docker" / "prometheus" / "prometheus.yml").read_text()
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/rules.yml", str(RULES)))
    done = run("promtool", "check", "config", str(file))

    assert done.returncode == 0, done.stdout + done.stderr


def unit_tests(folder, rules=RULES):
    text = (ROOT / "tests" / "deploy" / "rules_test.yml").read_text()
    file = folder / "rules_test.yml"
    file.write_text(text.replace("{file}", str(rules)).replace("{docs}", DOCS))
    return run("promtool", "test", "rules", str(file))


def test_each_alert_fires_when_it_should_and_only_then(tmp_path):
    done = unit_tests(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_each_alert_has_a_test_that_fails_without_it(alert, tmp_path):
    rules = yaml.safe_load(RULES.read_text())
    group = rules["groups"][0]
    group["rules"] = [rule for rule in group["rules"] if rule["alert"] != alert]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules))

    assert unit_tests(tmp_path, file).returncode != 0


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_to_do(rule):
    link = rule["annotations"]["runbook_url"]
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)

    assert link == f"{DOCS}#{rule['alert'].lower()}"
    assert rule["alert"] in headings
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_no_rule_and_no_panel_names_a_metric_that_is_not_exported():
    known = exported()
    unknown = {
        f"{place}: {name}"
        for text, place in expressions().items()
        for name in METRIC.findall(text)
        if name.startswith("graph_smtp_") and name not in known
    }

    assert not unknown


def test_totals_of_the_database_are_never_added_up_over_processes():
    from mailrelay.health.exposition import TOTALS

    names = {f"{name}_total" for name, _ in TOTALS.values()}
    wrong = [text for text in expressions() for name in names if name in text and f"max({name}" not in text]

    assert not wrong


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_the_expressions_of_a_panel_are_promql(panel, tmp_path):
    rules = [{"record": "a:b", "expr": target["expr"]} for target in panel["targets"]]
    names = [{**rule, "record": f"a:b{number}"} for number, rule in enumerate(rules)]
    file = tmp_path / "panel.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panel", "rules": names}]}))
    done = run("promtool", "check", "rules", str(file))

    assert done.returncode == 0, done.stderr


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_manifest_of_the_rules_is_what_the_rules_make():
    assert write_rules.TARGET.read_text() == write_rules.wrapped(RULES.read_text()), "run make docs"
