"""Entra ID: discovery documents, the token endpoint and the managed identity endpoint."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from sandbox import signin
from sandbox.assertions import BEARER, AssertionRefused, verify
from sandbox.call import Answer, Call, ok

if TYPE_CHECKING:
    from sandbox.world import App

GRAPH_HOSTS = ("graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us")
CHINA_GRAPH = "microsoftgraph.chinacloudapi.cn"
CODE = "authorization_code"
DAY = 86_399  # seconds; managed identities get a day
# AADSTS number: error, HTTP status, text. The statuses are common knowledge rather than documented, hence
# behaviour.aadsts_status overrides them.
ERRORS: dict[int, tuple[str, int, str]] = {
    7000215: ("invalid_client", 401, "Invalid client secret provided."),
    7000222: ("invalid_client", 401, "The provided client secret keys for app are expired."),
    7000216: ("invalid_client", 401, "'client_assertion' or 'client_secret' is required."),
    700016: ("unauthorized_client", 400, "Application was not found in the directory."),
    90002: ("invalid_tenant", 400, "Tenant not found. Check to make sure you have the correct tenant ID."),
    53003: ("access_denied", 400, "Access has been blocked by Conditional Access policies."),
    530032: ("access_denied", 400, "Blocked by security policy."),
    700027: ("invalid_client", 401, "The certificate with identifier used to sign is not registered."),
    700024: ("invalid_client", 401, "Client assertion is not within its valid time range."),
    700023: ("invalid_client", 401, "Client assertion audience claim does not match."),
    700021: ("invalid_client", 401, "Client assertion application identifier doesn't match client_id."),
    700211: ("invalid_client", 401, "No matching federated identity record found for presented assertion."),
    50012: ("invalid_client", 401, "Authentication failed: the client assertion was used before."),
    70011: ("invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid."),
    500011: ("invalid_resource", 400, "The resource principal was not found in the tenant."),
    70003: ("unsupported_grant_type", 400, "The app requested an unsupported grant type."),
    70008: ("invalid_grant", 400, "The provided authorization code or refresh token has expired."),
    900144: ("invalid_request", 400, "The request body must contain the parameter 'client_id'."),
    90055: ("temporarily_unavailable", 429, "Tenant request is throttled."),
    90006: ("temporarily_unavailable", 503, "External server retryable error."),
    90012: ("temporarily_unavailable", 503, "Request timed out."),
    90024: ("temporarily_unavailable", 503, "Request budget exceeded."),
    90033: ("temporarily_unavailable", 503, "A transient error has occurred."),
    90038: ("invalid_request", 400, "The tenant belongs to another national cloud."),
    900382: ("invalid_request", 400, "Confidential client is not supported in cross cloud request."),
    900432: ("invalid_request", 400, "Confidential client is not supported in cross cloud request."),
    90090: ("temporarily_unavailable", 503, "The service is temporarily unavailable."),
}


class Refused(Exception):  # noqa: N818 -- an answer of Entra, not an error of the program
    """An AADSTS number to answer with."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def refusal(call: Call, number: int, status: int | None = None, retry_after: str | None = None) -> Answer:
    """Entra's error document for an AADSTS `number`."""
    error, usual, text = ERRORS.get(number, ("invalid_request", 400, "The request was refused."))
    now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trace, correlation = str(uuid.uuid4()), call.client_request_id or str(uuid.uuid4())
    description = f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    body = {
        "error": error,
        "error_description": description,
        "error_codes": [number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    configured = call.sandbox.world.behaviour.aadsts_status.get(str(number))
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Answer(
        status or configured or usual,
        "refused",
        json.dumps(body).encode(),
        headers=headers,
        code=f"AADSTS{number}",
    )


async def openid_configuration(call: Call) -> Answer:
    tenant = call.sandbox.world.tenant_id(call.params["tenant"])
    if tenant is None:
        return refusal(call, 90002)
    base = f"https://{call.request.host}"
    return ok(
        {
            "issuer": f"{base}/{tenant}/v2.0",
            "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "private_key_jwt",
                "client_secret_basic",
            ],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": call.request.host,
            "msgraph_host": call.request.host,
        }
    )


async def instance_discovery(call: Call) -> Answer:
    host = call.request.host
    endpoint = f"https://{host}/common/v2.0/.well-known/openid-configuration"
    aliases = [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]
    return ok({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": aliases})


async def keys(call: Call) -> Answer:
    return ok({"keys": [call.sandbox.tokens.public_jwk()]})


async def token(call: Call) -> Answer:
    """POST /{tenant}/oauth2/v2.0/token with client credentials: a token or Entra's error document."""
    raw = await call.body(1024 * 1024) or b""
    form = {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
    call.app_id = form.get("client_id", "").lower() or None
    try:
        tenant, app = _application(call, form)
        _authenticate(call, form, tenant, app)
        if form["grant_type"] == CODE:
            return _redeemed(call, form, tenant)
        audience = _audience(call, form)
    except Refused as refused:
        return refusal(call, refused.number)
    lifetime = app.token_lifetime or call.sandbox.world.behaviour.token_lifetime
    issued = call.sandbox.tokens.issue(str(call.app_id), tenant, app.roles, audience, lifetime)
    return ok(
        {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": issued,
        },
        decision="issued",
        headers={"Cache-Control": "no-store, no-cache"},
    )


def _redeemed(call: Call, form: dict[str, str], tenant: str) -> Answer:
    answer = signin.redeem(call, form, tenant)
    if answer is None:
        raise Refused(70008)
    return ok(answer, decision="issued", headers={"Cache-Control": "no-store, no-cache"})


def _application(call: Call, form: dict[str, str]) -> tuple[str, App]:
    tenant = call.sandbox.world.tenant_id(call.params["tenant"])
    if tenant is None:
        raise Refused(90002)
    if call.app_id is None:
        raise Refused(900144)
    app = call.sandbox.world.apps.get(call.app_id)
    if app is None or app.tenant != tenant:
        raise Refused(700016)
    if form.get("grant_type") not in {"client_credentials", CODE}:
        raise Refused(70003)
    return tenant, app


def _authenticate(call: Call, form: dict[str, str], tenant: str, app: App) -> None:
    if "client_assertion" in form:
        if form.get("client_assertion_type") != BEARER:
            raise Refused(7000216)
        audiences = [
            f"https://{call.request.host}/{part}{end}"
            for part in (tenant, call.params["tenant"])
            for end in ("/oauth2/v2.0/token", "/v2.0")
        ]
        try:
            verify(form["client_assertion"], str(call.app_id), app, audiences, call.sandbox.tokens)
        except AssertionRefused as refused:
            raise Refused(refused.number) from refused
        return
    secret = form.get("client_secret")
    if secret is None:
        raise Refused(7000216)
    if secret in app.expired_secrets:
        raise Refused(7000222)
    if secret not in app.secrets:
        raise Refused(7000215)


def _audience(call: Call, form: dict[str, str]) -> str:
    """The resource that `scope` asks for; the sandbox's own origin is as good as Microsoft's."""
    scope = form.get("scope", "")
    resource, found, rest = scope.partition("/.default")
    if not found or rest.strip() or " " in resource:
        raise Refused(70011)
    host = resource.removeprefix("https://").rstrip("/")
    if host not in (*GRAPH_HOSTS, CHINA_GRAPH, call.request.host, "00000003-0000-0000-c000-000000000000"):
        raise Refused(500011)
    return resource.rstrip("/")


async def managed_identity(call: Call) -> Answer:
    """GET /metadata/identity/oauth2/token, in the words of IMDS (all strings)."""
    query = call.request.query
    if call.request.headers.get("Metadata", "").lower() != "true":
        return _imds_refusal("invalid_request", "Required metadata header not specified")
    if "resource" not in query or "api-version" not in query:
        return _imds_refusal("invalid_request", "Required query variables are missing")
    found = _identity(call, query.get("client_id"))
    if found is None:
        return _imds_refusal("invalid_request", "Identity not found")
    call.app_id, app = found
    now, resource = int(time.time()), query["resource"]
    issued = call.sandbox.tokens.issue(call.app_id, app.tenant, app.roles, resource, DAY)
    body: dict[str, Any] = {
        "access_token": issued,
        "client_id": call.app_id,
        "expires_in": str(DAY),
        "ext_expires_in": str(DAY),
        "expires_on": str(now + DAY),
        "not_before": str(now),
        "resource": resource,
        "token_type": "Bearer",
    }
    return ok(body, decision="issued")


def _identity(call: Call, client_id: str | None) -> tuple[str, App] | None:
    """The named identity; without a name the only or first one, as the system-assigned one."""
    identities = [(key, app) for key, app in call.sandbox.world.apps.items() if app.managed_identity]
    return next((pair for pair in identities if client_id is None or pair[0] == client_id.lower()), None)


def _imds_refusal(error: str, description: str) -> Answer:
    body = json.dumps({"error": error, "error_description": description}).encode()
    return Answer(400, "refused", body, code=error)
