"""Stops a delivery before its request: nothing was sent, and the result says why."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailrelay.delivery import mailbox_probe
from mailrelay.delivery.mail_loops import circles
from mailrelay.delivery.plan import NoRouteError, Plan
from mailrelay.delivery.results import (
    circling,
    inseparable,
    removed,
    result_of,
    uninvited,
    unreadable,
    without_route,
)
from mailrelay.graph.credentials import Credential
from mailrelay.graph.tokens import Token, TokenUnavailable
from mailrelay.mime.invitations import InvitationError
from mailrelay.mime.skeleton import NotSeparableError
from mailrelay.models import Delivery
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.result import Result
from mailrelay.vocabulary import Route, UnknownWordError

_RESULTS: dict[type[Exception], Callable[..., Result]] = {
    ContentRemovedError: removed,
    NoRouteError: without_route,
    NotSeparableError: inseparable,
    InvitationError: uninvited,
}


class StoppedError(Exception):
    """The delivery ends with `result` and without a request; `noted`: that is said on the timeline."""

    def __init__(self, result: Result, *, noted: bool = True) -> None:
        super().__init__(result.text)
        self.result, self.noted = result, noted


@contextmanager
def stopping(delivery: Delivery) -> Iterator[None]:
    """Turn what may keep `delivery` from being sent into StoppedError."""
    try:
        yield
    except TokenUnavailable as error:
        raise StoppedError(result_of(error.verdict)) from error
    except UnknownWordError as error:
        raise StoppedError(unreadable(delivery.sender.name, error)) from error
    except tuple(_RESULTS) as error:
        make = next(make for kind, make in _RESULTS.items() if isinstance(error, kind))
        raise StoppedError(make(error)) from error


def stop_a_loop(delivery: Delivery, mail: Plan) -> None:
    """Raise StoppedError where the mail comes back to the gateway again and again."""
    if circles(delivery, bytes(mail.mail.parts[0])):
        raise StoppedError(circling())


def stop_for_a_failing_mailbox(delivery: Delivery, credential: Credential, token: Token, mail: Plan) -> None:
    """Raise StoppedError where a request without mail tells that the mailbox does not work yet."""
    if mail.route is Route.MIME and (failing := mailbox_probe.failing(delivery, credential, token)):
        raise StoppedError(failing, noted=False)
