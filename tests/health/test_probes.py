"""Probes of every kind of process: from memory, for everybody, and right again by themselves."""

import threading
from contextlib import suppress

import psycopg
import pytest
import requests

from mailrelay.health import pulse
from tests.harness.ports import eventually
from tests.health.conftest import KINDS, ask

each_process = pytest.mark.parametrize("name", KINDS)


@each_process
def test_probes_answer_whatever_host_they_are_asked_by(cluster, name):
    process = cluster.processes[name]

    health, ready, metrics = (ask(process, path, Host="evil.example") for path in PATHS)

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()["failed"]) == (200, [])
    assert set(ready.json()["checks"]) == {"database", "spool", "token", "configuration"}
    assert metrics.status_code == 200 and metrics.headers["Content-Type"].startswith("text/plain")


PATHS = ("/health", "/ready", "/metrics")


@pytest.mark.parametrize("name", ["web", "gateway"])
def test_pages_keep_their_host_check(cluster, name):
    process = cluster.processes[name]

    assert ask(process, "/admin/login/", 30, Host="evil.example").status_code == 400
    assert ask(process, "/admin/login/", 30).status_code == 200


@pytest.mark.parametrize("name", ["relay", "worker"])
def test_a_process_without_pages_says_what_it_serves(cluster, name):
    answer = ask(cluster.processes[name], "/admin/")

    assert answer.status_code == 404 and "/health, /ready and /metrics" in answer.text


@pytest.mark.parametrize(("name", "loop"), [("relay", "smtp"), ("gateway", "smtp"), ("worker", "celery")])
def test_the_loop_that_a_process_lives_by_is_watched(cluster, name, loop):
    age = cluster.processes[name].metrics()[f'graph_smtp_loop_age_seconds{{loop="{loop}"}}']

    assert 0 <= age < pulse.STANDSTILL


def test_probes_answer_from_memory_while_the_database_is_frozen_and_pages_hang(cluster):
    """The sign of readiness goes after fifteen seconds and comes back by itself."""
    gateway = cluster.processes["gateway"]
    cluster.database.pause()
    try:
        hanging = [threading.Thread(target=_page, args=(gateway,), daemon=True) for _ in range(8)]
        for thread in hanging:
            thread.start()
        assert [ask(gateway, path).status_code for path in ("/health", "/metrics")] == [200, 200]
        assert any(thread.is_alive() for thread in hanging)
        for process in cluster.processes.values():
            assert [ask(process, path).status_code for path in ("/health", "/metrics")] == [200, 200]
            assert ask(process, "/ready").status_code in {200, 503}
        eventually(lambda: cluster.statuses("/ready") == {503}, what="every process being unready")
        assert all("database" in failed for failed in cluster.failed())
        assert cluster.statuses("/health") == {200}
    finally:
        cluster.database.resume()

    eventually(lambda: cluster.statuses("/ready") == {200}, what="every process being ready again")


def _page(process) -> None:
    # A session has to be looked up in the database.
    with suppress(requests.RequestException):
        ask(process, "/admin/", 120, Cookie="sessionid=" + "x" * 32)


def _configure(cluster, statement: str) -> None:
    with psycopg.connect(cluster.database.dsn("postgres"), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only=off")
        connection.execute(statement)
        connection.execute("SELECT pg_reload_conf()")


def test_a_read_only_database_is_named_until_it_takes_writes_again(cluster):
    _configure(cluster, "ALTER SYSTEM SET default_transaction_read_only=on")
    try:
        eventually(lambda: cluster.statuses("/ready") == {503}, what="every process being unready")
        assert {process.ready()["checks"]["database"] for process in cluster.processes.values()} == {
            "the database is read-only"
        }
    finally:
        _configure(cluster, "ALTER SYSTEM RESET default_transaction_read_only")

    eventually(lambda: cluster.statuses("/ready") == {200}, what="every process being ready again")


def test_a_database_that_is_gone_is_named_until_it_is_back(cluster):
    cluster.database.end()
    try:
        eventually(lambda: cluster.statuses("/ready") == {503}, what="every process being unready")
        assert all("database" in failed for failed in cluster.failed())
        assert cluster.statuses("/health") == {200}
    finally:
        cluster.database.start()

    eventually(lambda: cluster.statuses("/ready") == {200}, what="every process being ready again")
