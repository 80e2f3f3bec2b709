"""Fills the database of the gateway in the pictures: `python -m scripts.screenshots.stock URL` does it.

People, senders of which some cannot send, devices, and a month of history as the roll-ups keep it. Nothing is
drawn by chance: but for the time of day, one run makes what another makes.
"""

import os
import sys
from datetime import UTC, datetime, timedelta

TENANT = "11111111-1111-1111-1111-111111111111"
#: Applications of the sandbox.
CLIENT, OTHER_CLIENT = "22222222-2222-2222-2222-222222222222", "33333333-3333-3333-3333-333333333333"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a gateway that lives for a minute
HOURS = 30 * 24
#: Mails accepted in each hour of a working day, from midnight on.
CURVE = (4, 2, 2, 2, 3, 9, 24, 61, 118, 142, 131, 124, 83, 109, 127, 116, 97, 64, 38, 21, 15, 11, 8, 6)


def people() -> None:
    from django.contrib.auth.models import User

    User.objects.create_superuser("ada", "ada@contoso.test", PASSWORD)


def senders(endpoint: str, today: datetime) -> None:
    """One that works, and one for each thing that usually is wrong."""
    from mailrelay.models import AppRegistration, Mailbox, SenderConfig

    where = {"tenant_id": TENANT, "cloud": "", "authority_host": endpoint, "graph_endpoint": endpoint}
    mail = AppRegistration.objects.create(
        name="Mail gateway",
        client_id=CLIENT,
        secret="sandbox-secret",  # noqa: S106 - the sandbox's
        secret_expires_on=today + timedelta(days=206),
        **where,
    )
    billing = AppRegistration.objects.create(
        name="Billing",
        client_id=OTHER_CLIENT,
        secret="the-id-instead-of-the-value",  # noqa: S106 - likewise
        secret_expires_on=today + timedelta(days=12),
        **where,
    )
    for name, app, box, more in (
        ("Everything else", mail, "gateway", {"is_default": True}),
        ("Scanners", mail, "shared", {"addresses": "scan@contoso.test", "from_policy": "send_as"}),
        ("Billing", billing, "billing", {"addresses": "billing@contoso.test"}),
        ("Human resources", mail, "hr", {"addresses": "hr@contoso.test"}),
        ("Events", mail, "events", {"addresses": "events@contoso.test"}),
    ):
        mailbox = Mailbox.objects.create(registration=app, address=f"{box}@contoso.test")
        SenderConfig.objects.create(name=name, mailbox=mailbox, **more)


def clients() -> None:
    from mailrelay.models import SmtpClient

    for name, network, allowed_from in (
        ("Applications", "192.0.2.16/28", ""),
        ("Printers", "192.0.2.128/25", ""),
        ("Monitoring", "192.0.2.40/32", "alerts@contoso.test"),
    ):
        SmtpClient.objects.create(name=name, networks=network, allowed_from=allowed_from)


def history(now: datetime) -> None:
    """A month of totals by the hour: quiet nights and weekends, a slow morning, a few failures."""
    from mailrelay.models import Counter, HourlyTotal

    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    totals = dict.fromkeys(("accepted", "sent", "failed", "deferred"), 0)
    rows = []
    for number in range(HOURS):
        hour = first + timedelta(hours=number)
        for name, value in _of_hour(hour, number).items():
            totals[name] += value
            rows.append(HourlyTotal(hour=hour, name=name, total=totals[name]))
    HourlyTotal.objects.bulk_create(rows)
    Counter.objects.bulk_create(Counter(process="", name=name, value=value) for name, value in totals.items())


def _of_hour(hour: datetime, number: int) -> dict[str, int]:
    mails = CURVE[hour.hour] * (1 if hour.weekday() < 5 else 0.15) * (0.7 + number // 24 * 37 % 13 / 25)
    sent = round(mails)
    slow = number % 167 in {40, 41}
    return {
        "accepted": sent,
        "sent": sent,
        "failed": sent // 60 if number % 5 == 0 else 0,
        "deferred": sent // 3 if slow else 0,
    }


def main(endpoint: str) -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC)
    people()
    senders(endpoint, now)
    clients()
    history(now)


if __name__ == "__main__":
    main(sys.argv[1])
