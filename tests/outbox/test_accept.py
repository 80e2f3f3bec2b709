"""The moment of the receipt: a mail is stored or given up, never both."""

import threading

import pytest

from mailrelay.models import Message
from mailrelay.outbox.accepting.accept import Acceptor
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


class Small:
    size = 10

    def chunks(self, size):
        yield b"A: b\r\n\r\nc\r\n"[: self.size]


def test_from_the_moment_that_a_mail_is_told_of_it_cannot_be_disowned():
    box = rows.mailbox()
    rows.sender(box)
    submitted, told, kept = threading.Event(), threading.Event(), []

    def tell(_):
        assert submitted.wait(30)
        kept.append(not acceptor.disown(mail.id, outcome))
        told.set()

    acceptor = Acceptor(accepted=tell)
    mail = rows.submission(box, Small())
    try:
        outcome = acceptor.submit(mail)
        submitted.set()
        assert outcome.result(30) is None and told.wait(30)
        assert kept == [True] and not acceptor.stalled
        assert Message.objects.filter(pk=mail.id).exists()
    finally:
        acceptor.close()
