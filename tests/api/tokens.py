"""Tokens, and questions that show them."""

import secrets
from typing import Any

from django.test import Client

from mailrelay.models import ApiToken
from mailrelay.models.tokens import digest

API = "/api/v1/"


def make_token(*scopes: str, name: str = "dashboard", **columns: Any) -> str:
    token = f"mgw_{secrets.token_urlsafe(32)}"
    ApiToken.objects.create(name=name, digest=digest(token), scopes=" ".join(scopes), **columns)
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def ask(token: str, path: str, method: str = "get", body: Any = None, **query: str):
    client = Client(enforce_csrf_checks=True)
    if method == "get":
        return client.get(f"{API}{path}", query, headers=bearer(token))
    return getattr(client, method)(
        f"{API}{path}",
        body if body is not None else "",
        content_type="application/json",
        headers=bearer(token),
    )
