"""Certificates, federated token files and managed identities."""

import datetime as dt
from base64 import urlsafe_b64encode

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from mailrelay.graph.http import GraphSession
from mailrelay.graph.tokens import TokenStore
from mailrelay.vocabulary import CredentialKind, Outcome, Reason

from .conftest import CLIENT, failure, make_credential

T, C = Outcome.TRANSIENT, Outcome.CONFIGURATION


@pytest.fixture(scope="module")
def key_pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key, certificate_for(key, "gateway")


def certificate_for(key, name):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )


def pem_of(thing, password: str = "") -> str:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM).decode()
    protection = (
        serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    )
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    ).decode()


@pytest.fixture
def with_certificate(sandbox, key_pair):
    sandbox.world(apps={CLIENT: {"secrets": [], "certificates": [pem_of(key_pair[1])]}})

    def with_certificate(**changes):
        return make_credential(sandbox.base_url, kind=CredentialKind.CERTIFICATE, secret="", **changes)

    return with_certificate


def as_text(key_pair, directory):
    return {"certificate_pem": pem_of(key_pair[0]) + pem_of(key_pair[1])}


def as_pem_file_with_chain_and_password(key_pair, directory):
    other = certificate_for(rsa.generate_private_key(public_exponent=65537, key_size=2048), "issuer")
    file = directory / "gateway.pem"
    file.write_text(pem_of(other) + pem_of(key_pair[1]) + pem_of(key_pair[0], "hunter2"))
    return {"certificate_path": str(file), "certificate_password": "hunter2"}


def as_pem_file_with_a_password_that_is_not_needed(key_pair, directory):
    file = directory / "gateway.pem"
    file.write_text(pem_of(key_pair[0]) + pem_of(key_pair[1]))
    return {"certificate_path": str(file), "certificate_password": "hunter2"}


def as_pfx_file(key_pair, directory):
    protection = serialization.NoEncryption()
    file = directory / "gateway.pfx"
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"gateway", *key_pair, None, protection))
    return {"certificate_path": str(file)}


def as_pfx_file_with_password(key_pair, directory):
    protection = serialization.BestAvailableEncryption(b"hunter2")
    file = directory / "gateway.pfx"
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"gateway", *key_pair, None, protection))
    return {"certificate_path": str(file), "certificate_password": "hunter2"}


FORMS = [
    as_text,
    as_pem_file_with_chain_and_password,
    as_pem_file_with_a_password_that_is_not_needed,
    as_pfx_file,
    as_pfx_file_with_password,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_certificate_signs_the_assertion(entra, key_pair, tmp_path, form):
    changes = {"kind": CredentialKind.CERTIFICATE, "secret": "", **form(key_pair, tmp_path)}
    credential = make_credential(entra.peer.url, tenant_id="t", **changes)
    assert TokenStore(GraphSession()).get(credential).value == "token-1"
    (posted,) = entra.forms
    (assertion,) = posted["client_assertion"]
    claims = jwt.decode(
        assertion,
        key_pair[0].public_key(),
        ["PS256"],
        audience=f"{entra.peer.url}/t/oauth2/v2.0/token",
        options={"require": ["exp", "jti"]},
    )
    assert claims["iss"] == claims["sub"] == CLIENT
    thumbprint = jwt.get_unverified_header(assertion)["x5t#S256"].rstrip("=")
    assert thumbprint == urlsafe_b64encode(key_pair[1].fingerprint(hashes.SHA256())).decode().rstrip("=")


def test_a_certificate_tells_when_it_ends(with_certificate, key_pair):
    from mailrelay.graph.certificates import expires_at

    credential = with_certificate(certificate_pem=pem_of(key_pair[0]) + pem_of(key_pair[1]))
    assert expires_at(credential) == key_pair[1].not_valid_after_utc.timestamp()


def test_a_registered_certificate_is_accepted(store, with_certificate, key_pair, tmp_path):
    assert store.get(with_certificate(**as_pfx_file_with_password(key_pair, tmp_path))).value


def test_a_certificate_that_is_not_registered_is_refused(store, with_certificate):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    stranger = with_certificate(certificate_pem=pem_of(key) + pem_of(certificate_for(key, "stranger")))
    verdict = failure(store, stranger)
    assert (verdict.outcome, verdict.reason, verdict.code) == (C, Reason.CREDENTIAL_REFUSED, "AADSTS700027")


@pytest.mark.parametrize("what", ["missing", "garbage", "wrong password", "no key", "foreign", "unset"])
def test_a_certificate_that_cannot_be_used_says_why(
    store, with_certificate, key_pair, tmp_path, requests_made, what
):
    file = tmp_path / "gateway.pem"
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    contents = {
        "garbage": "\x00\x01 not a certificate",
        "wrong password": pem_of(key_pair[0], "right") + pem_of(key_pair[1]),
        "no key": pem_of(key_pair[1]),
        "foreign": pem_of(stranger) + pem_of(key_pair[1]),
    }
    if what in contents:
        file.write_text(contents[what])
    path = "" if what == "unset" else str(file)
    verdict = failure(store, with_certificate(certificate_path=path, certificate_password="hunter2"))
    assert (verdict.outcome, verdict.reason) == (C, Reason.CREDENTIAL_MISSING)
    assert CLIENT in verdict.sentence
    assert "hunter2" not in repr(verdict)
    assert requests_made() == 0


@pytest.fixture
def federated(sandbox, tmp_path, key_pair):
    sandbox.world(
        apps={
            CLIENT: {
                "federated": [
                    {
                        "issuer": "https://cluster.test",
                        "subject": "system:serviceaccount:mail:gateway",
                        "audience": "api://AzureADTokenExchange",
                        "key": pem_of_public(key_pair[0]),
                    }
                ]
            }
        }
    )
    file = tmp_path / "token"

    def write(lifetime: float = 600) -> None:
        claims = {
            "iss": "https://cluster.test",
            "sub": "system:serviceaccount:mail:gateway",
            "aud": "api://AzureADTokenExchange",
            "exp": dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime),
        }
        file.write_text(jwt.encode(claims, pem_of(key_pair[0]), "RS256") + "\n")

    credential = make_credential(
        sandbox.base_url, kind=CredentialKind.FEDERATED, secret="", token_file=str(file)
    )
    return credential, write


def pem_of_public(key) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def test_a_federated_token_file_is_read_again_at_each_assertion(store, federated):
    credential, write = federated
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.reason) == (C, Reason.CREDENTIAL_MISSING)
    assert credential.token_file in verdict.sentence
    write(lifetime=-60)
    assert failure(store, credential).code == "AADSTS700024"
    write()
    assert store.get(credential).value


def test_a_managed_identity_asks_the_host(store, sandbox, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", sandbox.base_url)
    identity = make_credential(sandbox.base_url, kind=CredentialKind.MANAGED_IDENTITY, secret="")
    token = store.get(identity)
    assert token.expires_at - token.acquired_at > 80_000
    stranger = make_credential(
        sandbox.base_url, key="9:1", kind=CredentialKind.MANAGED_IDENTITY, client_id="someone else"
    )
    verdict = failure(store, stranger)
    assert (verdict.outcome, verdict.reason) == (C, Reason.CREDENTIAL_MISSING)
