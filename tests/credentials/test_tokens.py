"""Tokens are renewed before mail needs them, and serve to their end while Entra is down."""

from tests.credentials.conftest import CLIENT
from tests.harness.ports import eventually
from tests.harness.processes import mail, send


def issued(stack):
    return stack.sandbox.stats()["tokens_issued"]


def test_a_token_is_renewed_while_no_mail_waits_and_entra_s_end_stops_nothing(embedded):
    """A short life is renewed at half of it; what a longer one does by ten minutes is tested with a clock."""
    embedded.sandbox.world(apps={CLIENT: {"token_lifetime": 60}})
    listener = embedded.start()
    eventually(lambda: issued(embedded) == 1, 60, "the first token, which no mail asked for")

    eventually(lambda: issued(embedded) == 2, 60, "the second token, half a minute on")
    embedded.sandbox.fault("token", "status", status=503, json=False, times=None)
    embedded.sandbox.fault("discovery", "status", status=503, json=False, times=None)
    for number in range(3):
        send(listener.smtp_port, mail(number))
    embedded.wait_for(sent=3, timeout=28)

    assert issued(embedded) == 2
    assert listener.ready()["checks"]["token"] == "ok"


def test_a_token_of_400_seconds_is_good_for_mail_though_msal_would_soon_drop_it(embedded):
    embedded.sandbox.world(apps={CLIENT: {"token_lifetime": 400}})
    listener = embedded.start()
    eventually(lambda: issued(embedded) == 1, 60, "the first token")
    embedded.sandbox.fault("token", "status", status=503, json=False, times=None)

    for number in range(3):
        send(listener.smtp_port, mail(number))
    embedded.wait_for(sent=3)

    assert issued(embedded) == 1
