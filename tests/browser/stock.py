"""Makes tables, people and senders in an installation's database: `python -m tests.browser.stock URL`.

A process of its own: Playwright runs an event loop in that of the tests, where Django asks no database.
"""

import os
import sys

TENANT = "11111111-1111-1111-1111-111111111111"
#: Applications of the sandbox: the second is the one whose secret is replaced.
CLIENT, OTHER_CLIENT = "22222222-2222-2222-2222-222222222222", "33333333-3333-3333-3333-333333333333"
OLD, NEW = "an-old-secret", "Unm1stakable~new.value"
PASSWORD = "correct-horse-battery"
PEOPLE = {"ada": "Administrator", "otto": "Operator", "vera": "Viewer"}


def people() -> None:
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, User

    password = make_password(PASSWORD)
    for name, role in PEOPLE.items():
        user = User.objects.create(username=name, password=password, is_staff=True)
        user.groups.add(Group.objects.get(name=role))


def senders(endpoint: str) -> None:
    """One sender that works, one whose From Exchange refuses, one whose secret is about to be replaced."""
    from mailrelay.models import AppRegistration, Mailbox, SenderConfig

    where = {"tenant_id": TENANT, "cloud": "", "authority_host": endpoint, "graph_endpoint": endpoint}
    contoso = AppRegistration.objects.create(
        name="Contoso mail", client_id=CLIENT, secret="sandbox-secret", **where
    )
    billing = AppRegistration.objects.create(
        name="Contoso billing", client_id=OTHER_CLIENT, secret=OLD, **where
    )
    scanners = {"addresses": "scan@contoso.test", "from_policy": "send_as"}
    for name, app, address, more in (
        ("Everything else", contoso, "gateway@contoso.test", {"is_default": True}),
        ("Scanners", contoso, "shared@contoso.test", scanners),
        ("Billing", billing, "billing@contoso.test", {"addresses": "billing@contoso.test"}),
        ("Human resources", contoso, "hr@contoso.test", {"addresses": "hr@contoso.test"}),
        ("Events", contoso, "events@contoso.test", {"addresses": "events@contoso.test"}),
    ):
        mailbox = Mailbox.objects.create(registration=app, address=address, messages_per_minute=0)
        SenderConfig.objects.create(name=name, mailbox=mailbox, **more)


def main(endpoint: str) -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    people()
    senders(endpoint)


if __name__ == "__main__":
    main(sys.argv[1])
