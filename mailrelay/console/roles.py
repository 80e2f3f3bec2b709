"""The three roles, as Django groups that `migrate` makes and keeps as they are told here.

Another mix of permissions is a group of one's own: what is changed in these three, the next `migrate` undoes.
"""

from typing import Any

VIEWER, OPERATOR, ADMINISTRATOR = "Viewer", "Operator", "Administrator"
#: What everybody with a role may see; the audit list and people are for administrators.
SEEN = (
    "message",
    "senderconfig",
    "mailbox",
    "appregistration",
    "smtpclient",
    "clientdefaults",
    "refusal",
    "worker",
    "alert",
)
#: What operators do besides: read content, and act on messages.
OPERATED = ("view_content", "operate_message")
PEOPLE = ("user", "group")


def ensure(using: str = "default", **_: Any) -> None:
    """Make the roles in the database `using`, or set their permissions right; runs after each `migrate`."""
    from django.apps import apps
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    for label in ("mailrelay", "auth"):
        # Django makes them in a handler of its own, which may come after this one.
        create_permissions(apps.get_app_config(label), verbosity=0, using=using)
    kept = Permission.objects.using(using)
    ours = kept.filter(content_type__app_label="mailrelay")
    seen = ours.filter(codename__in=[f"view_{name}" for name in SEEN])
    people = kept.filter(content_type__app_label="auth", content_type__model__in=PEOPLE)
    roles = {
        VIEWER: seen,
        OPERATOR: seen | ours.filter(codename__in=OPERATED),
        ADMINISTRATOR: ours | people,
    }
    for name, permissions in roles.items():
        Group.objects.using(using).get_or_create(name=name)[0].permissions.set(permissions)
