"""Each finding of `manage.py doctor` that asks for something: made, fixed as it says, and gone."""

import json
import shutil
import socket
import sqlite3
from contextlib import closing
from datetime import date, timedelta

import pytest
from cryptography.fernet import Fernet

from gateway.listeners import Listener
from mailrelay.diagnosis import broker, certificate, exposure, microsoft, records, storage, workers
from mailrelay.diagnosis.findings import Level
from mailrelay.graph.http import GraphSession
from mailrelay.models import AppRegistration, Mailbox, SenderConfig, SmtpClient
from mailrelay.outbox.claiming import capacity, claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame
from mailrelay.parsing import networks
from mailrelay.vocabulary import CredentialKind, LargeMail, ManagedBy, State
from sandbox.world import CLIENT
from tests.commands.test_doctor import at_sandbox, examined, point  # noqa: F401 - a fixture among them
from tests.credentials.conftest import NewCredential, Proxy
from tests.harness.ports import eventually, free_port
from tests.harness.processes import SECRET_KEY, manage
from tests.smtp.certificates import write_certificate


def asked_for(check, text):
    """The findings of `check` that are not OK and say `text`; each has to say what fixes it."""
    found = [one for one in examined(check) if one[0] is not Level.OK and text in one[1]]
    assert all(fix for _, _, fix in found)
    return found


def of(findings, text=""):
    found = [one for one in findings if one.level is not Level.OK and text in one.sentence]
    assert all(one.fix for one in found)
    return found


def doctored(environment, text):
    """The findings of the command itself that are not OK and say `text`."""
    done = manage(environment, "doctor", "--json", check=False)
    found = json.loads(done.stdout)["findings"]
    bad = [one for one in found if one["level"] != Level.OK and text in one["sentence"]]
    assert all(one["fix"] for one in bad)
    return bad


# --- App registrations -----------------------------------------------------------------------------------


def test_a_refused_secret_is_entered_anew(at_sandbox, registration):  # noqa: F811
    point(registration, at_sandbox, secret="a-wrong-one")
    assert asked_for("app registration", "gets no token")
    assert asked_for("mailbox", "was not tried")

    point(registration, at_sandbox)

    assert not asked_for(None, "gets no token") + asked_for(None, "was not tried")


def test_a_key_that_is_missing_is_put_back_at_the_end(at_sandbox, registration, settings):  # noqa: F811
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.FIELD_ENCRYPTION_KEYS = [old]
    point(registration, at_sandbox)
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert asked_for("app registration", "FIELD_ENCRYPTION_KEYS lacks the key")

    settings.FIELD_ENCRYPTION_KEYS = [new, old]

    assert not asked_for("app registration", "")


def test_the_environments_credential_is_tried_where_its_variables_are(at_sandbox, registration, settings):  # noqa: F811
    point(registration, at_sandbox, managed_by=ManagedBy.ENVIRONMENT)
    assert asked_for("app registration", "lacks its variables")

    settings.AZURE_TENANT_ID, settings.AZURE_CLIENT_ID = registration.tenant_id, registration.client_id
    settings.AZURE_CLIENT_SECRET, settings.SENDER_EMAIL = "sandbox-secret", "gateway@contoso.test"

    assert not asked_for("app registration", "")


def test_a_certificate_that_ends_is_replaced_by_its_successor(at_sandbox, registration, tmp_path):  # noqa: F811
    file, old, new = tmp_path / "app.pem", NewCredential(days=5), NewCredential(days=200)
    at_sandbox.world(apps={CLIENT: {"certificates": [old.public, new.public]}})
    file.write_text(old.private + old.public)
    point(registration, at_sandbox, kind=CredentialKind.CERTIFICATE, certificate_path=str(file))
    assert asked_for("app registration", "ends in 4 days")

    file.write_text(new.private + new.public)

    assert not asked_for("app registration", "")


def test_a_newer_secret_that_is_not_taken_is_entered_again(at_sandbox, registration):  # noqa: F811
    point(registration, at_sandbox, next_secret="mistyped")
    assert asked_for("app registration", "a newer secret, which Entra does not take")

    at_sandbox.world(apps={CLIENT: {"secrets": ["sandbox-secret", "the-newer"]}})
    point(registration, at_sandbox, next_secret="the-newer")

    assert not asked_for("app registration", "")


def test_a_secret_that_ends_has_a_successor(at_sandbox, registration):  # noqa: F811
    soon, later = (date.today() + timedelta(days=days) for days in (5, 300))
    point(registration, at_sandbox, secret_expires_on=soon)
    assert asked_for("app registration", "The secret of contoso ends in")

    at_sandbox.world(apps={CLIENT: {"secrets": ["sandbox-secret", "the-newer"]}})
    point(
        registration,
        at_sandbox,
        secret_expires_on=soon,
        next_secret="the-newer",
        next_secret_expires_on=later,
    )

    assert not asked_for("app registration", "")


def test_what_fails_for_the_workers_alone_is_over_when_they_succeed(at_sandbox, registration):  # noqa: F811
    point(registration, at_sandbox, failing="unreachable", failing_text="The proxy refused the connection.")
    assert asked_for("app registration", "fails for the workers")

    write(Move.SETTLE, lambda: blame.fixed(AppRegistration.objects.get(), clock.now()))

    assert not asked_for("app registration", "")


# --- Mailboxes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unlicensed", "outofscope", "blocked"])
def test_a_mailbox_is_mended_in_the_tenant(at_sandbox, mailbox, name):  # noqa: F811
    address = f"{name}@contoso.test"
    Mailbox.objects.update(address=address)
    assert asked_for("mailbox", address)

    at_sandbox.world(mailboxes={address: {"state": "normal"}})

    assert not asked_for("mailbox", "")


def test_an_address_that_nobody_has_is_corrected(at_sandbox, mailbox):  # noqa: F811
    Mailbox.objects.update(address="ghost@contoso.test")
    assert asked_for("mailbox", "ghost@contoso.test")

    Mailbox.objects.update(address="gateway@contoso.test")

    assert not asked_for("mailbox", "")


def test_a_mailbox_that_holds_its_mail_or_pauses_goes_on_after_a_success(at_sandbox, mailbox):  # noqa: F811
    Mailbox.objects.update(
        blocked="mailbox_unknown",
        blocked_text="Graph knows no such mailbox.",
        paused_until=clock.now() + timedelta(minutes=5),
        pause_text="Microsoft asked for a rest.",
    )
    assert asked_for("mailbox", "its mail is held")
    assert asked_for("mailbox", "is paused until")

    write(Move.SETTLE, lambda: blame.success(claim.lock(mailbox.pk), clock.now()))
    Mailbox.objects.update(paused_until=clock.now())

    assert not asked_for("mailbox", "")


# --- The way to Microsoft --------------------------------------------------------------------------------


def way(sandbox, check="network"):
    return [one for one in of(microsoft.way_to(sandbox.base_url, GraphSession())) if one.check == check]


def test_an_authority_that_nobody_trusts_is_named_in_a_bundle(at_sandbox, monkeypatch):  # noqa: F811
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert asked_for("network", "certificate is not trusted")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    ((_, sentence, _),) = examined("network")
    assert "REQUESTS_CA_BUNDLE names /nonexistent.pem" in sentence

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", at_sandbox.ca_file)

    assert not asked_for("network", "")


def test_a_resolver_that_is_away_is_mended(at_sandbox, monkeypatch):  # noqa: F811
    def away(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with monkeypatch.context() as broken:
        broken.setattr(socket, "getaddrinfo", away)
        assert [one for one in way(at_sandbox) if "cannot be resolved" in one.sentence]

    assert not way(at_sandbox)


def test_a_proxy_that_is_wrong_is_corrected_or_passed_by(at_sandbox, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    assert [one for one in way(at_sandbox) if "through the proxy" in one.sentence]

    with closing(Proxy()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert not way(at_sandbox)
        assert proxy.asked
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")

    assert not way(at_sandbox)


def test_a_port_that_is_closed_is_opened(at_sandbox):  # noqa: F811
    at_sandbox.stop()
    assert way(at_sandbox)

    at_sandbox.start()

    assert not way(at_sandbox)


def test_a_clock_that_is_off_is_set(at_sandbox, monkeypatch):  # noqa: F811
    real = microsoft.time.time
    with monkeypatch.context() as off:
        off.setattr(microsoft.time, "time", lambda: real() + 900)
        assert way(at_sandbox, "clock")

    assert not way(at_sandbox, "clock")


# --- The listener ----------------------------------------------------------------------------------------


def test_a_listener_for_everybody_or_nobody_gets_its_networks(db, settings):
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 25),)
    settings.SMTP_ALLOWED_NETWORKS = networks("loopback")
    assert of(exposure.reach(), "nobody there may send")
    settings.SMTP_ALLOWED_NETWORKS = networks("private")
    assert of(exposure.reach(), "EVERY host")
    client = SmtpClient.objects.create(name="everybody", networks="0.0.0.0/0")
    assert of(exposure.reach(), "open relay")

    settings.SMTP_ALLOWED_NETWORKS = networks("10.20.0.0/24,10.20.7.9/32")
    client.networks = "10.30.0.0/16"
    client.save()

    assert not of(exposure.reach())


@pytest.mark.parametrize("days", [5, -1, None])
def test_the_listeners_certificate_is_renewed(settings, tmp_path, days):
    settings.SMTP_TLS_CERT_FILE = str(tmp_path / "certificate.pem")
    if days is not None:
        write_certificate(tmp_path, days=days)
    assert of(certificate.of_listener())

    write_certificate(tmp_path, days=90)

    assert not of(certificate.of_listener())


# --- Database, broker, disk, workers ---------------------------------------------------------------------


def on_postgresql(tmp_path, url):
    return {
        "PATH": "/usr/bin:/bin",
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": url,
        "DJANGO_SECRET_KEY": SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "HTTP_LISTEN": "off",
    }


def test_a_database_is_reached_migrated_and_made_writable(tmp_path, postgresql):
    import psycopg

    url = postgresql.database()
    environment = on_postgresql(tmp_path, f"postgres://nobody@127.0.0.1:{free_port()}/gateway")
    assert doctored(environment, "cannot be used") and doctored(environment, "were not examined")
    environment["DATABASE_URL"] = url
    assert doctored(environment, "lacks migrations")
    manage(environment, "migrate", "--verbosity", "0")
    assert not doctored(environment, "The database")
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        assert doctored(environment, "read-only")

        connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        assert not doctored(environment, "read-only")
        with closing(psycopg.connect(postgresql.dsn("postgres"), autocommit=True)) as server:
            _set(server, "full_page_writes", "off")
            try:
                assert doctored(environment, "PostgreSQL runs with full_page_writes=off")
            finally:
                _set(server, "full_page_writes", "on")

    assert not doctored(environment, "PostgreSQL runs with")


def _set(server, name, value):
    server.execute(f"ALTER SYSTEM SET {name} = {value}")
    server.execute("SELECT pg_reload_conf()")
    eventually(lambda: server.execute(f"SHOW {name}").fetchone() == (value,), what=f"{name} being {value}")


def test_a_file_of_sqlite_is_rebuilt_by_the_command_that_is_shown(tmp_path, monkeypatch):
    environment = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), "HTTP_LISTEN": "off"}
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as connection:
        connection.execute("CREATE TABLE before (id)")  # a table made before the pragma fixes it at none
    manage(environment, "migrate", "--verbosity", "0")
    (found,) = doctored(environment, "auto_vacuum")

    shown = found["fix"].partition("'")[2].rpartition("'")[0]
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite3", isolation_level=None)) as connection:
        connection.executescript(shown)

    assert not doctored(environment, "auto_vacuum")


def test_a_pragma_that_loses_mail_is_told_with_what_to_do(transactional_db):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
    assert of(records.durability(), "synchronous")

    connection.close()  # each new connection sets it, on a disk that lets it

    assert not of(records.durability())


def test_a_broker_that_is_down_is_started(settings, monkeypatch, redis):
    from celery import current_app

    settings.CELERY_BROKER_URL = redis.url
    monkeypatch.setattr(current_app.conf, "broker_write_url", redis.url)
    redis.end()
    try:
        assert of(broker.reachable(), "cannot be used")
    finally:
        redis.start()

    assert not of(broker.reachable())


def test_a_directory_that_is_missing_is_made_and_a_full_disk_emptied(settings, monkeypatch, tmp_path):
    settings.DATA_DIR, settings.EMBEDDED = tmp_path / "data", True
    (found,) = of(storage.data_dir())
    assert f"mkdir -p {settings.DATA_DIR}" in found.fix
    settings.DATA_DIR.mkdir()
    assert not of(storage.data_dir())

    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
        assert of(storage.free_space())

    assert not of(storage.free_space())


def test_a_worker_is_started_for_each_queue_that_is_needed(store, sender):
    assert of(workers.needed(), "mail would be accepted and wait")
    store(State.QUEUED)
    assert of(workers.needed(), "and mail waits in it")
    capacity.beat("host:1", ("deliver",), 8)
    assert not of(workers.needed())

    SenderConfig.objects.update(large_mail=LargeMail.ON)
    (found,) = of(workers.needed(), "deliver-large")
    assert "-Q deliver,deliver-large" in found.fix
    capacity.beat("host:1", ("deliver", "deliver-large"), 8)

    assert not of(workers.needed())


# --- Configuration ---------------------------------------------------------------------------------------


def test_a_variable_that_cannot_be_used_is_corrected(embedded):
    embedded.environment["SENDER_CONCURRENCY"] = "many"
    assert doctored(embedded.environment, "SENDER_CONCURRENCY")

    embedded.environment["SENDER_CONCURRENCY"] = "4"

    assert not doctored(embedded.environment, "SENDER_CONCURRENCY")


def test_senders_are_there_and_one_is_the_default(at_sandbox, sender):  # noqa: F811
    SenderConfig.objects.update(active=False)
    assert asked_for("configuration", "There is no active sender")
    SenderConfig.objects.update(active=True, is_default=False)
    assert asked_for("configuration", "No active sender is the default")

    SenderConfig.objects.update(is_default=True)

    assert not asked_for("configuration", "sender")


def test_processes_that_differ_get_the_same_variables(at_sandbox, registration, sender, settings):  # noqa: F811
    point(registration, at_sandbox, managed_by=ManagedBy.ENVIRONMENT)
    SenderConfig.objects.update(managed_by=ManagedBy.ENVIRONMENT)
    settings.AZURE_TENANT_ID, settings.AZURE_CLIENT_ID = registration.tenant_id, registration.client_id
    settings.AZURE_CLIENT_SECRET, settings.SENDER_EMAIL = "sandbox-secret", "other@contoso.test"
    assert asked_for("configuration", "SENDER_EMAIL of this process differ")

    settings.SENDER_EMAIL, settings.SENDER_MAILBOX = "gateway@contoso.test", "shared@contoso.test"
    assert asked_for("configuration", "SENDER_MAILBOX of this process differ")

    settings.SENDER_MAILBOX = ""

    assert not asked_for("configuration", "of this process differ")
