"""`manage.py doctor`: what is wrong with an installation, and what fixes it."""

import json
from datetime import timedelta

import pytest
from django.db import connection

from gateway.listeners import Listener
from mailrelay.diagnosis import (
    broker,
    certificate,
    credentials,
    examination,
    exposure,
    microsoft,
    records,
    workers,
)
from mailrelay.diagnosis.findings import Level
from mailrelay.graph.http import GraphSession
from mailrelay.models import AppRegistration, Mailbox, SenderConfig, SmtpClient
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import clock
from mailrelay.parsing import networks
from mailrelay.vocabulary import ManagedBy, State
from tests.harness.ports import eventually, free_port
from tests.harness.processes import manage
from tests.smtp.certificates import write_certificate


@pytest.fixture
def at_sandbox(registration, sender, sandbox, monkeypatch):
    """The sender's app registration with its credential at the sandbox; nothing is sent."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
    point(registration, sandbox)
    return sandbox


def point(registration, sandbox, **columns):
    columns = {
        "authority_host": sandbox.base_url,
        "graph_endpoint": sandbox.base_url,
        "secret": "sandbox-secret",
    } | columns
    AppRegistration.objects.filter(pk=registration.pk).update(**columns)


def examined(check=None):
    found = [finding for finding in examination.findings() if check in {None, finding.check}]
    return [(finding.level, finding.sentence, finding.fix) for finding in found]


def test_it_finds_nothing_wrong_with_a_running_gateway_and_sends_nothing(embedded):
    listener = embedded.start()

    done = manage(listener.environment, "doctor", "--json")

    document = json.loads(done.stdout)
    levels = {finding["check"]: finding["level"] for finding in document["findings"]}
    assert document["ok"]
    assert document["problems"] == document["warnings"] == 0
    assert levels == dict.fromkeys(
        [
            "configuration",
            "Python",
            "files",
            "broker",
            "database",
            "listener",
            "workers",
            "network",
            "clock",
            "app registration",
            "mailbox",
        ],
        "OK",
    )
    assert embedded.delivered() == []


def test_it_examines_a_cluster_too(on_redis):
    listener = on_redis.start()

    def examined() -> dict:
        document = json.loads(manage(listener.environment, "doctor", "--json", check=False).stdout)
        return document if document["ok"] and "alive" in json.dumps(document) else {}

    document = eventually(examined, 60, "a worker being alive and nothing being wrong")
    said = {finding["check"]: finding["sentence"] for finding in document["findings"]}
    assert said["broker"].startswith("The broker redis://")
    assert "PostgreSQL" in said["database"]
    assert said["workers"].startswith("1 alive for the queue deliver-environment")


def test_it_ends_with_one_and_a_mend_and_without_the_secret(embedded):
    embedded.environment["AZURE_CLIENT_SECRET"] = "hunter2-hunter2-hunter2"
    embedded.environment["CELERY_BROKER_URL"] = f"redis://:swordfish@127.0.0.1:{free_port()}/0"
    manage(embedded.environment, "migrate", "--verbosity", "0")

    done = manage(embedded.environment, "doctor", check=False)

    assert done.returncode == 1
    assert "PROBLEM  app registration: environment gets no token" in done.stdout
    assert "→ Enter the secret's value" in done.stdout
    assert "PROBLEM  broker: The broker redis://:**@127.0.0.1" in done.stdout
    assert "2 problems, " in done.stdout.splitlines()[-1]
    assert "hunter2" not in done.stdout + done.stderr
    assert "swordfish" not in done.stdout + done.stderr


def test_it_says_that_migrations_are_missing(embedded):
    done = manage(embedded.environment, "doctor", check=False)

    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "lacks migrations of this version" in said
    assert "Run: manage.py migrate" in said


def test_it_repeats_what_the_system_checks_say(embedded):
    embedded.environment |= {"SENDER_CONCURRENCY": "many", "AZURE_TENANT_ID": "common"}

    done = manage(embedded.environment, "doctor", check=False)

    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "PROBLEM configuration: SENDER_CONCURRENCY: “many” is not a whole number" in said
    assert "PROBLEM configuration: AZURE_TENANT_ID: “common” names no tenant, and an application gets" in said


def test_it_tells_the_roles_of_a_token(at_sandbox):
    level, sentence, _ = examined("app registration")[0]

    assert level is Level.OK
    assert "Roles: Mail.Send." in sentence


def test_it_calls_roles_unknown_under_rbac(at_sandbox, registration):
    rbac = "66666666-6666-6666-6666-666666666666"
    point(registration, at_sandbox, client_id=rbac, secret="sandbox-secret-rbac")

    level, sentence, _ = examined("app registration")[0]

    assert (level, "unknown (normal under RBAC" in sentence) == (Level.OK, True)
    assert [found[0] for found in examined("mailbox")] == [Level.OK]


@pytest.mark.parametrize(
    "address", ["unlicensed@contoso.test", "outofscope@contoso.test", "ghost@contoso.test"]
)
def test_it_names_a_mailbox_that_graph_does_not_serve(at_sandbox, mailbox, address):
    Mailbox.objects.update(address=address)

    ((level, sentence, fix),) = examined("mailbox")

    assert level is Level.PROBLEM
    assert sentence.startswith(f"{address}: ")
    assert fix
    assert at_sandbox.deliveries() == []


def test_it_asks_only_for_mailboxes_of_active_senders(at_sandbox, registration):
    idle = Mailbox.objects.create(registration=registration, address="unlicensed@contoso.test")
    SenderConfig.objects.create(name="off", mailbox=idle, active=False)

    assert [found[0] for found in examined("mailbox")] == [Level.OK]


def test_a_stored_secret_that_no_key_opens_is_one_finding_of_many(at_sandbox, registration):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mailrelay_appregistration SET secret = 'gAAAA-not-ours'")

    ((level, sentence, _),) = examined("app registration")

    assert level is Level.PROBLEM
    assert "FIELD_ENCRYPTION_KEYS lacks the key" in sentence


def test_the_environments_credential_is_not_tried_without_its_variables(at_sandbox, registration):
    point(registration, at_sandbox, managed_by=ManagedBy.ENVIRONMENT)

    ((level, sentence, _),) = examined("app registration")

    assert level is Level.WARNING
    assert "lacks its variables" in sentence


def test_it_says_what_the_workers_have_on_record_against_what_works_from_here(
    at_sandbox, registration, mailbox
):
    point(registration, at_sandbox, failing="unreachable", failing_text="The proxy refused the connection.")
    Mailbox.objects.update(blocked="mailbox_unknown", blocked_text="Graph knows no such mailbox.")

    said = [sentence for level, sentence, _ in examined() if level is Level.WARNING]

    assert any("works from here, but fails for the workers: The proxy" in sentence for sentence in said)
    assert any("its mail is held: Graph knows no such mailbox." in sentence for sentence in said)


def test_a_certificate_that_nobody_trusts_is_told_with_the_variable_that_mends_it(at_sandbox, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    ((level, sentence, fix),) = examined("network")

    assert level is Level.PROBLEM
    assert "certificate is not trusted" in sentence
    assert "REQUESTS_CA_BUNDLE" in fix


def test_a_bundle_that_cannot_be_read_is_named(at_sandbox, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")

    ((level, sentence, _),) = examined("network")

    assert level is Level.PROBLEM
    assert "REQUESTS_CA_BUNDLE names /nonexistent.pem" in sentence


def test_a_name_that_does_not_resolve_is_told_as_that():
    ((level, sentence),) = [
        (found.level, found.sentence) for found in microsoft.way_to("https://graph.invalid", GraphSession())
    ]

    assert level is Level.PROBLEM
    assert "graph.invalid cannot be resolved" in sentence


def test_a_proxy_is_shown_without_its_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:swordfish@127.0.0.1:{free_port()}")

    ((level, sentence),) = [
        (found.level, found.sentence) for found in microsoft.way_to("https://graph.invalid", GraphSession())
    ]

    assert level is Level.PROBLEM
    assert "through the proxy 127.0.0.1:" in sentence
    assert "swordfish" not in sentence


@pytest.mark.parametrize(("ahead", "level"), [(0, Level.OK), (100, Level.WARNING), (-400, Level.PROBLEM)])
def test_it_compares_the_clock_with_microsofts(at_sandbox, monkeypatch, ahead, level):
    real = microsoft.time.time
    monkeypatch.setattr(microsoft.time, "time", lambda: real() + ahead)
    found = list(microsoft.way_to(at_sandbox.base_url, GraphSession()))

    assert [finding.level for finding in found if finding.check == "clock"] == [level]


def test_a_listener_on_loopback_is_well(db, settings):
    settings.SMTP_LISTENERS = (Listener("127.0.0.1", 25), Listener("::1", 25))

    assert [found.level for found in exposure.reach()] == [Level.OK]


def test_private_networks_are_said_loudly(db, settings):
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 25),)
    settings.SMTP_ALLOWED_NETWORKS = networks("private")

    (found,) = exposure.reach()

    assert found.level is Level.WARNING
    assert "EVERY host" in found.sentence
    assert "SMTP_ALLOWED_NETWORKS" in found.fix


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1"])
def test_an_open_relay_is_a_problem(db, settings, network):
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 25),)
    settings.SMTP_ALLOWED_NETWORKS = networks("10.0.0.0/24")
    SmtpClient.objects.create(name="everybody", networks=network)

    assert [found.level for found in exposure.reach()] == [Level.PROBLEM, Level.OK]


def test_a_listener_that_lets_in_nobody_is_a_problem(db, settings):
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 25),)
    settings.SMTP_ALLOWED_NETWORKS = networks("loopback")

    assert [found.level for found in exposure.reach()] == [Level.PROBLEM]


def test_a_missing_worker_is_a_warning_until_mail_waits_for_it(store):
    assert [found.level for found in workers.needed()] == [Level.WARNING]

    store(State.QUEUED)

    assert [found.level for found in workers.needed()] == [Level.PROBLEM]


def test_a_live_worker_is_found_by_the_queue_that_it_serves(sender, registration):
    capacity.beat("host:1", ("deliver",), 8)
    assert [found.level for found in workers.needed()] == [Level.OK]

    AppRegistration.objects.update(managed_by=ManagedBy.ENVIRONMENT)
    assert [found.level for found in workers.needed()] == [Level.WARNING]


def test_a_worker_that_has_been_silent_does_not_count(sender):
    capacity.beat("host:1", ("deliver",), 8)
    from mailrelay.models import Worker

    Worker.objects.update(seen_at=clock.now() - timedelta(minutes=1))

    assert [found.level for found in workers.needed()] == [Level.WARNING]


def test_a_broker_that_never_answers_costs_no_more_than_its_budget(settings, monkeypatch):
    import socket

    from celery import current_app

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:swordfish@127.0.0.1:{silent.getsockname()[1]}/0"
        settings.CELERY_BROKER_URL = url
        monkeypatch.setattr(broker, "BUDGET", 1)
        monkeypatch.setattr(current_app.conf, "broker_write_url", url)

        (found,) = broker.reachable()

    assert found.level is Level.PROBLEM
    assert "swordfish" not in found.sentence + found.fix


def test_a_pragma_that_loses_mail_is_told(transactional_db):
    assert [found.level for found in records.durability()] == [Level.OK]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")

    (found,) = records.durability()

    connection.close()
    assert found.level is Level.WARNING
    assert "synchronous" in found.sentence


def test_candidates_come_without_those_that_are_switched_off(registration):
    AppRegistration.objects.update(active=False)

    assert credentials.candidates() == ([], [])


@pytest.mark.parametrize(
    ("days", "level"), [(60, Level.OK), (5, Level.WARNING), (-1, Level.PROBLEM), (None, Level.PROBLEM)]
)
def test_it_says_how_long_the_listeners_certificate_lasts(settings, tmp_path, days, level):
    settings.SMTP_TLS_CERT_FILE = str(tmp_path / "certificate.pem")
    if days is not None:
        write_certificate(tmp_path, days=days)

    (found,) = certificate.of_listener()

    assert found.level is level


def test_a_listener_that_takes_logins_alone_is_well(db, settings, tmp_path):
    settings.SMTP_TLS_CERT_FILE = str(write_certificate(tmp_path)[0])
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 587, starttls="required", auth="required"),)
    settings.SMTP_ALLOWED_NETWORKS = networks("loopback")

    assert {found.level for found in exposure.reach()} == {Level.OK}
