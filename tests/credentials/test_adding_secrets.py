"""A newer secret or certificate joins the present one; it is rolled back, or the older one is retired."""

import datetime as dt
import time

import pytest

from mailrelay.delivery import tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.graph.tokens import Token
from mailrelay.models import AppRegistration
from mailrelay.outbox.operators import registrations
from mailrelay.outbox.operators.registrations import NewCredential
from mailrelay.vocabulary import CredentialKind
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)
NEWER = NewCredential(CredentialKind.SECRET, "newer", ends_on=dt.date(2099, 12, 31))
CERTIFICATE = NewCredential(
    CredentialKind.CERTIFICATE, "PEM", "word", ends_at=dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
)


def test_a_newer_secret_leaves_the_present_one_in_place():
    app = rows.registration(secret="present")

    assert registrations.add_credential(app, NEWER, 1)

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret, stored.version) == ("present", "newer", 2)
    assert stored.next_secret_expires_on == dt.date(2099, 12, 31)


@pytest.mark.parametrize(
    ("in_use", "stays"), [("", "newer-once"), ("next_secret", "newer-once"), ("secret", "present")]
)
def test_of_two_the_one_that_works_stays_when_another_comes(in_use, stays):
    app = rows.registration(secret="present", next_secret="newer-once", secret_in_use=in_use)

    registrations.add_credential(app, NEWER, 1)

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret) == (stays, "newer")


def test_the_second_press_and_a_page_that_is_out_of_date_change_nothing():
    app = rows.registration(secret="present")
    registrations.add_credential(app, NEWER, 1)

    assert not registrations.add_credential(app, NewCredential(CredentialKind.SECRET, "another"), 1)
    assert not registrations.roll_back(app, 1)
    assert not registrations.retire(app, 1)

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret, stored.version) == ("present", "newer", 2)


def test_rolling_back_leaves_the_older_one_alone():
    app = rows.registration(secret="present")
    registrations.add_credential(app, CERTIFICATE, 1)

    assert registrations.roll_back(app, 2)

    stored = AppRegistration.objects.get()
    assert (stored.kind, stored.secret, stored.version) == ("secret", "present", 3)
    assert credential_of(stored).newer is None
    assert stored.endings() == {}


@pytest.mark.parametrize("proof", [NEWER, CERTIFICATE])
def test_retiring_leaves_nothing_of_the_older_one(proof):
    app = rows.registration(kind="certificate", certificate="old PEM", certificate_path="/old.pem")
    registrations.add_credential(app, proof, 1)
    newer = credential_of(AppRegistration.objects.get()).newer

    assert registrations.retire(app, 2)

    stored = AppRegistration.objects.get()
    credential = credential_of(stored)
    assert (credential.kind, credential.secret, credential.certificate_pem, credential.certificate_path) == (
        (newer.kind, newer.secret, "", "") if proof is NEWER else (newer.kind, "", newer.certificate_pem, "")
    )
    assert credential.certificate_password == proof.password
    assert list(stored.endings()) == [proof.kind]
    assert not registrations.retire(app, 3)


def test_what_no_key_opens_is_replaced(settings):
    app = rows.registration(secret="present")
    settings.FIELD_ENCRYPTION_KEYS = ["bmV3LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDA="]

    assert registrations.add_credential(app, NEWER, 1)

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret) == ("newer", "")


def test_an_empty_proof_is_refused():
    with pytest.raises(ValueError, match="cannot be empty"):
        registrations.add_credential(
            rows.registration(secret="present"), NewCredential(CredentialKind.SECRET, ""), 1
        )


def test_a_late_token_of_the_older_version_says_nothing_of_the_newer():
    app = rows.registration(secret="present")
    older = credential_of(AppRegistration.objects.get())
    registrations.add_credential(app, NEWER, 1)

    tokens._refreshed(older, Token("late", time.time() + 3600, time.time()))

    stored = AppRegistration.objects.get()
    assert (stored.secret_in_use, stored.token_succeeded_at) == ("", None)
    tokens._refreshed(
        credential_of(stored), Token("new", time.time() + 3600, time.time(), proof="next_secret")
    )
    assert AppRegistration.objects.get().secret_in_use == "next_secret"
