"""`manage.py config`: senders, apps, mailboxes and clients as a file."""

from datetime import timedelta

import pytest
import yaml
from django.core.management.base import CommandError

from mailrelay.configuration import applying
from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig, SmtpClient
from mailrelay.outbox.db import clock
from mailrelay.outbox.operators import registrations
from mailrelay.vocabulary import ManagedBy, Reason, State
from tests.commands.conftest import CLIENT, TENANT
from tests.harness.ports import eventually
from tests.harness.processes import manage

WHOLE = f"""
apps:
- name: contoso
  tenant_id: {TENANT}
  client_id: {CLIENT}
  secret: {{env: CONTOSO_SECRET}}
mailboxes:
- app: contoso
  address: Gateway@Contoso.test
  concurrency: 2
  messages_per_minute: 0
senders:
- name: printers
  app: contoso
  mailbox: gateway@contoso.test
  addresses: [scanner@contoso.test]
  domains: [printers.contoso.test]
  default: true
  from_policy: require
clients:
- name: erp
  networks: [192.0.2.0/24, private]
  allowed_from: [erp@contoso.test, "@contoso.test"]
"""


@pytest.fixture
def apply(tmp_path, run, monkeypatch, transactional_db):
    """Write a file and apply it; return what was printed."""
    monkeypatch.setenv("CONTOSO_SECRET", "s3cret-value")

    def apply(text, *options):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return run("config", "apply", str(path), *options)

    return apply


@pytest.fixture
def refused(apply):
    """Apply a file that cannot be used; return the sentence, from the position on."""

    def refused(text, *options):
        with pytest.raises(CommandError) as raised:
            apply(text, *options)
        return str(raised.value).partition("gateway.yaml")[2]

    return refused


def plan(text):
    return [line.split(maxsplit=1)[0] for line in text.splitlines()[:-1]]


def test_it_makes_everything_that_the_file_names(apply):
    said = apply(WHOLE)

    app, mailbox = AppRegistration.objects.get(), Mailbox.objects.get()
    sender, client = SenderConfig.objects.get(), SmtpClient.objects.get()
    assert (app.secret, app.managed_by, app.version) == ("s3cret-value", ManagedBy.FILE, 1)
    assert (mailbox.address, mailbox.concurrency, mailbox.messages_per_minute) == (
        "gateway@contoso.test",
        2,
        0,
    )
    assert (sender.mailbox, sender.is_default, sender.from_policy) == (mailbox, True, "require")
    assert (sender.addresses, sender.domains) == ("scanner@contoso.test", "printers.contoso.test")
    assert client.networks.split()[:2] == ["192.0.2.0/24", "10.0.0.0/8"]
    assert client.allowed_from.split() == ["erp@contoso.test", "@contoso.test"]
    assert plan(said) == ["create"] * 4
    assert said.endswith("4 created.\n")
    assert "s3cret" not in said


def test_it_changes_nothing_the_second_time(apply):
    apply(WHOLE)
    before = (
        list(AppRegistration.objects.values()),
        list(Mailbox.objects.values()),
        list(SenderConfig.objects.values()),
    )

    said = apply(WHOLE)

    assert plan(said) == ["unchanged"] * 4
    assert before == (
        list(AppRegistration.objects.values()),
        list(Mailbox.objects.values()),
        list(SenderConfig.objects.values()),
    )


def test_a_dry_run_prints_the_same_plan_and_changes_nothing(apply):
    said = apply(WHOLE, "--dry-run")

    assert plan(said) == ["create"] * 4
    assert said.endswith("4 created. This was a dry run: nothing was changed.\n")
    assert not AppRegistration.objects.exists()
    assert plan(apply(WHOLE)) == plan(said)


def test_it_says_what_changes(apply):
    apply(WHOLE)

    said = apply(
        WHOLE.replace("from_policy: require", "from_policy: rewrite").replace(
            "[scanner@", "[copier@contoso.test, scanner@"
        )
    )

    assert "change     sender printers: addresses +copier@contoso.test; from_policy require → rewrite" in said


def test_keys_that_an_entry_leaves_out_stay_as_they_are(apply):
    apply(WHOLE)

    apply("mailboxes: [{app: contoso, address: gateway@contoso.test, messages_per_minute: 10}]")

    mailbox = Mailbox.objects.get()
    assert (mailbox.concurrency, mailbox.messages_per_minute) == (2, 10)


def test_a_changed_secret_is_a_new_version_that_is_tried_at_once(apply, monkeypatch):
    apply(WHOLE)
    later = clock.now() + timedelta(hours=1)
    AppRegistration.objects.update(failing=Reason.SECRET_EXPIRED, retry_at=later, token_refused=True)
    monkeypatch.setenv("CONTOSO_SECRET", "another-value")

    said = apply(WHOLE)

    app = AppRegistration.objects.get()
    assert "app contoso: secret replaced" in said
    assert "another-value" not in said
    assert (app.secret, app.version, app.token_refused) == ("another-value", 2, False)
    assert app.retry_at <= clock.now()


def test_another_client_id_is_a_new_version_too(apply):
    apply(WHOLE)

    apply(WHOLE.replace(CLIENT, "99999999-9999-9999-9999-999999999999"))

    assert AppRegistration.objects.get().version == 2


def test_keep_leaves_the_stored_secret(apply):
    apply(WHOLE)

    said = apply(WHOLE.replace("{env: CONTOSO_SECRET}", "keep"))

    assert plan(said) == ["unchanged"] * 4
    assert AppRegistration.objects.get().secret == "s3cret-value"


def test_a_secret_may_come_from_a_file_beside_the_file(apply, tmp_path):
    (tmp_path / "contoso.secret").write_text("from-a-file\n")

    apply(WHOLE.replace("env: CONTOSO_SECRET", "file: contoso.secret"))

    assert AppRegistration.objects.get().secret == "from-a-file"


def test_waiting_mail_follows_its_sender_to_another_mailbox(apply, store):
    store(State.HELD, reason=Reason.MAILBOX_UNKNOWN)
    store(State.SENT)

    said = apply("senders: [{name: printers, app: contoso, mailbox: shared@contoso.test}]")

    held, sent = Delivery.objects.order_by("pk")
    assert "mailbox gateway@contoso.test → shared@contoso.test, and 1 waiting deliveries follow" in said
    assert (held.mailbox.address, sent.mailbox.address) == ("shared@contoso.test", "gateway@contoso.test")


def test_the_default_mark_moves(apply, sender):
    said = apply(WHOLE.replace("name: printers", "name: others"))

    assert "change     sender printers: default true → false, since others has it now" in said
    assert SenderConfig.objects.get(is_default=True).name == "others"


def test_rows_that_the_file_does_not_name_stay_without_prune(apply, sender):
    apply("clients: [{name: erp, networks: [192.0.2.1]}]")
    apply("senders: []\napps: []")

    assert SenderConfig.objects.get().active
    assert AppRegistration.objects.get().active
    assert SmtpClient.objects.get().active


def test_prune_deactivates_what_the_sections_of_the_file_do_not_name(apply, sender):
    apply("clients: [{name: erp, networks: [192.0.2.1]}]")

    said = apply("senders: []\napps: []", "--prune")

    assert plan(said) == ["deactivate", "deactivate"]
    assert not SenderConfig.objects.get().active
    assert not AppRegistration.objects.get().active
    assert SmtpClient.objects.get().active


def test_what_comes_back_into_the_file_is_active_again(apply):
    apply(WHOLE)
    apply("apps: []\nsenders: []", "--prune")

    apply(WHOLE)

    assert SenderConfig.objects.get().active
    assert AppRegistration.objects.get().active


def test_the_environments_rows_are_never_touched(apply, refused, sender, registration):
    AppRegistration.objects.update(managed_by=ManagedBy.ENVIRONMENT)
    SenderConfig.objects.update(managed_by=ManagedBy.ENVIRONMENT)
    before = list(AppRegistration.objects.values()), list(SenderConfig.objects.values())

    refusals = [
        refused(f"apps: [{{name: contoso, tenant_id: {TENANT}, client_id: {CLIENT}}}]"),
        refused("mailboxes: [{app: contoso, address: gateway@contoso.test, concurrency: 9}]"),
        refused("senders: [{name: printers, app: contoso, mailbox: gateway@contoso.test}]"),
        refused("senders: [{name: mine, app: contoso, mailbox: gateway@contoso.test, default: true}]"),
    ]
    apply("apps: []\nsenders: []\nclients: []", "--prune")

    assert all("environment" in refusal for refusal in refusals)
    assert before == (list(AppRegistration.objects.values()), list(SenderConfig.objects.values()))


def test_one_bad_entry_undoes_all(refused):
    text = WHOLE + "- name: late\n  networks: [192.0.2.0/24]\n"
    text = text.replace("clients:", "- {name: lost, app: nowhere, mailbox: a@contoso.test}\nclients:")

    assert "senders[1].app: there is no app named 'nowhere'. There is: contoso." in refused(text)
    assert not AppRegistration.objects.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "concurrency: 2",
            "concurency: 2",
            ":10:3: mailboxes[0].concurency: is not a key that is known here.",
        ),
        (
            "concurrency: 2",
            "concurrency: two",
            ":10:16: mailboxes[0].concurrency: “two” is not a whole number",
        ),
        ("concurrency: 2", "concurrency: -1", "mailboxes[0].concurrency: “-1” is too small: the least is 0."),
        (
            "concurrency: 2",
            "concurrency: 2\n  concurrency: 3",
            "mailboxes[0].concurrency: stands here twice.",
        ),
        (
            "from_policy: require",
            "from_policy: strict",
            "“strict” is not one of rewrite, require, send_as, own_mailbox",
        ),
        ("default: true", "default: maybe", "senders[0].default: “maybe” is neither true nor false."),
        ("name: contoso", "name: 123", "apps[0].name: must be text; it is a number. Put it in quotes"),
        (f"client_id: {CLIENT}", "client_id: abc", "apps[0].client_id: “abc” is no client id"),
        (f"  client_id: {CLIENT}\n", "", "apps[0]: lacks client_id."),
        ("192.0.2.0/24", "192.0.2.1/24", "clients[0].networks[0]: “192.0.2.1/24” has bits beyond its prefix"),
        ("scanner@contoso.test", "scanner", "senders[0].addresses[0]: “scanner” is not an address"),
        ("[printers.contoso.test]", "printers", "senders[0].domains: must be a list; it is text."),
        (
            "env: CONTOSO_SECRET",
            "env: NOT_SET",
            "apps[0].secret.env: the environment variable NOT_SET is not set",
        ),
        ("env: CONTOSO_SECRET", "file: nowhere", "nowhere cannot be read: No such file or directory."),
        ("{env: CONTOSO_SECRET}", "keep", "apps[0]: lacks secret, which the credential secret needs"),
        ("clients:", "customers:", "customers: is not a key that is known here. Known are apps, mailboxes"),
        ("clients:\n", "clients:\n- [\n", "this is not YAML"),
    ],
)
def test_it_refuses_with_the_place_and_a_sentence(refused, old, new, said):
    assert said in refused(WHOLE.replace(old, new))
    assert not AppRegistration.objects.exists()


def test_a_secret_in_the_file_is_refused_and_not_repeated(refused):
    text = refused(WHOLE.replace("{env: CONTOSO_SECRET}", "hunter2"))

    assert "apps[0].secret: must be a reference: a secret has no place in this file" in text
    assert "hunter2" not in text


def test_it_refuses_two_senders_for_one_address(refused):
    text = WHOLE.replace(
        "clients:",
        "- {name: twin, app: contoso, mailbox: b@contoso.test, addresses: [scanner@contoso.test]}\nclients:",
    )

    assert "senders[1]: scanner@contoso.test is the sender printers's already." in refused(text)


def test_what_is_exported_can_be_applied_and_changes_nothing(apply, run):
    apply(WHOLE)

    exported = run("config", "export")

    assert "s3cret" not in exported
    assert yaml.safe_load(exported)["apps"][0]["secret"] == "keep"
    assert plan(apply(exported)) == ["unchanged"] * 4


TWO = WHOLE.replace(
    "  from_policy: require\n",
    "  from_policy: require\n  headers_rule: true\n  sent_items: remove\n  fallback: office\n"
    "- {name: office, app: contoso, mailbox: office@contoso.test}\n",
)


def test_a_sender_falls_back_on_one_that_stands_below_it(apply, run):
    assert "fallback nothing → office" in apply(TWO)
    row = SenderConfig.objects.get(name="printers")
    assert (row.fallback.name, row.headers_rule, row.sent_items) == ("office", True, "remove")

    exported = run("config", "export")
    assert set(plan(apply(exported))) == {"unchanged"}
    apply(exported.replace("fallback: office", "fallback: ''"))
    assert SenderConfig.objects.get(name="printers").fallback is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("fallback: office", "fallback: nobody", "senders[0].fallback: there is no sender named 'nobody'."),
        ("fallback: office", "fallback: printers", "printers is the sender itself"),
        ("office@contoso.test}", "office@contoso.test, fallback: printers}", "“office” in its turn"),
        ("office@contoso.test}", "office@contoso.test, from_policy: own_mailbox}", "one mailbox"),
    ],
)
def test_it_refuses_a_fallback_that_cannot_be_one(refused, old, new, sentence):
    assert sentence in refused(TWO.replace(old, new))


def test_export_reads_no_secret_and_leaves_the_environment_out(apply, run, sender):
    AppRegistration.objects.filter(name="contoso").update(managed_by=ManagedBy.ENVIRONMENT)
    SenderConfig.objects.update(managed_by=ManagedBy.ENVIRONMENT)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE mailrelay_appregistration SET secret = 'gAAAA-not-ours'")

    assert yaml.safe_load(run("config", "export")) == {
        "apps": [],
        "mailboxes": [],
        "senders": [],
        "clients": [],
    }


def test_a_secret_that_no_key_opens_can_be_replaced(apply):
    apply(WHOLE)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE mailrelay_appregistration SET secret = 'gAAAA-not-ours'")

    assert "secret replaced" in apply(WHOLE)
    assert AppRegistration.objects.get().secret == "s3cret-value"


def test_rows_of_the_admin_become_the_files(apply, sender):
    said = apply("senders: [{name: printers, app: contoso, mailbox: gateway@contoso.test}]")

    assert "managed by admin → file" in said
    assert SenderConfig.objects.get().managed_by == ManagedBy.FILE


def test_it_makes_mail_flow_as_a_file_alone(embedded, tmp_path):
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "SENDER_EMAIL"):
        del embedded.environment[name]
    url = embedded.sandbox.base_url
    entry = f"authority_host: '{url}'\n  graph_endpoint: '{url}'\n  secret:"
    path = tmp_path / "gateway.yaml"
    path.write_text(WHOLE.replace("secret:", entry).replace("from_policy: require", "from_policy: rewrite"))
    embedded.environment["CONTOSO_SECRET"] = "sandbox-secret"
    listener = embedded.start()

    manage(listener.environment, "config", "apply", str(path))

    def sent() -> bool:
        done = manage(listener.environment, "sendtest", "--to", "ann@example.org", check=False)
        assert done.returncode == 0 or "4.3.5 No sender" in done.stderr, done.stdout + done.stderr
        return done.returncode == 0

    eventually(sent, 60, "the listener having read the new configuration")
    assert [each["recipients"] for each in embedded.delivered()] == [["ann@example.org"]]


def test_replacing_a_secret_keeps_other_edits_of_the_object(registration):
    registration.name = "not saved yet"

    registrations.replace_secret(registration, "fresh")

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.version, stored.name) == ("fresh", 2, "contoso")
    assert (registration.secret, registration.version, registration.name) == ("fresh", 2, "not saved yet")


def test_an_empty_secret_is_refused(registration):
    with pytest.raises(ValueError, match="cannot be empty"):
        registrations.replace_secret(registration, "")


def test_a_blocked_mailbox_is_tried_at_once_after_a_new_secret(registration, mailbox):
    later = clock.now() + timedelta(hours=1)
    Mailbox.objects.update(blocked=Reason.CONSENT_MISSING, probe_at=later, wake_at=later)

    registrations.replace_secret(registration, "fresh")

    mailbox.refresh_from_db()
    assert max(mailbox.probe_at, mailbox.wake_at) <= clock.now()


def test_a_fault_of_the_database_is_a_sentence(apply, monkeypatch):
    from django.db import OperationalError

    def fail(*_):
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(applying, "_client", fail)

    with pytest.raises(CommandError, match=r"takes no writes: OperationalError Nothing was changed\."):
        apply(WHOLE)
    assert not AppRegistration.objects.exists()
