"""Checks each Graph request before its own operation: identity, limits, rights, mailbox."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.call import Answer, Call, Refusal
from sandbox.limits import Throttled, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.tokens import Grant

    Operation = Callable[[Call], Awaitable[Answer]]

DENIED = "Access is denied. Check credentials and try again."
REFUSING_STATES = {
    "unlicensed": (
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    "out_of_scope": (403, "ErrorAccessDenied", DENIED),
    "access_policy": (403, "ErrorAccessDenied", "Access to OData is disabled."),
    "blocked": (403, "ErrorAccountDisabled", "The account is disabled."),
    "full": (400, "ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size."),
    "submission_quota": (
        500,
        "ErrorSubmissionQuotaExceeded",
        "The message can't be sent because the submission quota has been reached.",
    ),
}
WRITING_ONLY = ("full", "submission_quota")  # such a mailbox can still be read


def identify(call: Call) -> Grant | None:
    """Note whose request this is and about which mailbox, without judging it yet."""
    sandbox = call.sandbox
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    grant = sandbox.tokens.recognise(text.strip()) if scheme.lower() == "bearer" else None
    if grant is not None:
        call.app_id, call.app, call.roles = grant.app, sandbox.world.apps.get(grant.app), grant.roles
        call.mailbox = sandbox.world.mailbox(grant.tenant, call.params["user"])
    return grant


def admit(call: Call, need: frozenset[str]) -> None:
    """Let the request in, or raise Refusal. The body is not looked at before: that order is an inference."""
    authenticate(call)
    assert call.app_id is not None
    assert call.app is not None
    enter(call)
    if call.mailbox is None:
        raise unknown_mailbox(call)
    _check_mailbox(call, "Mail.Read" not in need)
    if not call.sandbox.permissions.allows(call.app_id, call.app, call.roles, call.mailbox, need):
        raise Refusal(403, "ErrorAccessDenied", DENIED)


def authenticate(call: Call) -> None:
    challenge = {
        "WWW-Authenticate": 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/"'
    }
    if "Authorization" not in call.request.headers:
        text = "Access token is empty."
        raise Refusal(401, "InvalidAuthenticationToken", text, challenge)
    grant = identify(call)
    if grant is None or call.app is None:
        text = "CompactToken parsing failed with error code: 80049217"
        raise Refusal(401, "InvalidAuthenticationToken", text, challenge)
    if grant.expires <= time.time():
        text = "Access token has expired or is not yet valid."
        raise Refusal(401, "InvalidAuthenticationToken", text, challenge)


def enter(call: Call) -> None:
    """Take a slot for the time of the request and count it."""
    limits, limiter = call.sandbox.world.limits, call.sandbox.limiter
    mailbox = call.mailbox.id if call.mailbox else call.params["user"].lower()
    try:
        slot = limiter.enter(limits, str(call.app_id), mailbox)
        call.leaving.append(lambda: limiter.leave(slot))
        if call.request.method in ("POST", "PATCH"):
            limiter.upload(limits, str(call.app_id), mailbox, call.request.content_length or 0)
    except Throttled as throttled:
        raise throttled_refusal(call, throttled) from throttled


def throttled_refusal(call: Call, throttled: Throttled) -> Refusal:
    call.facts["limit"] = throttled.limit
    value = retry_after(call.sandbox.world.limits.retry_after, throttled.seconds)
    message = f"Application is over its {throttled.limit} limit."
    return Refusal(429, "ApplicationThrottled", message, {"Retry-After": value} if value else {})


def unknown_mailbox(call: Call) -> Refusal:
    user = call.params["user"]
    assert call.app is not None
    if call.sandbox.world.is_internal(call.app.tenant, user):
        return Refusal(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")
    return Refusal(404, "ResourceNotFound", "Resource could not be discovered.")


def _check_mailbox(call: Call, writing: bool) -> None:
    assert call.mailbox is not None
    state = call.mailbox.state
    if state in REFUSING_STATES and (writing or state not in WRITING_ONLY):
        raise Refusal(*REFUSING_STATES[state])
