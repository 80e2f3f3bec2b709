"""The token endpoint: what it gives, what it refuses, and that it keeps secrets."""

import base64
import datetime as dt
import json
import time
import uuid

import jwt
import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox import world
from tests.sandbox.graph_client import SCOPE, Graph, error

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def refused(response):
    body = response.json()
    assert f"AADSTS{body['error_codes'][0]}:" in body["error_description"]
    assert {"timestamp", "trace_id", "correlation_id"} <= set(body)
    return response.status_code, body["error"], body["error_codes"][0]


def test_a_token_is_a_jwt_with_the_consented_roles(graph):
    response = graph.ask_for_token()
    body = response.json()
    claims = claims_of(body.pop("access_token"))
    assert body == {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}
    assert claims["roles"] == ["Mail.Send"]
    assert (claims["appid"], claims["tid"]) == (world.CLIENT, world.TENANT)
    assert claims["aud"] == "https://graph.microsoft.com"
    assert claims["exp"] - claims["iat"] == 3599


def test_under_rbac_the_claim_is_missing(sandbox):
    response = Graph(sandbox, world.RBAC_CLIENT, "sandbox-secret-rbac").ask_for_token()
    assert "roles" not in claims_of(response.json()["access_token"])


def test_the_lifetime_can_be_set(graph, sandbox):
    sandbox.world(behaviour={"token_lifetime": 400})
    assert graph.ask_for_token().json()["expires_in"] == 400


def test_an_expired_token_is_refused_by_graph(graph, sandbox):
    sandbox.world(apps={world.CLIENT: {"token_lifetime": -1}})
    assert error(graph.send()) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize("header", [None, "", "Bearer nonsense", "Bearer a.b.c", "Basic eDp5"])
def test_graph_wants_a_token_of_its_own_entra(graph, header):
    assert error(graph.send(headers={"Authorization": header})) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize(
    ("form", "status", "code", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "sandbox-expired-secret"}, 401, "invalid_client", 7000222),
        ({"client_secret": None}, 401, "invalid_client", 7000216),
        ({"client_id": str(uuid.UUID(int=9))}, 400, "unauthorized_client", 700016),
        ({"client_id": world.FABRIKAM_CLIENT}, 400, "unauthorized_client", 700016),
        ({"client_id": None}, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://graph.microsoft.com/Mail.Send"}, 400, "invalid_scope", 70011),
        ({"scope": None}, 400, "invalid_scope", 70011),
        ({"scope": "https://vault.azure.net/.default"}, 400, "invalid_resource", 500011),
    ],
)
def test_a_wrong_request_is_refused_with_its_number(graph, form, status, code, number):
    assert refused(graph.ask_for_token(**form)) == (status, code, number)


def test_the_sandbox_itself_may_be_the_resource(graph, sandbox):
    assert graph.ask_for_token(scope=f"{sandbox.base_url}/.default").status_code == 200


def test_an_unknown_tenant_is_refused_in_discovery_already(graph, sandbox):
    graph.tenant = str(uuid.UUID(int=7))
    assert refused(graph.ask_for_token()) == (400, "invalid_tenant", 90002)
    url = f"{sandbox.base_url}/{graph.tenant}/v2.0/.well-known/openid-configuration"
    assert refused(graph.http.get(url, timeout=30)) == (400, "invalid_tenant", 90002)


def test_a_tenant_can_be_named_by_its_domain(graph):
    graph.tenant = "contoso.test"
    assert graph.ask_for_token().status_code == 200


def test_the_signing_key_is_published(graph, sandbox):
    keys = graph.http.get(f"{sandbox.base_url}/{world.TENANT}/discovery/v2.0/keys", timeout=30).json()["keys"]
    key = jwt.PyJWK(keys[0])
    assert jwt.decode(graph.token, key, ["RS256"], audience="https://graph.microsoft.com")["idtyp"] == "app"


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [(90055, 429, "temporarily_unavailable"), (90033, 503, "temporarily_unavailable"),
     (53003, 400, "access_denied"), (7000222, 401, "invalid_client")],
)  # fmt: skip
def test_an_aadsts_number_can_be_ordered(graph, sandbox, number, status, code):
    sandbox.fault("token", "aadsts", code=number, retry_after="3")
    response = graph.ask_for_token()
    assert refused(response) == (status, code, number)
    assert response.headers["Retry-After"] == "3"
    assert graph.ask_for_token().status_code == 200


def test_the_status_of_an_aadsts_number_can_be_set(graph, sandbox):
    sandbox.world(behaviour={"aadsts_status": {"7000215": 400}})
    assert refused(graph.ask_for_token(client_secret="wrong")) == (400, "invalid_client", 7000215)


def test_html_with_200_from_the_token_endpoint(graph, sandbox):
    sandbox.fault("token", "proxy_page")
    response = graph.ask_for_token()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html")


def test_a_503_without_json_from_the_token_endpoint(graph, sandbox):
    sandbox.fault("token", "status", status=503, json=False)
    assert (graph.ask_for_token().status_code, graph.ask_for_token().status_code) == (503, 200)


def test_no_secret_reaches_the_ledger_or_the_log(graph, sandbox):
    graph.ask_for_token()
    graph.ask_for_token(client_secret="a-very-wrong-secret")
    graph.send()
    written = sandbox.ledger_file.read_text() + sandbox.log_file.read_text()
    assert "sandbox-secret" not in written
    assert "a-very-wrong-secret" not in written
    assert graph.token not in written


# Certificates and federated credentials


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def private_pem(key):
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture
def with_certificate(graph, sandbox, certificate):
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    sandbox.world(apps={world.CLIENT: {"certificates": [pem], "secrets": []}})
    return graph


def assertion(graph, key, certificate, **changes):

    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    now = int(time.time())
    claims = {
        "aud": f"{graph.sandbox.base_url}/{world.TENANT}/oauth2/v2.0/token",
        "iss": world.CLIENT,
        "sub": world.CLIENT,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + 600,
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, "PS256", {"x5t#S256": thumbprint})


def ask_with(graph, text):
    return graph.ask_for_token(client_secret=None, client_assertion_type=BEARER, client_assertion=text)


def test_an_assertion_signed_by_the_registered_certificate_gets_a_token(with_certificate, key, certificate):
    response = ask_with(with_certificate, assertion(with_certificate, key, certificate))
    assert claims_of(response.json()["access_token"])["appid"] == world.CLIENT


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"aud": "https://elsewhere.test/token"}, 700023),
        ({"exp": 1_700_000_000}, 700024),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, 700024),
        ({"exp": None}, 700023),
        ({"jti": None}, 700023),
        ({"sub": "somebody else"}, 700021),
        ({"iss": "somebody else"}, 700211),
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused(with_certificate, key, certificate, changes, number):
    text = assertion(with_certificate, key, certificate, **changes)
    assert refused(ask_with(with_certificate, text))[2] == number


def test_an_assertion_may_be_used_once(with_certificate, key, certificate):
    text = assertion(with_certificate, key, certificate)
    assert ask_with(with_certificate, text).status_code == 200
    assert refused(ask_with(with_certificate, text))[2] == 50012


def test_an_assertion_signed_by_another_key_is_refused(with_certificate, certificate):
    other = rsa.generate_private_key(65537, 2048)
    text = assertion(with_certificate, other, certificate)
    assert refused(ask_with(with_certificate, text)) == (401, "invalid_client", 700027)


def test_a_certificate_that_is_not_registered_is_refused(graph, key, certificate):
    assert refused(ask_with(graph, assertion(graph, key, certificate)))[2] == 700027


def test_a_federated_token_gets_a_token_and_may_be_used_again(graph, sandbox, key):
    issuer, subject = "https://cluster.test/", "system:serviceaccount:mail:gateway"
    credential = {"issuer": issuer, "subject": subject, "key": public_pem(key)}
    sandbox.world(apps={world.CLIENT: {"federated": [credential]}})
    claims = {"iss": issuer, "sub": subject, "aud": "api://AzureADTokenExchange", "exp": time.time() + 600}
    text = jwt.encode(claims, key, "RS256")
    assert [ask_with(graph, text).status_code for _ in range(2)] == [200, 200]
    other = jwt.encode({**claims, "sub": "system:serviceaccount:mail:other"}, key, "RS256")
    assert refused(ask_with(graph, other))[2] == 700211
    expired = jwt.encode({**claims, "exp": time.time() - 10}, key, "RS256")
    assert refused(ask_with(graph, expired))[2] == 700024


# msal, which the gateway uses


@pytest.fixture
def msal_app(sandbox, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    def build(credential, client_id=world.CLIENT):
        return msal.ConfidentialClientApplication(
            client_id,
            authority=f"{sandbox.base_url}/{world.TENANT}",
            client_credential=credential,
            instance_discovery=False,
            verify=sandbox.ca_file,
            timeout=30,
        )

    return build


def test_msal_gets_a_token_by_secret(msal_app):
    answer = msal_app("sandbox-secret").acquire_token_for_client([SCOPE])
    assert claims_of(answer["access_token"])["roles"] == ["Mail.Send"]


def test_msal_reports_the_number_of_a_wrong_secret(msal_app):
    answer = msal_app("wrong").acquire_token_for_client([SCOPE])
    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000215])


def test_msal_gets_a_token_by_certificate(msal_app, with_certificate, key, certificate):
    credential = {
        "private_key": private_pem(key),
        "public_certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
    }
    answer = msal_app(credential).acquire_token_for_client([SCOPE])
    assert answer.get("token_type") == "Bearer", answer


# Managed identities


def identity(sandbox, **query):
    query = {"api-version": "2018-02-01", "resource": "https://graph.microsoft.com", **query}
    url = f"{sandbox.page_url}/metadata/identity/oauth2/token"
    session = requests.Session()
    session.trust_env = False
    return session.get(url, params=query, headers={"Metadata": "true"}, timeout=30)


def test_a_managed_identity_gets_a_token_in_strings(graph, sandbox):
    body = identity(sandbox, client_id=world.CLIENT).json()
    assert body["client_id"] == world.CLIENT
    assert {type(value) for value in body.values()} == {str}
    graph._token = body["access_token"]
    assert graph.send().status_code == 202


def test_a_managed_identity_that_does_not_exist_is_refused(sandbox):
    assert identity(sandbox, client_id=world.SECOND_CLIENT).status_code == 400


def test_the_metadata_header_is_required(graph, sandbox):
    url = f"{sandbox.base_url}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x"
    response = graph.http.get(url, timeout=30)
    assert (response.status_code, json.loads(response.text)["error"]) == (400, "invalid_request")


def test_msal_gets_a_managed_identity_token(sandbox, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", sandbox.page_url)
    session = requests.Session()
    session.trust_env = False
    client = msal.ManagedIdentityClient(
        msal.UserAssignedManagedIdentity(client_id=world.CLIENT), http_client=session
    )
    answer = client.acquire_token_for_client(resource="https://graph.microsoft.com")
    assert answer["expires_in"] == 86_399
