"""Tokens: fetched once, renewed in time, used to their end, and judged when Entra refuses."""

import datetime as dt
import json
import logging
import threading
from base64 import urlsafe_b64encode
from types import SimpleNamespace
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from requests.structures import CaseInsensitiveDict

from mailrelay.graph.entra import roles_of
from mailrelay.graph.errors import verdict_of_token_error
from mailrelay.graph.http import Failure, Fault, GraphSession, Phase, Reply
from mailrelay.graph.token_errors import NUMBERS
from mailrelay.graph.tokens import TokenStore, TokenUnavailable
from mailrelay.vocabulary import Blame, CredentialKind, Outcome, Reason

from .conftest import CLIENT, make_credential

T, C = Outcome.TRANSIENT, Outcome.CONFIGURATION


class Clock:
    """The true time plus what the test adds."""

    def __init__(self) -> None:
        import time

        self.ahead, self._time = 0.0, time.time

    def __call__(self) -> float:
        return self._time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list:
    return []


@pytest.fixture
def store(session, clock, events) -> TokenStore:
    return TokenStore(
        session,
        on_refreshed=lambda credential, token: events.append(("refreshed", credential.key)),
        on_failed=lambda credential, verdict: events.append(("failed", verdict.code)),
        clock=clock,
    )


def token_requests(sandbox) -> int:
    return len([line for line in sandbox.ledger() if line["path"].endswith("/oauth2/v2.0/token")])


@pytest.fixture
def requests_made(sandbox):
    before = token_requests(sandbox)
    return lambda: token_requests(sandbox) - before


def failure(store, credential):
    with pytest.raises(TokenUnavailable) as caught:
        store.get(credential)
    return caught.value.verdict


def test_it_fetches_once_and_remembers(store, credential, requests_made, events):
    first = store.get(credential)
    assert store.get(credential) is first
    assert requests_made() == 1
    assert first.roles == ("Mail.Send",)
    assert first.expires_at - first.acquired_at == 3599
    assert events == [("refreshed", "1:1")]


def test_twenty_cold_threads_make_one_request(store, credential, requests_made, sandbox):
    sandbox.fault("token", "latency", ms=300, times=None)
    ready, tokens = threading.Barrier(20), []

    def work() -> None:
        ready.wait(60)
        tokens.append(store.get(credential).value)

    in_threads(20, work)
    assert len(tokens) == 20
    assert len(set(tokens)) == 1
    assert requests_made() == 1


def test_twenty_cold_threads_share_one_failure(store, sandbox, requests_made, events):
    sandbox.fault("token", "latency", ms=300, times=None)
    wrong = make_credential(sandbox.base_url, secret="no")
    ready, verdicts = threading.Barrier(20), []

    def work() -> None:
        ready.wait(60)
        verdicts.append(failure(store, wrong).reason)

    in_threads(20, work)
    assert verdicts == [Reason.SECRET_WRONG] * 20
    assert requests_made() < 20  # late threads may ask again, waiting ones never do
    assert len(events) == requests_made()


def in_threads(number, work):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)


def test_a_changed_version_is_another_credential(store, sandbox, requests_made):
    old, new = make_credential(sandbox.base_url), make_credential(sandbox.base_url, key="1:2")
    store.get(old)
    store.get(new)
    assert requests_made() == 2
    assert not store.status(old).valid  # the old version's token has no business in memory
    assert store.status(new).valid


def test_a_late_user_of_the_old_version_does_not_disturb_the_new_one(store, sandbox, requests_made):
    old, new = make_credential(sandbox.base_url), make_credential(sandbox.base_url, key="1:2")
    late = store.get(old)
    store.get(new)
    store.invalidate(old, late.value)
    store.renew_due([old])
    assert store.status(new).valid
    assert requests_made() == 2


def test_it_renews_ten_minutes_ahead_and_not_before(store, credential, clock, requests_made):
    first = store.get(credential)
    clock.ahead = 2900
    store.renew_due([credential])
    assert store.get(credential) is first
    clock.ahead = 3020
    store.renew_due([credential])
    assert store.get(credential).value != first.value
    assert requests_made() == 2


def test_a_token_of_400_seconds_is_renewed_at_half_its_life(store, credential, clock, sandbox):
    sandbox.world(behaviour={"token_lifetime": 400})
    first = store.get(credential)
    clock.ahead = 150
    store.renew_due([credential])
    assert store.get(credential) is first
    clock.ahead = 220
    store.renew_due([credential])
    assert store.get(credential).value != first.value


def test_a_cached_token_is_used_to_its_end_while_entra_is_down(store, credential, clock, sandbox, events):
    first = store.get(credential)
    sandbox.fault("token", "status", status=503, times=None)
    clock.ahead = 3100
    store.renew_due([credential])
    assert events[-1][0] == "failed"
    status = store.status(credential)
    assert (status.valid, status.verdict.outcome) == (True, T)
    clock.ahead = 3590
    assert store.get(credential) is first
    clock.ahead = 3700
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame) == (T, Blame.CREDENTIAL)
    assert not store.status(credential).valid

    sandbox.clear_faults()
    assert store.get(credential).value != first.value
    assert store.status(credential).verdict is None


def test_a_cached_token_is_used_while_entra_cannot_be_reached(store, credential, clock, sandbox_process):
    first = store.get(credential)
    clock.ahead = 3100
    sandbox_process.stop()
    try:
        store.renew_due([credential])
        assert store.get(credential) is first
        assert store.status(credential).verdict.reason is Reason.UNREACHABLE
    finally:
        sandbox_process.start()


def test_a_failed_renewal_is_not_tried_again_at_once(store, credential, clock, sandbox, requests_made):
    store.get(credential)
    sandbox.fault("token", "status", status=503, times=None)
    clock.ahead = 3100
    for _ in range(5):
        store.renew_due([credential])
    assert requests_made() == 2
    clock.ahead = 3140
    store.renew_due([credential])
    assert requests_made() == 3


def test_entras_retry_after_is_kept(store, credential, clock, sandbox, requests_made):
    sandbox.fault("token", "status", status=429, retry_after="20")
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.reason, verdict.retry_after) == (T, Reason.THROTTLED, 20.0)
    assert failure(store, credential) == verdict
    assert requests_made() == 1
    clock.ahead = 21
    assert store.get(credential).value


def test_a_mended_secret_works_at_once(store, sandbox, credential):
    wrong = make_credential(sandbox.base_url, key="1:0", secret="typo")
    assert failure(store, wrong).reason is Reason.SECRET_WRONG
    assert store.get(credential).value
    sandbox.world(apps={CLIENT: {"secrets": ["typo"]}})
    assert store.get(wrong).value  # also when it is mended on the other side, within msal's 60 s of memory


def test_it_drops_only_the_token_that_was_refused(store, credential):
    first = store.get(credential)
    store.invalidate(credential, "another one")
    assert store.get(credential) is first
    store.invalidate(credential, first.value)
    second = store.get(credential)
    assert second.value != first.value
    store.invalidate(credential, first.value)
    assert store.get(credential) is second


@pytest.fixture
def entra(serve):
    """An Entra that gives everyone a token and keeps the forms: `entra.peer.url`, `entra.forms`."""
    forms = []

    def script(visit):
        while True:
            head, body = visit.read_request()
            if not head:
                return
            if head.startswith(b"POST"):
                forms.append(parse_qs(body.decode()))
                document = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token {len(forms)}"}
            else:
                names = ("token_endpoint", "authorization_endpoint")
                document = dict.fromkeys(names, f"{peer.url}/t/oauth2/v2.0/token")
                document["issuer"] = f"{peer.url}/t/v2.0"
            content = json.dumps(document).encode()
            visit.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))

    peer = serve(script)
    return SimpleNamespace(peer=peer, forms=forms)


def test_a_claims_challenge_is_answered_with_the_next_token(entra):
    credential, store = make_credential(entra.peer.url, tenant_id="t"), TokenStore(GraphSession())
    claims = '{"access_token":{"nbf":{"value":"1"}}}'
    first = store.get(credential)
    store.invalidate(credential, first.value, claims=claims)
    second = store.get(credential)
    store.invalidate(credential, second.value)
    store.get(credential)
    assert (first.value, second.value) == ("token 1", "token 2")
    assert [form.get("claims") for form in entra.forms] == [None, [claims], None]
    assert entra.forms[0]["scope"] == [f"{entra.peer.url}/.default"]


def test_a_listener_that_fails_costs_nothing(session, credential, caplog):
    def broken(*_):
        raise LookupError("no database")

    store = TokenStore(session, on_refreshed=broken)
    assert store.get(credential).value
    assert "listener" in caplog.text


def test_rbac_leaves_the_roles_unknown(store, sandbox):
    sandbox.world(apps={CLIENT: {"roles": [], "rbac": {"Mail.Send": ["*"]}}})
    assert store.get(make_credential(sandbox.base_url)).roles is None


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "..", "e30.W10.", "e30.eyJyb2xlcyI6NX0.x", "a.\xff.c"]
)
def test_an_odd_token_has_unknown_roles(token):
    assert roles_of(token) is None


# -- the other kinds of credential


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
    assert TokenStore(GraphSession()).get(credential).value == "token 1"
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


# -- what Entra's refusals mean

REFUSALS = [
    # AADSTS number, outcome, reason
    (7000215, C, Reason.SECRET_WRONG),
    (7000222, C, Reason.SECRET_EXPIRED),
    (700016, C, Reason.CREDENTIAL_REFUSED),
    (90002, C, Reason.CREDENTIAL_REFUSED),
    (53003, C, Reason.CREDENTIAL_REFUSED),
    (530032, C, Reason.CREDENTIAL_REFUSED),
    (90038, C, Reason.CREDENTIAL_REFUSED),
    (900382, C, Reason.CREDENTIAL_REFUSED),
    (900432, C, Reason.CREDENTIAL_REFUSED),
    (700027, C, Reason.CREDENTIAL_REFUSED),
    (700024, C, Reason.CREDENTIAL_REFUSED),
    (700211, C, Reason.CREDENTIAL_REFUSED),
    (70011, C, Reason.CREDENTIAL_REFUSED),
    (999999, C, Reason.CREDENTIAL_REFUSED),
    (90055, T, Reason.THROTTLED),
    (90006, T, Reason.SERVER_ERROR),
    (90012, T, Reason.SERVER_ERROR),
    (90024, T, Reason.SERVER_ERROR),
    (90033, T, Reason.SERVER_ERROR),
    (90090, T, Reason.SERVER_ERROR),
]


@pytest.mark.parametrize(("number", "outcome", "reason"), REFUSALS, ids=[str(row[0]) for row in REFUSALS])
def test_each_refusal_of_entra_has_its_meaning(store, credential, sandbox, number, outcome, reason):
    sandbox.fault("token", "aadsts", code=number)
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame, verdict.reason) == (outcome, Blame.CREDENTIAL, reason)
    assert verdict.code == f"AADSTS{number}"
    assert CLIENT in verdict.sentence or credential.tenant_id in verdict.sentence
    assert verdict.advice
    assert store.get(credential).value  # the next try is not answered from a memory of the error


def test_a_secret_that_expired_says_so(store, sandbox):
    expired = make_credential(sandbox.base_url, secret="sandbox-expired-secret")
    assert failure(store, expired).reason is Reason.SECRET_EXPIRED


@pytest.mark.parametrize("where", ["discovery", "token"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "proxy_page"},
        {"kind": "redirect"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 502, "json": False},
        {"kind": "status", "status": 429},
        {"kind": "reset_before_body"},
        {"kind": "reset_after_accept"},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_trouble_on_the_way_to_entra_is_transient(store, credential, sandbox, where, fault):
    sandbox.fault(where, **fault)
    verdict = failure(store, credential)
    assert (verdict.outcome, verdict.blame) == (T, Blame.CREDENTIAL)
    sandbox.clear_faults()
    with store._store.lock:  # whatever Retry-After said, the trouble is over
        store._entry(credential).not_before = 0
    assert store.get(credential).value


def test_an_unknown_tenant_is_a_matter_of_configuration(store, sandbox):
    verdict = failure(
        store, make_credential(sandbox.base_url, tenant_id="99999999-0000-0000-0000-000000000000")
    )
    assert (verdict.outcome, verdict.code) == (C, "AADSTS90002")


def test_an_unknown_app_is_a_matter_of_configuration(store, sandbox):
    verdict = failure(
        store, make_credential(sandbox.base_url, client_id="99999999-0000-0000-0000-000000000000")
    )
    assert (verdict.outcome, verdict.code) == (C, "AADSTS700016")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret": ""}, "secret is not set"),
        ({"authority_host": "http://entra.test"}, "http://entra.test, not an https URL"),
        ({"authority_host": "https://"}, "a setting is malformed"),
    ],
)
def test_what_cannot_be_presented_is_a_matter_of_configuration(store, sandbox, requests_made, changes, said):
    verdict = failure(store, make_credential(sandbox.base_url, **changes))
    assert said in verdict.sentence
    assert (verdict.outcome, verdict.reason) == (C, Reason.CREDENTIAL_MISSING)
    assert requests_made() == 0


@pytest.mark.parametrize(
    ("status", "document", "outcome", "reason", "code"),
    [
        (401, {"error": "invalid_client"}, C, Reason.CREDENTIAL_REFUSED, "invalid_client"),
        (400, {"error": "unauthorized_client"}, C, Reason.CREDENTIAL_REFUSED, "unauthorized_client"),
        (400, {"error": "invalid_scope"}, C, Reason.CREDENTIAL_REFUSED, "invalid_scope"),
        (400, {"error": "interaction_required"}, C, Reason.CREDENTIAL_REFUSED, "interaction_required"),
        (400, {"error": "temporarily_unavailable"}, T, Reason.SERVER_ERROR, "temporarily_unavailable"),
        (400, {"error": "invalid_client", "error_codes": [90033]}, T, Reason.SERVER_ERROR, "AADSTS90033"),
        (400, {"error": "odd", "error_codes": "7000215"}, C, Reason.CREDENTIAL_REFUSED, "odd"),
        (500, {"error": "server_error"}, T, Reason.SERVER_ERROR, "server_error"),
        (404, {"no": "error"}, T, Reason.SERVER_ERROR, "HTTP 404"),
        (200, "<html>", T, Reason.SERVER_ERROR, "HTTP 200"),
        (200, None, T, Reason.SERVER_ERROR, "HTTP 200"),
    ],
)
def test_errors_are_classified_by_word_and_status_first(status, document, outcome, reason, code):
    body = b"" if document is None else json.dumps(document).encode()
    reply = Reply(status, Phase.READING, True, 0.1, CaseInsensitiveDict(), body)
    verdict = verdict_of_token_error(reply, make_credential("https://entra.test"))
    assert (verdict.outcome, verdict.reason, verdict.code) == (outcome, reason, code)


def test_a_failure_of_the_network_is_told_with_its_host():
    reply = Reply(
        None, Phase.CONNECT, False, 0.1, failure=Failure(Fault.DNS, "its name could not be resolved")
    )
    verdict = verdict_of_token_error(reply, make_credential("https://entra.test"))
    assert (verdict.outcome, verdict.reason, verdict.code) == (T, Reason.UNREACHABLE, "dns")
    assert "https://entra.test" in verdict.sentence


def test_every_known_number_is_tested():
    assert set(NUMBERS) - {row[0] for row in REFUSALS} == {70021, 700212, 700213}  # synonyms of 700211


# -- secrets


def test_nothing_secret_is_logged_or_shown(sandbox, caplog, monkeypatch, send):
    caplog.set_level(logging.DEBUG)
    for name in ("msal", "msal.application", "msal.token_cache", "urllib3", "requests", "mailrelay"):
        caplog.set_level(logging.DEBUG, logger=name)
    secret = "Very~Secret.Value-8"
    sandbox.world(apps={CLIENT: {"secrets": [secret]}})
    credential, wrong = (
        make_credential(sandbox.base_url, key=f"{number}:1", secret=text)
        for number, text in enumerate((secret, secret + "x"))
    )
    store = TokenStore(GraphSession())
    token = store.get(credential)
    with pytest.raises(TokenUnavailable) as refused:
        store.get(wrong)
    sandbox.fault("token", "reset_before_body")
    with pytest.raises(TokenUnavailable) as broken:
        store.get(make_credential(sandbox.base_url, key="7:1", secret=secret))

    shown = [caplog.text, repr(token), repr(credential), repr(store.status(wrong)), repr(vars(store))]
    for caught in (refused, broken):
        shown += [repr(caught.value), str(caught.value), repr(caught.value.verdict)]
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    text = "\n".join(shown)
    assert "DEBUG" in text  # the libraries did log
    assert secret not in text
    assert token.value not in text
    assert token.value.split(".")[1] not in text


def test_no_send_logs_the_mail_or_the_token(send, store, credential, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    answers = [send()]
    for kind in ("reset_before_body", "token_expired", "proxy_page", "reset_after_accept"):
        sandbox.fault("sendMail", kind)
        answers.append(send())
    token = store.get(credential).value
    text = caplog.text + repr(answers)
    assert "sendMail" in caplog.text
    for secret in (token, "toner", "dG9uZXI", "Printer report", "UHJpbnRlciByZXBvcnQ", "alice@example.org"):
        assert secret not in text
