"""The sandbox's sign-in is as strict as the service: a code is good once, and for who asked for it."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sandbox.world import SIGN_IN_CLIENT, TENANT

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
BACK = "http://localhost:8080/back"
ASKED = {
    "client_id": SIGN_IN_CLIENT,
    "response_type": "code",
    "redirect_uri": BACK,
    "scope": "openid profile",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "login_hint": "ada@contoso.test",
}


def authorise(sandbox, **changes):
    query = {name: value for name, value in (ASKED | changes).items() if value is not None}
    return requests.get(
        f"{sandbox.base_url}/{TENANT}/oauth2/v2.0/authorize",
        query,
        allow_redirects=False,
        verify=sandbox.ca_file,
        timeout=30,
    )


def answer(reply) -> dict[str, str]:
    assert reply.status_code == 302, reply.text
    return {name: value[0] for name, value in parse_qs(urlsplit(reply.headers["Location"]).query).items()}


def redeem(sandbox, code, **changes):
    form = {
        "grant_type": "authorization_code",
        "client_id": SIGN_IN_CLIENT,
        "client_secret": "sandbox-secret-sign-in",
        "redirect_uri": BACK,
        "code": code,
        "code_verifier": VERIFIER,
    }
    url = f"{sandbox.base_url}/{TENANT}/oauth2/v2.0/token"
    return requests.post(url, form | changes, verify=sandbox.ca_file, timeout=30)


def test_a_code_gives_an_id_token_once(sandbox):
    found = answer(authorise(sandbox))
    assert found["state"] == "s"
    assert redeem(sandbox, found["code"]).json()["id_token"].count(".") == 2
    assert redeem(sandbox, found["code"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"redirect_uri": "http://localhost:8080/other"},
        {"client_secret": "wrong"},
    ],
)
def test_a_code_is_for_who_asked_for_it(sandbox, change):
    assert redeem(sandbox, answer(authorise(sandbox))["code"], **change).status_code in {400, 401}


def test_nobody_is_sent_to_an_address_that_is_not_registered(sandbox):
    assert authorise(sandbox, redirect_uri="https://evil.test/back").status_code == 400


@pytest.mark.parametrize(
    "change", [{"response_type": "token"}, {"code_challenge_method": None}, {"scope": "profile"}]
)
def test_another_flow_is_refused(sandbox, change):
    assert answer(authorise(sandbox, **change))["error"] == "invalid_request"


def test_who_is_not_assigned_comes_back_without_a_code(sandbox):
    assert answer(authorise(sandbox, login_hint="mallory@contoso.test"))["error"] == "access_denied"


def test_who_it_is_is_asked_where_it_is_not_said(sandbox):
    page = authorise(sandbox, login_hint=None)
    assert page.status_code == 200
    assert "login_hint=otto@contoso.test" in page.text
