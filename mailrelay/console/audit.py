"""Writes the audit list: an entry for each act of a person, before the answer goes out."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth import signals
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

from mailrelay.console.protection import Respond, client_address
from mailrelay.models import AuditEvent

#: Pages of one message, its content, and files of many: a look at these is on record, beside every change.
LOOKS = ("mailrelay_message_", "mailrelay_auditevent_")
#: The list of messages shows no more than the overview does; searching it is no look at anybody's mail.
NO_LOOKS = ("mailrelay_message_changelist",)
#: Characters of a detail: enough for the ids of a page of messages.
LENGTH = 4000

_changes: ContextVar[list[str] | None] = ContextVar("changes", default=None)


class AuditMiddleware:
    """Records each request of somebody signed in that changes something, or shows somebody's mail.

    An entry that cannot be written fails the request: nobody looks unseen because a disk is full.
    """

    def __init__(self, respond: Respond) -> None:
        self.respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Before the view, which may end the session.
        actor = request.user.get_username()
        with _gathered() as changes:
            response = self.respond(request)
        if actor and _is_told(request):
            _record(request, actor, response.status_code, changes)
        return response


@contextmanager
def _gathered() -> Iterator[list[str]]:
    """Collect what Django's admin logs of the changes that are made meanwhile."""
    changes: list[str] = []
    token = _changes.set(changes)
    try:
        yield changes
    finally:
        _changes.reset(token)


def _name(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.url_name or "") if match else ""


def _is_told(request: HttpRequest) -> bool:
    if not request.resolver_match or "admin" not in request.resolver_match.namespaces:
        return False
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        return True
    name = _name(request)
    return name.startswith(LOOKS) and name not in NO_LOOKS


def _record(request: HttpRequest, actor: str, status: int, changes: list[str]) -> None:
    arguments = request.resolver_match.kwargs if request.resolver_match else {}
    parts = [str(value) for key, value in arguments.items() if key not in {"pk", "object_id"}]
    if request.POST.get("action"):
        # Of all that a list shows, the boxes that are ticked are the first page alone.
        listed = ["all of", f"?{request.GET.urlencode()}"] if request.POST.get("select_across") == "1" else []
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        parts.append(" ".join([request.POST["action"], *listed, *ticked]))
    if request.POST.get("why"):
        # What was asked about may be more than what was ticked on the page.
        parts += [f"why: {request.POST['why']}", f"messages: {request.POST.get('asked', '')}"]
    AuditEvent.objects.create(
        actor=actor[:200],
        address=client_address(request),
        action=f"{'look' if request.method in {'GET', 'HEAD'} else 'change'} {_name(request)}"[:100],
        target=str(arguments.get("pk") or arguments.get("object_id") or "")[:200],
        detail="; ".join([*parts, *changes])[:LENGTH],
        status=status,
    )


@receiver(post_save, sender=LogEntry, dispatch_uid="audit-detail")
def _gather(instance: LogEntry, **_: Any) -> None:
    changes = _changes.get()
    if changes is not None:
        # Names of fields and of the row; Django logs no values.
        changes.append(f"{instance.object_repr}: {instance.get_change_message() or 'changed'}")


@receiver(signals.user_logged_in, dispatch_uid="audit-login")
def _signed_in(request: HttpRequest, user: Any, **_: Any) -> None:
    _login(request, user.get_username(), "signed in")


@receiver(signals.user_logged_out, dispatch_uid="audit-logout")
def _signed_out(request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        _login(request, user.get_username(), "signed out")


@receiver(signals.user_login_failed, dispatch_uid="audit-refused")
def _refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    # People type passwords into the field of the name: only names of accounts are kept.
    from django.contrib.auth.models import User

    name = str(credentials.get("username", ""))
    known = User.objects.filter(username=name).exists()
    _login(request, name if known else "(unknown)", "sign-in refused")


def _login(request: HttpRequest | None, name: str, action: str) -> None:
    address = client_address(request) if request is not None else ""
    AuditEvent.objects.create(actor=name[:200], address=address, action=action)
