"""A configuration that is broken holds its own mail, says why, is tried gently, and lets go once fixed."""

import pytest

from mailrelay.delivery import tokens
from mailrelay.models import AppRegistration, SenderConfig
from mailrelay.outbox.holding.configuration_holds import PROBE_INTERVAL
from mailrelay.outbox.operators import registrations
from mailrelay.vocabulary import CredentialKind, Reason, State
from sandbox.world import CLIENT, FABRIKAM_CLIENT, RBAC_CLIENT, SECOND_TENANT
from tests.delivery.office import CONFLICT, fresh
from tests.harness.processes import mail, rows, send

NORMAL = {"state": "normal"}


def assert_held(deliveries, reason):
    for delivery in deliveries:
        fresh(delivery)
        assert (delivery.state, delivery.reason) == (State.HELD, reason)
        sentence, _, advice = delivery.last_error.partition(". ")
        assert sentence
        assert advice, "says what to do"


def assert_all_sent_once(office, deliveries):
    assert office.states() == [State.SENT] * len(deliveries)
    assert sorted(office.delivered()) == sorted(f"<{row.message.message_id}>" for row in deliveries)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("not-it", Reason.SECRET_WRONG), ("sandbox-expired-secret", Reason.SECRET_EXPIRED)],
)
def test_a_refused_secret_holds_all_mail_of_its_registration_until_it_is_changed(office, secret, reason):
    broken = office.app("broken", CLIENT, secret)
    boxes = [office.box("shared@contoso.test", broken), office.box("billing@contoso.test", broken)]
    deliveries = [*office.queue(6, boxes[0]), *office.queue(6, boxes[1])]

    office.work()

    assert_held(deliveries, reason)
    asked = len(office.requests("token"))
    assert asked == 1
    office.later(PROBE_INTERVAL / 2)
    assert len(office.requests("token")) == asked
    office.later(PROBE_INTERVAL / 2)
    assert len(office.requests("token")) == asked + 1
    assert_held(deliveries, reason)
    assert not office.requests("sendMail")

    registrations.replace_secret(broken, "sandbox-secret")
    office.work()

    assert_all_sent_once(office, deliveries)
    assert fresh(broken).failing == Reason.NONE


def test_a_broken_registration_leaves_the_others_alone(office):
    broken = office.app("broken", CLIENT, "not-it")
    stuck = office.queue(3, office.box("shared@contoso.test", broken))
    free = office.queue(3)
    fabrikam = office.app("fabrikam", FABRIKAM_CLIENT, "sandbox-secret-fabrikam", SECOND_TENANT)
    foreign = office.queue(3, office.box("gateway@fabrikam.test", fabrikam))

    office.work()

    assert_held(stuck, Reason.SECRET_WRONG)
    assert {fresh(row).state for row in [*free, *foreign]} == {State.SENT}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("outofscope@contoso.test", Reason.CONSENT_MISSING),
        ("policy@contoso.test", Reason.CONSENT_MISSING),
        ("nobody@contoso.test", Reason.MAILBOX_UNKNOWN),
        ("unlicensed@contoso.test", Reason.MAILBOX_UNLICENSED),
        ("full@contoso.test", Reason.MAILBOX_FULL),
        ("blocked@contoso.test", Reason.MAILBOX_BLOCKED),
    ],
)
def test_a_broken_mailbox_holds_its_own_mail_until_it_is_mended(office, address, reason):
    box = office.box(address)
    deliveries = office.queue(6, box)
    others = office.queue(3)

    office.work()

    assert_held(deliveries, reason)
    assert {fresh(row).state for row in others} == {State.SENT}
    tried = len(office.requests(box=box))
    assert tried <= box.concurrency
    for probes in range(1, 4):
        office.later(PROBE_INTERVAL + 1)
        assert len(office.requests(box=box)) == tried + probes
    assert_held(deliveries, reason)
    assert [fresh(row).attempts for row in deliveries] == [0] * 6

    office.sandbox.world(mailboxes={address: {"tenant": box.registration.tenant_id} | NORMAL})
    office.later(PROBE_INTERVAL + 1)

    assert_all_sent_once(office, [*deliveries, *others])


@pytest.mark.parametrize(
    ("status", "code", "reason", "words"),
    [
        (403, "ErrorMessageSubmissionBlocked", Reason.MAILBOX_BLOCKED, "blocked the mailbox"),
        (403, "ErrorAccountSuspend", Reason.MAILBOX_BLOCKED, "blocked the mailbox"),
        (404, "OrganizationFromTenantGuidNotFound", Reason.MAILBOX_UNLICENSED, "no Exchange Online"),
        (404, "SomethingMissingIn2031", Reason.MAILBOX_UNKNOWN, "did not say what is missing"),
    ],
)
def test_it_is_held_for_what_graph_says(office, status, code, reason, words):
    office.sandbox.fault("sendMail", "status", status=status, code=code)
    deliveries = office.queue(1)

    office.work()

    assert_held(deliveries, reason)
    assert words in fresh(deliveries[0]).last_error
    office.later(PROBE_INTERVAL + 1)
    assert_all_sent_once(office, deliveries)


@pytest.mark.parametrize(
    "code", ["ErrorAccessDenied", "ErrorAccountSuspendShowTierUpgrade", "ErrorSomethingNewIn2031", ""]
)
def test_what_a_403_holds_is_tried_and_goes_by_itself_once_graph_takes_it(office, code):
    office.sandbox.fault("sendMail", "status", times=2, status=403, code=code)
    deliveries = office.queue(3)

    office.work()
    assert {fresh(row).state for row in deliveries} <= {State.HELD, State.SENT}
    assert fresh(office.mailbox).blocked
    for _ in range(4):
        office.later(PROBE_INTERVAL)

    assert_all_sent_once(office, deliveries)
    assert fresh(office.mailbox).blocked == Reason.NONE


def test_consent_that_is_missing_altogether_holds_every_mailbox_of_the_registration(office):
    office.sandbox.world(apps={CLIENT: {"roles": []}})
    deliveries = office.queue(3)

    office.work()

    assert_held(deliveries, Reason.CONSENT_MISSING)
    office.sandbox.world(apps={CLIENT: {"roles": ["Mail.Send"]}})
    office.sandbox.revoke_tokens()  # roles come with the next token
    office.later(PROBE_INTERVAL + 1)
    assert_all_sent_once(office, deliveries)


def test_a_mailbox_that_enters_the_scope_late_is_served_when_exchange_has_heard_of_it(office):
    office.sandbox.world(behaviour={"rbac_delay": 3600})
    rbac = office.app("rbac", RBAC_CLIENT, "sandbox-secret-rbac")
    deliveries = office.queue(3, office.box("billing@contoso.test", rbac))
    office.work()
    assert_held(deliveries, Reason.CONSENT_MISSING)

    scope = {"Mail.Send": ["gateway@contoso.test", "billing@contoso.test"]}
    office.sandbox.world(apps={RBAC_CLIENT: {"rbac": scope}})
    office.later(PROBE_INTERVAL + 1)
    assert_held(deliveries, Reason.CONSENT_MISSING)

    office.sandbox.reset()
    office.sandbox.world(apps={RBAC_CLIENT: {"rbac": scope}})
    office.later(PROBE_INTERVAL + 1)
    assert_all_sent_once(office, deliveries)


def test_a_federated_token_file_that_is_missing_holds_the_mail_until_it_can_be_read(office, tmp_path):
    path = tmp_path / "token"
    federated = office.app("federated", CLIENT, "", kind=CredentialKind.FEDERATED, token_file=str(path))
    deliveries = office.queue(3, office.box("shared@contoso.test", federated))

    office.work()

    assert_held(deliveries, Reason.CREDENTIAL_MISSING)
    assert str(path) in fresh(deliveries[0]).last_error
    assert not office.requests("token")
    path.write_text("an assertion that Entra does not know")
    office.later(PROBE_INTERVAL + 1)
    assert_held(deliveries, Reason.CREDENTIAL_REFUSED)


def test_a_probe_that_meets_a_passing_fault_does_not_change_what_the_mail_is_held_for(office):
    box = office.box("full@contoso.test")
    deliveries = office.queue(2, box)
    office.work()

    office.sandbox.fault("sendMail", "throttled", mailbox=box.address, retry_after="5")
    office.later(PROBE_INTERVAL + 1)
    assert_held(deliveries, Reason.MAILBOX_FULL)
    office.sandbox.fault("sendMail", "proxy_page", mailbox=box.address)
    office.later(PROBE_INTERVAL + 1)
    assert_held(deliveries, Reason.MAILBOX_FULL)

    office.sandbox.world(mailboxes={box.address: NORMAL})
    office.later(PROBE_INTERVAL * 2)
    office.later(PROBE_INTERVAL * 2)
    assert_all_sent_once(office, deliveries)


def test_a_refused_secret_stays_the_reason_while_entra_is_away(office):
    AppRegistration.objects.filter(pk=office.registration.pk).update(secret="not-it")
    deliveries = office.queue(2)
    office.work()

    office.sandbox.fault("token", "status", status=503, times=1)
    office.later(PROBE_INTERVAL + 1)

    assert_held(deliveries, Reason.SECRET_WRONG)
    assert fresh(office.registration).failing == Reason.SECRET_WRONG


def test_mail_that_was_held_for_longer_than_mail_may_wait_is_sent_when_it_is_mended(office, settings):
    settings.DELIVERY_MAX_AGE = 600
    box = office.box("blocked@contoso.test")
    deliveries = office.queue(3, box)
    office.work()
    office.later(1200)
    assert_held(deliveries, Reason.MAILBOX_BLOCKED)

    office.sandbox.world(mailboxes={box.address: {"tenant": box.registration.tenant_id} | NORMAL})
    office.sandbox.fault("sendMail", "status", **CONFLICT)
    office.later(PROBE_INTERVAL + 1)
    office.later(60)

    assert_all_sent_once(office, deliveries)


def test_mail_that_arrives_behind_a_broken_mailbox_is_held_without_a_try(office):
    box = office.box("blocked@contoso.test")
    office.queue(1, box)
    office.work()
    tried = len(office.requests(box=box))

    late = office.queue(5, box)
    office.work()

    assert_held(late, Reason.MAILBOX_BLOCKED)
    assert len(office.requests(box=box)) == tried


def test_the_token_keeper_and_the_mail_share_one_probe(office):
    AppRegistration.objects.filter(pk=office.registration.pk).update(secret="not-it")
    office.queue(2)
    office.work()
    keepers = [tokens.Keeper(), tokens.Keeper()]
    asked = len(office.requests("token"))

    for _ in range(3):
        for keeper in keepers:
            keeper.run_once()
        office.later(PROBE_INTERVAL + 1)
        for keeper in keepers:
            keeper.run_once()

    assert len(office.requests("token")) == asked + 3


def test_a_keeper_that_gets_a_token_sets_the_held_mail_free(office):
    AppRegistration.objects.filter(pk=office.registration.pk).update(secret="not-it")
    deliveries = office.queue(2)
    office.work()
    assert_held(deliveries, Reason.SECRET_WRONG)

    registrations.replace_secret(office.registration, "sandbox-secret")
    tokens.Keeper().run_once()

    assert {fresh(row).state for row in deliveries} == {State.QUEUED}


def test_a_gateway_with_a_wrong_secret_delivers_all_once_after_a_start_with_the_right_one(embedded):
    embedded.environment |= {"AZURE_CLIENT_SECRET": "not-it", "PROBE_SECONDS": "2"}
    listener = embedded.listener().start()
    for number in range(5):
        send(listener.smtp_port, mail(number))
    embedded.wait_for(held=5)
    held = rows(embedded.environment, "SELECT reason, last_error FROM mailrelay_delivery")
    assert {reason for reason, _ in held} == {"secret_wrong"}
    assert all("secret" in text for _, text in held)
    listener.stop()

    listener.start(AZURE_CLIENT_SECRET="sandbox-secret")

    embedded.wait_for(sent=5)
    assert len(embedded.delivered()) == 5


def test_mail_of_a_sender_with_a_word_of_another_version_waits_and_counts_as_no_crash(office):
    box = office.box("shared@contoso.test")
    deliveries = office.queue(2, box)
    SenderConfig.objects.update(from_policy="newer")

    office.work()

    for delivery in deliveries:
        assert (fresh(delivery).state, delivery.crashes) == (State.DEFERRED, 0)
        assert "from_policy is “newer”" in delivery.last_error
    SenderConfig.objects.update(from_policy="rewrite")
    office.later(3700)
    assert_all_sent_once(office, deliveries)
