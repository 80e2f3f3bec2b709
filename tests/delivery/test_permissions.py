"""What an application may do in its mailboxes is found out without a request too many, and for little."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.delivery import access, tokens
from mailrelay.delivery.credentials import credential_of
from mailrelay.models import Mailbox, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import LargeMail, State
from sandbox import world
from tests.delivery.office import fresh
from tests.outbox import rows


@pytest.fixture
def asking(office):
    """An office with a token, whose sender wants to know about drafts."""
    SenderConfig.objects.update(large_mail=LargeMail.AUTO)
    tokens.token_for(credential_of(office.registration))
    return office


def drafts_made(office) -> int:
    return sum(line["method"] == "POST" for line in office.requests("messages"))


def test_it_asks_once_and_again_after_an_hour(asking):
    access.look()
    access.look()
    assert fresh(asking.mailbox).can_draft is False
    assert drafts_made(asking) == 1

    asking.later(3601)
    access.look()
    assert drafts_made(asking) == 2


def test_it_asks_nothing_while_mail_is_on_its_way_or_the_mailbox_rests(asking):
    (flying,) = rows.queue(asking.mailbox, 1, state=State.SENDING)
    access.look()
    flying.delete()
    Mailbox.objects.update(paused_until=clock.now() + timedelta(minutes=1))
    access.look()

    assert fresh(asking.mailbox).access_checked_at is None
    assert drafts_made(asking) == 0
    asking.later(61)
    access.look()
    assert drafts_made(asking) == 1


def test_it_asks_nothing_that_nobody_wants_to_know(asking):
    SenderConfig.objects.update(large_mail=LargeMail.OFF)

    access.look()

    assert drafts_made(asking) == 0


def test_a_token_that_names_the_permission_settles_it(office):
    app = office.app("writer", world.SECOND_CLIENT, "sandbox-secret-2")
    boxes = [office.box(f"b{number}@contoso.test", app) for number in range(3)]
    tokens.token_for(credential_of(app))

    access.look()

    assert all(fresh(box).can_draft and box.can_read for box in boxes)
    assert office.requests("messages") == []


def test_an_idle_look_costs_the_same_with_many_mailboxes(asking):
    access.look()

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            access.look()
        return len(queries)

    few = statements()
    app, now = asking.registration, clock.now()
    many = [
        Mailbox(registration=app, address=f"m{n}@contoso.test", can_draft=False, access_checked_at=now)
        for n in range(300)
    ]
    made = Mailbox.objects.bulk_create(many)
    SenderConfig.objects.bulk_create(SenderConfig(name=box.address, mailbox=box) for box in made)

    assert statements() == few
    assert drafts_made(asking) == 1
