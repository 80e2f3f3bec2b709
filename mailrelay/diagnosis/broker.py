"""The broker: whether tasks can be handed to workers. Mail is safe without it, only slower or waiting."""

from collections.abc import Iterator

from celery import current_app
from django.conf import settings

from mailrelay.diagnosis.findings import Check, Finding, within

CHECK = Check("broker")
#: Seconds for connecting and being let in.
BUDGET = 3


def reachable() -> Iterator[Finding]:
    """Connect to the broker through kombu, as publishing does."""
    if settings.CELERY_BROKER_URL.startswith("memory:"):
        yield CHECK.ok(
            "The broker is memory://, inside the one process of rungateway; runsmtp and workers of their own "
            "need amqp://… or redis://… in CELERY_BROKER_URL."
        )
        return
    with current_app.connection_for_write() as connection:
        shown = connection.as_uri()  # masks the password
        try:
            within(BUDGET, lambda: connection.ensure_connection(max_retries=1, timeout=BUDGET))
        except Exception as error:  # noqa: BLE001 - kombu and its transports raise what they like
            yield CHECK.problem(
                f"The broker {shown} cannot be used ({_reason(error)}): mail is accepted and waits.",
                "Check that it runs and that CELERY_BROKER_URL names its host, port, user, password and "
                "virtual host; from a pod: nc -vz HOST PORT.",
            )
            return
    yield CHECK.ok(f"The broker {shown} answers.")


def _reason(error: BaseException) -> str:
    """Name an error without quoting what could hold the URL with its password."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
