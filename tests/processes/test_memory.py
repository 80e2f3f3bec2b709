"""Resident memory of idle processes, against the bars of the design."""

import re
from pathlib import Path

from tests.harness.ports import eventually
from tests.harness.processes import ROOT, GatewayProcess, Relay, base_environment, manage

MIB = 2**20


#: What libraries import where it is, and what only the development of this project installs.
NOT_INSTALLED = ("greenlet", "rich")


def without_tools(folder: Path) -> str:
    """Make a directory that hides what the image has none of."""
    (folder / "hiding").mkdir()
    for name in NOT_INSTALLED:
        (folder / "hiding" / f"{name}.py").write_text("raise ImportError\n")
    return str(folder / "hiding")


def idle(environment, folder: Path) -> float:
    """Start a listener, wait for its first look at the database; return its resident MiB."""
    with Relay(environment, PYTHONPATH=without_tools(folder)) as relay:
        eventually(lambda: "graph_smtp_workers" in relay.metrics(), what="its first look")
        resident = relay.rss() / MIB
    print(f"idle runsmtp: {resident:.1f} MiB")
    return resident


def test_an_idle_listener_stays_below_64_mib(tmp_path, sandbox):
    environment = base_environment(tmp_path, sandbox, CELERY_BROKER_URL="redis://127.0.0.1:9/0")
    manage(environment, "migrate", "--verbosity", "0")

    assert idle(environment, tmp_path) <= 64


def test_the_driver_of_postgresql_adds_no_more_than_six(on_redis, tmp_path):
    """Half of it is its own libpq, OpenSSL and Kerberos."""
    on_redis.migrate()

    assert idle(on_redis.environment, tmp_path) <= 69


def test_what_the_listener_is_measured_without_is_not_installed():
    installed = (ROOT / "requirements" / "run.txt").read_text()
    assert not re.search(rf"^({'|'.join(NOT_INSTALLED)})==", installed, re.MULTILINE)


def test_an_idle_gateway_stays_below_110_mib_after_a_page(tmp_path, sandbox):
    with GatewayProcess(base_environment(tmp_path, sandbox)) as gateway:
        eventually(lambda: gateway.get("/ready") == 200, what="readiness")
        assert gateway.get("/admin/login/") == 200
        resident = gateway.rss() / MIB

    print(f"idle rungateway: {resident:.1f} MiB")
    assert resident <= 110
