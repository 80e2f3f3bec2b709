"""Entra ID for people: the authorise endpoint, and id tokens for the codes that it gives.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow: a code is good once, for ten
minutes at most, and only with the redirect URI and the PKCE verifier that it was asked for with.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sandbox.call import Answer

if TYPE_CHECKING:
    from sandbox.call import Call
    from sandbox.world import App

CODE_SECONDS = 600
LIFETIME = 3600


@dataclass(frozen=True, slots=True)
class Code:
    """What a code was given for."""

    app: str
    person: dict[str, str]
    redirect_uri: str
    challenge: str
    nonce: str
    expires: float


async def authorise(call: Call) -> Answer:
    """GET /{tenant}/oauth2/v2.0/authorize: back to the application with a code, or a page that says no.

    The person is the one of `login_hint`; without it the only one, or the page asks which.
    """
    query = call.request.query
    tenant = call.sandbox.world.tenant_id(call.params["tenant"])
    call.app_id = query.get("client_id", "").lower() or None
    app = call.sandbox.world.apps.get(call.app_id or "")
    if tenant is None or app is None or app.tenant != tenant:
        return _page("AADSTS700016: Application was not found in the directory.", 400)
    redirect_uri = query.get("redirect_uri", "")
    if not _registered(app, redirect_uri):
        return _page(
            "AADSTS50011: The redirect URI does not match those configured for the application.", 400
        )
    state = query.get("state", "")
    if query.get("response_type") != "code" or "openid" not in query.get("scope", "").split():
        return _back(redirect_uri, {"error": "invalid_request", "state": state})
    if query.get("code_challenge_method") != "S256":
        return _back(redirect_uri, {"error": "invalid_request", "state": state})
    hint = query.get("login_hint", "").lower()
    known = [one for one in app.people if not hint or one["preferred_username"].lower() == hint]
    if not known:
        return _back(
            redirect_uri, {"error": "access_denied", "state": state, "error_description": "AADSTS50105"}
        )
    if len(known) > 1:
        return _choice(call, known)
    word = secrets.token_urlsafe(32)
    call.sandbox.tokens.codes[word] = Code(
        str(call.app_id),
        known[0],
        redirect_uri,
        query.get("code_challenge", ""),
        query.get("nonce", ""),
        time.time() + CODE_SECONDS,
    )
    return _back(redirect_uri, {"code": word, "state": state, "session_state": secrets.token_hex(8)})


def redeem(call: Call, form: dict[str, str], tenant: str) -> dict[str, Any] | None:
    """Give the answer for a code, or None where it is none for this request. A code is gone once shown."""
    code = call.sandbox.tokens.codes.pop(form.get("code", ""), None)
    verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
    if code is None or code.expires < time.time():
        return None
    if (code.app, code.redirect_uri, code.challenge) != (call.app_id, form.get("redirect_uri"), challenge):
        return None
    issuer = f"https://{call.request.host}/{tenant}/v2.0"
    return {
        "token_type": "Bearer",
        "scope": "openid profile",
        "expires_in": LIFETIME,
        "access_token": secrets.token_urlsafe(32),
        "id_token": call.sandbox.tokens.sign(_claims(code, issuer, tenant)),
    }


def _claims(code: Code, issuer: str, tenant: str) -> dict[str, object]:
    now, person = int(time.time()), code.person
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": code.app,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "nonce": code.nonce,
        "oid": person["oid"],
        "sub": hashlib.sha256(f"{code.app} {person['oid']}".encode()).hexdigest(),
        "tid": tenant,
        "name": person.get("name", ""),
        "preferred_username": person["preferred_username"],
        "ver": "2.0",
    }
    if roles := person.get("roles", "").split():
        claims["roles"] = roles
    return claims


def _registered(app: App, redirect_uri: str) -> bool:
    # As with Entra, any port of localhost is as good as the one that is registered.
    local = redirect_uri.startswith(("http://127.0.0.1:", "http://localhost:"))
    return redirect_uri in app.redirect_uris or (local and "http://localhost" in app.redirect_uris)


def _back(redirect_uri: str, parameters: dict[str, str]) -> Answer:
    where = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(parameters)}"
    return Answer(302, "redirected", b"", headers={"Location": where}, code=parameters.get("error"))


def _choice(call: Call, people: list[dict[str, str]]) -> Answer:
    links = "".join(
        f'<li><a href="{html.escape(str(call.request.rel_url.update_query(login_hint=name)))}">'
        f"{html.escape(name)}</a></li>"
        for name in (one["preferred_username"] for one in people)
    )
    return _page(f"<h1>Sign in (sandbox)</h1><ul>{links}</ul>", 200)


def _page(text: str, status: int) -> Answer:
    body = f"<!doctype html><meta charset=utf-8><title>Sign in</title>{text}".encode()
    return Answer(status, "read" if status == 200 else "refused", body, "text/html; charset=utf-8")
