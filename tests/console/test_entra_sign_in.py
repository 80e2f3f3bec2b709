"""Sign-in with Entra ID, against the sandbox's: there, back, and what an answer must not be."""

import time
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from mailrelay.console import roles
from mailrelay.graph import people
from mailrelay.models import AuditEvent, EntraAccount
from sandbox.client import SandboxProcess
from sandbox.world import SIGN_IN_CLIENT, TENANT

pytestmark = pytest.mark.django_db(transaction=True)
GO, BACK, LOGIN = "/admin/entra/", "/admin/entra/back/", "/admin/login/"
HOST = "localhost:8080"


@pytest.fixture(scope="module")
def entra(tmp_path_factory):
    with SandboxProcess(tmp_path_factory.mktemp("entra")) as process:
        yield process


@pytest.fixture(autouse=True)
def sign_in_is_set(entra, settings, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", entra.ca_file)
    settings.WEB_OIDC_TENANT_ID, settings.WEB_OIDC_CLIENT_ID = TENANT, SIGN_IN_CLIENT
    settings.WEB_OIDC_CLIENT_SECRET = "sandbox-secret-sign-in"
    settings.AZURE_AUTHORITY_HOST = entra.base_url
    settings.ALLOWED_HOSTS = ["localhost"]
    roles.ensure()


class Browser:
    """Django's client on one side, requests on the other; nothing is followed by itself."""

    def __init__(self, entra):
        self.entra, self.client = entra, Client(HTTP_HOST=HOST)

    def ask(self, wanted="") -> str:
        """Press the button; return where Entra is asked."""
        answer = self.client.get(GO, {"next": wanted} if wanted else {})
        assert answer.status_code == 302, answer.content
        return answer.headers["Location"]

    def agree(self, asked: str, name: str) -> dict[str, str]:
        """Sign in there as `name`; return the query that comes back."""
        there = requests.get(
            f"{asked}&{urlencode({'login_hint': f'{name}@contoso.test'})}",
            allow_redirects=False,
            verify=self.entra.ca_file,
            timeout=30,
        )
        assert there.status_code == 302, there.text
        assert there.headers["Location"].startswith(f"http://{HOST}{BACK}?")
        return {key: value[0] for key, value in parse_qs(urlsplit(there.headers["Location"]).query).items()}

    def come_back(self, query: dict[str, str]):
        return self.client.get(BACK, query)

    def sign_in(self, name: str, wanted=""):
        return self.come_back(self.agree(self.ask(wanted), name))

    @property
    def person(self) -> User | None:
        pk = self.client.session.get("_auth_user_id")
        return User.objects.get(pk=pk) if pk else None

    def said(self) -> str:
        return self.client.get(LOGIN).content.decode()


@pytest.fixture
def browser(entra):
    return Browser(entra)


def test_the_button_leads_there_with_a_challenge_and_without_a_secret(browser):
    page = browser.said()
    assert "Sign in with Microsoft Entra ID" in page
    asked = browser.ask()
    query = {key: value[0] for key, value in parse_qs(urlsplit(asked).query).items()}
    assert asked.startswith(f"{browser.entra.base_url}/{TENANT}/oauth2/v2.0/authorize?")
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert query["redirect_uri"] == f"http://{HOST}{BACK}"
    assert "sandbox-secret" not in asked
    assert browser.client.session["entra_flow"]["code_verifier"] not in asked


@pytest.mark.parametrize(
    ("name", "group", "sees"), [("ada", roles.ADMINISTRATOR, 200), ("otto", roles.OPERATOR, 403)]
)
def test_a_person_comes_in_with_the_group_of_its_role(browser, name, group, sees):
    answer = browser.sign_in(name)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    person = browser.person
    assert person.username == f"{name}@contoso.test"
    assert [one.name for one in person.groups.all()] == [group]
    assert (person.is_staff, person.is_superuser, person.has_usable_password()) == (True, False, False)
    assert browser.client.get(reverse("admin:mailrelay_apitoken_changelist")).status_code == sees
    assert AuditEvent.objects.filter(actor=person.username, action="signed in").count() == 1


def test_the_page_that_was_wanted_comes_next_and_no_other_host_does(browser):
    assert (
        browser.sign_in("ada", "/admin/mailrelay/message/")
        .headers["Location"]
        .startswith("/admin/mailrelay/m")
    )
    for elsewhere in ("https://evil.test/", "//evil.test/", "javascript:alert(1)"):
        assert browser.sign_in("ada", elsewhere).headers["Location"] == "/admin/"


def test_who_has_no_role_stays_outside(browser):
    assert browser.sign_in("nina").headers["Location"] == LOGIN
    assert browser.person is None
    assert "no role in this gateway" in browser.said()
    assert AuditEvent.objects.filter(action="sign-in refused").exists()


def test_a_role_that_is_taken_away_is_gone_with_the_next_sign_in(browser, entra):
    browser.sign_in("otto")
    User.objects.update(is_superuser=True)
    app = entra.world()["apps"][SIGN_IN_CLIENT]
    changed = [{**one, "roles": "Viewer"} if one["name"] == "Otto" else one for one in app["people"]]
    try:
        entra.world(apps={SIGN_IN_CLIENT: {"people": changed}})
        browser.sign_in("otto")
        person = browser.person
        assert ([one.name for one in person.groups.all()], person.is_superuser) == ([roles.VIEWER], False)
    finally:
        entra.world(apps={SIGN_IN_CLIENT: {"people": app["people"]}})
    assert User.objects.count() == 1


def test_a_name_that_is_taken_is_somebody_elses(browser):
    local = User.objects.create_superuser("ADA@contoso.test", password="a local one's")
    browser.sign_in("ada")
    assert browser.person != local
    assert browser.person.username.startswith("ada@contoso.test (")
    local.refresh_from_db()
    assert local.is_superuser


def test_an_account_that_is_switched_off_here_stays_off(browser):
    browser.sign_in("ada")
    User.objects.update(is_active=False)
    other = Browser(browser.entra)
    other.sign_in("ada")
    assert other.person is None
    assert "switched off" in other.said()


def test_an_answer_counts_once_and_in_its_own_browser(browser):
    asked = browser.ask()
    answer = browser.agree(asked, "ada")
    stranger = Browser(browser.entra)
    stranger.come_back(answer)
    assert stranger.person is None
    stranger.ask()
    stranger.come_back(answer)
    assert stranger.person is None, "the state is another's"
    browser.come_back(answer)
    assert browser.person is not None
    browser.client.logout()
    browser.come_back(answer)
    assert browser.person is None


@pytest.mark.parametrize("spoilt", ["code", "state"])
def test_a_spoilt_answer_signs_nobody_in(browser, spoilt):
    answer = browser.agree(browser.ask(), "ada")
    browser.come_back({**answer, spoilt: "x" * 20})
    assert browser.person is None
    assert not EntraAccount.objects.exists()


def test_what_entra_refuses_is_said_without_its_words(browser):
    browser.ask()
    browser.come_back({"error": "access_denied", "error_description": "<b>call 0190</b>"})
    page = browser.said()
    assert "(access_denied)" in page
    assert "0190" not in page
    browser.ask()
    browser.come_back({"error": "call 0190 now"})
    assert "0190" not in browser.said()


def test_entra_being_away_is_said(browser, settings):
    settings.AZURE_AUTHORITY_HOST = "https://127.0.0.1:1"
    assert browser.client.get(GO).headers["Location"] == LOGIN
    assert "cannot be asked now" in browser.said()


def test_without_settings_there_is_no_way(browser, settings):
    settings.WEB_OIDC_CLIENT_ID = ""
    assert [browser.client.get(path).status_code for path in (GO, BACK)] == [404, 404]
    assert "Entra" not in browser.said()


def test_local_accounts_can_be_left_out(browser, settings):
    User.objects.create_superuser("ada", password="correct horse battery")
    settings.WEB_LOCAL_LOGIN = False
    settings.AUTHENTICATION_BACKENDS = ["mailrelay.console.entra_sign_in.EntraBackend"]
    assert 'name="password"' not in browser.said()
    browser.client.post(LOGIN, {"username": "ada", "password": "correct horse battery"})
    assert browser.person is None
    browser.sign_in("ada")
    assert browser.person is not None


KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
ISSUER = f"https://login.test/{TENANT}/v2.0"
FLOW = {"nonce": "n0nce"}
CLAIMS = {
    "iss": ISSUER,
    "aud": SIGN_IN_CLIENT,
    "iat": time.time(),
    "exp": time.time() + 3600,
    "nonce": people._nonce(FLOW),
    "oid": "11111111-aaaa-bbbb-cccc-222222222222",
    "tid": TENANT,
    "roles": ["Administrator"],
}


def keys() -> dict:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {"keys": [{**jwk, "kid": "one", "use": "sig", "alg": "RS256"}]}


def checked(key=KEY, algorithm="RS256", kid="one", **changes):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return people.check(
        jwt.encode(claims, key, algorithm, {"kid": kid}), SIGN_IN_CLIENT, ISSUER, keys(), FLOW
    )


def test_a_token_that_holds_names_a_person():
    assert checked().roles == {"administrator"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": OTHER},
        {"kid": "two"},
        {"key": None, "algorithm": "none"},
        {"key": "x" * 32, "algorithm": "HS256"},
        {"aud": "another-application"},
        {"iss": "https://evil.test/v2.0"},
        {"exp": time.time() - 600},
        {"nbf": time.time() + 86_400},
        {"nonce": "another"},
        {"nonce": None},
        {"oid": None},
        {"tid": "44444444-4444-4444-4444-444444444444"},
        {"exp": None},
    ],
    # Names that are the same in every process that collects: keys and times are not.
    ids=lambda wrong: " ".join(
        f"{name}={value}" if isinstance(value, str) else name for name, value in wrong.items()
    ),
)
def test_a_token_that_does_not_hold_signs_nobody_in(wrong):
    with pytest.raises(people.SignInError):
        checked(**wrong)
