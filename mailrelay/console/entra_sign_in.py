"""Sign-in with Entra ID: there and back, and the account that comes of it.

An account is known by tenant and object id alone. Its name is never matched with one that exists: names
change hands, and anyone who may choose a name in a directory must not become somebody else here.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, signals
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from mailrelay.console.roles import ADMINISTRATOR, OPERATOR, VIEWER
from mailrelay.delivery.tokens import graph_clients
from mailrelay.graph import people
from mailrelay.graph.people import Directory, Person, SignInError
from mailrelay.models import EntraAccount

#: App roles, by their value in any case, and the groups that they stand for.
ROLES = {"viewer": VIEWER, "operator": OPERATOR, "administrator": ADMINISTRATOR}
BACKEND = "mailrelay.console.entra_sign_in.EntraBackend"
_FLOW, _NEXT = "entra_flow", "entra_next"


class EntraBackend(ModelBackend):
    """Accounts that Entra ID has vouched for; knows no password."""

    def authenticate(self, *_: Any, **__: Any) -> None:
        """Take no credentials: `back` signs in whom Entra has confirmed."""
        return


def configured() -> bool:
    return bool(settings.WEB_OIDC_CLIENT_ID)


def directory() -> Directory:
    return Directory(
        settings.WEB_OIDC_TENANT_ID,
        settings.WEB_OIDC_CLIENT_ID,
        settings.WEB_OIDC_CLIENT_SECRET,
        settings.AZURE_AUTHORITY_HOST,
    )


@never_cache
def go(request: HttpRequest) -> HttpResponse:
    """Send the browser to Entra ID, and keep in its session what its return is held against."""
    if not configured():
        raise Http404
    session, _ = graph_clients()
    try:
        flow = people.begin(directory(), session, _redirect_uri(request))
    except SignInError as error:
        return _refused(request, str(error))
    request.session[_FLOW] = flow
    request.session[_NEXT] = request.GET.get("next", "")
    return HttpResponseRedirect(flow["auth_uri"])


@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """Sign in anyone who comes back from Entra ID with an answer to what this browser has asked."""
    if not configured():
        raise Http404
    flow, wanted = request.session.pop(_FLOW, None), request.session.pop(_NEXT, "")
    if flow is None:
        return _refused(request, "This sign-in was begun elsewhere or is over. Begin again.")
    session, _ = graph_clients()
    try:
        person = people.finish(directory(), session, flow, request.GET.dict())
        user = account(person)
    except SignInError as error:
        return _refused(request, str(error))
    if not user.is_active or not user.is_staff:
        signals.user_login_failed.send(
            sender=__name__, credentials={"username": user.get_username()}, request=request
        )
        text = "This account is switched off." if not user.is_active else "You have no role in this gateway."
        return _refused(request, f"{text} An administrator of the directory assigns one in Entra ID.")
    login(request, user, backend=BACKEND)
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(wanted if wanted and safe else reverse("admin:index"))


def account(person: Person) -> User:
    """Find or make the account of `person`, with the groups of its roles of now and no others of ours.

    Raises SignInError where two sign-ins of a new person meet, and the other was first.
    """
    groups = {ROLES[role] for role in person.roles if role in ROLES}
    try:
        with transaction.atomic():
            known = EntraAccount.objects.select_related("user").filter(
                tenant_id=person.tenant_id, object_id=person.object_id
            )
            found = known.first()
            user = found.user if found else _made(person)
            user.is_staff = bool(groups)
            # The directory says who may: nothing that was given by hand outlives its roles.
            user.is_superuser = False
            user.first_name = person.name
            user.save(update_fields=["is_staff", "is_superuser", "first_name"])
            user.groups.set(Group.objects.filter(name__in=groups))
            user.user_permissions.clear()
    except IntegrityError:
        raise SignInError("Two sign-ins of yours met. Begin again.") from None
    return user


def _made(person: Person) -> User:
    taken = User.objects.filter(username__iexact=person.username).exists()
    name = f"{person.username[:110]} ({person.object_id[:36]})" if taken else person.username
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    EntraAccount.objects.create(user=user, tenant_id=person.tenant_id, object_id=person.object_id)
    return user


def _redirect_uri(request: HttpRequest) -> str:
    parts = urlsplit(request.build_absolute_uri(reverse("admin:entra_back")))
    # Behind a proxy that ends TLS, this process sees http.
    return urlunsplit(parts._replace(scheme="https")) if settings.WEB_HTTPS else parts.geturl()


def _refused(request: HttpRequest, text: str) -> HttpResponse:
    messages.error(request, text)
    return HttpResponseRedirect(reverse("admin:login"))
