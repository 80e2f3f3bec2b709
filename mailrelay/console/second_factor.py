"""The page on which people set up an authenticator for their own account, or take it off."""

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from mailrelay.console import throttle, totp
from mailrelay.models import SecondFactor
from mailrelay.outbox.db import clock

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ISSUER = "Mail gateway"
WRONG = (
    "That is not the code of now. Each code counts once: wait for the next one, and see that the clock is "
    "right."
)


def page(request: HttpRequest) -> HttpResponse:
    """Show the key until a code confirms it; afterwards offer to take it off, which asks for a code too."""
    from mailrelay.console.site import site

    # The site lets nobody come here who is not signed in.
    user = cast("User", request.user)
    factor, _ = SecondFactor.objects.get_or_create(user=user, defaults={"secret": totp.generate()})
    if request.method == "POST":
        level, text = _change(request, factor)
        messages.add_message(request, level, text)
        return HttpResponseRedirect(reverse("admin:second_factor"))
    shown = {} if factor.confirmed_at else _key(factor, user.get_username())
    context = {**site.each_context(request), "title": "Second factor", "factor": factor, **shown}
    return TemplateResponse(
        request, "console/second_factor.html", context, headers={"Cache-Control": "no-store"}
    )


def _key(factor: SecondFactor, name: str) -> dict[str, str]:
    groups = [factor.secret[start : start + 4] for start in range(0, len(factor.secret), 4)]
    return {"key": " ".join(groups), "otpauth": totp.address(factor.secret, name, ISSUER)}


def _change(request: HttpRequest, factor: SecondFactor) -> tuple[int, str]:
    tries = (throttle.Bucket(f"code:{request.user.pk}", 5, 60),)
    if not throttle.take(tries):
        return messages.ERROR, "Too many wrong codes. Wait a minute."
    if not totp.accept(factor, request.POST.get("code", "")):
        return messages.ERROR, WRONG
    throttle.give_back(tries)
    if factor.confirmed_at:
        factor.delete()
        return messages.SUCCESS, "The second factor is off: the password alone signs you in."
    SecondFactor.objects.filter(pk=factor.pk).update(confirmed_at=clock.now())
    return messages.SUCCESS, "The second factor is on: signing in asks for a code from now on."
