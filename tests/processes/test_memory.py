"""Resident memory of idle processes, against the bars of the design."""

from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, Relay, base_environment, manage

MIB = 2**20


def idle(environment) -> float:
    """Start a listener, wait for its first look at the database; return its resident MiB."""
    with Relay(environment) as relay:
        eventually(lambda: "graph_smtp_workers" in relay.metrics(), what="its first look")
        resident = relay.rss() / MIB
    print(f"idle runsmtp: {resident:.1f} MiB")
    return resident


def test_an_idle_listener_stays_below_64_mib(tmp_path, sandbox):
    environment = base_environment(tmp_path, sandbox, CELERY_BROKER_URL="redis://127.0.0.1:9/0")
    manage(environment, "migrate", "--verbosity", "0")

    assert idle(environment) <= 64


def test_the_driver_of_postgresql_adds_no_more_than_eight(on_redis):
    on_redis.migrate()

    assert idle(on_redis.environment) <= 72


def test_an_idle_gateway_stays_below_110_mib_after_a_page(tmp_path, sandbox):
    with GatewayProcess(base_environment(tmp_path, sandbox)) as gateway:
        eventually(lambda: gateway.get("/ready") == 200, what="readiness")
        assert gateway.get("/admin/login/") == 200
        resident = gateway.rss() / MIB

    print(f"idle rungateway: {resident:.1f} MiB")
    assert resident <= 110
