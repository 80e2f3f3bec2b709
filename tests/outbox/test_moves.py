"""The diagram of states: it is the one in the documents, and the queue makes no other moves."""

import pytest
from django.db import IntegrityError

from mailrelay.models import Delivery
from mailrelay.outbox.rules.moves import MOVES, NEW, drawn
from mailrelay.vocabulary import State
from tests.outbox import rows
from tests.outbox.moves import only_drawn_moves
from tests.project.files import ROOT


def test_the_document_shows_the_diagram():
    shown = (ROOT / "docs" / "architecture.md").read_text().partition("```mermaid\n")[2].partition("\n```")[0]

    assert shown.splitlines() == list(drawn())


def test_every_state_is_reached_from_the_first():
    reached = {NEW}
    for _ in State:
        reached |= {new for old, new in MOVES if old in reached}

    assert reached == {NEW, *State}


@pytest.mark.django_db(transaction=True)
def test_a_move_that_is_not_drawn_is_refused_in_tests_of_the_delivery():
    delivery = rows.queue(rows.mailbox(), 1)[0]
    with only_drawn_moves():
        Delivery.objects.filter(pk=delivery.pk).update(state=State.CANCELLED)
        with pytest.raises(IntegrityError, match="not drawn"):
            Delivery.objects.filter(pk=delivery.pk).update(state=State.DEFERRED)
