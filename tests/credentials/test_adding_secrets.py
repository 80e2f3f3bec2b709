"""A newer secret joins the present one; of two, the newer stays as the older."""

import pytest

from mailrelay.models import AppRegistration
from mailrelay.outbox import registrations
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_newer_secret_leaves_the_present_one_in_place():
    app = rows.registration(secret="present")

    registrations.add_secret(app, "newer")

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret, stored.version) == ("present", "newer", 2)


def test_the_newer_of_two_stays_when_another_comes():
    app = rows.registration(secret="oldest", next_secret="present")

    registrations.add_secret(app, "newest")

    stored = AppRegistration.objects.get()
    assert (stored.secret, stored.next_secret) == ("present", "newest")


def test_an_empty_secret_is_refused():
    with pytest.raises(ValueError, match="cannot be empty"):
        registrations.add_secret(rows.registration(secret="present"), "")
