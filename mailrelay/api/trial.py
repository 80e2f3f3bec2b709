"""A test mail: through the same checks and queue as all mail; the message's own address tells its outcome."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from mailrelay.api import access, reading
from mailrelay.api.problems import ProblemError, bad_request
from mailrelay.api.submission import answer, of_process
from mailrelay.console.trial import Trial
from mailrelay.models import ApiToken
from mailrelay.outbox.submission import new_queue_id
from mailrelay.routing.table import RoutingTable, Sender
from mailrelay.vocabulary import Scope


def tested(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """Send a test mail to one address, from the mailbox of a sender or of the default one."""
    given = reading.document(request, {"to": str, "sender": str})
    recipient = given.get("to", "")
    if not recipient or not recipient.isprintable():
        raise bad_request('Say where to, as {"to": "you@example.org"}.')
    counter = of_process()
    sender = _sender(counter.routing(), given.get("sender"))
    access.record(request, token, recipient[:200], "test mail")
    who, way = f"token {token.name}", "through the API"
    test = Trial(sender.id, sender.mailbox_address, recipient, new_queue_id(), who, token.name, way)
    return answer(test.hand_in(counter, request))


def _sender(routing: RoutingTable, name: str | None) -> Sender:
    found = (
        next((one for one in routing.senders if one.name == name), None)
        if name is not None
        else routing.default_sender
    )
    if found is None:
        text = "No active sender has this name." if name is not None else "There is no default sender."
        raise ProblemError(HTTPStatus.CONFLICT, text)
    return found


trial = access.resource(POST=(Scope.TEST, tested))
