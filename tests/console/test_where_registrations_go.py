"""Which hosts get secrets, tokens and files of an app registration that is entered in the admin."""

import pytest

from mailrelay.models import AppRegistration
from tests.console.test_configuration import ADMIN, errors, registration_form

pytestmark = pytest.mark.django_db(transaction=True)
TOKENS = "/var/run/secrets/azure/tokens/"


@pytest.mark.parametrize("field", ["authority_host", "graph_endpoint"])
def test_what_is_stored_goes_to_no_other_host_than_it_was_entered_for_or_microsofts(
    browser, registration, field
):
    page = f"{ADMIN}appregistration/{registration.pk}/change/"
    elsewhere = {field: "https://collect.evil.test"}
    assert "neither one of Microsoft's" in errors(browser.post(page, registration_form(**elsewhere)))
    assert getattr(AppRegistration.objects.get(), field) != elsewhere[field]
    assert browser.post(page, registration_form(cloud="us_government")).status_code == 302
    AppRegistration.objects.update(cloud="", **elsewhere)
    assert browser.post(page, registration_form(name="renamed", **elsewhere)).status_code == 302


@pytest.mark.parametrize("field", ["authority_host", "graph_endpoint"])
@pytest.mark.parametrize(
    "proof",
    [
        {"new_secret": "entered-here"},
        {"kind": "certificate", "certificate_path": "/run/gateway.pem"},
        {"kind": "federated", "token_file": f"{TOKENS}azure-identity-token"},
        {"kind": "managed_identity"},
    ],
)
def test_a_new_row_goes_to_microsofts_hosts_or_the_environments_whatever_it_proves_itself_with(
    browser, settings, field, proof
):
    form = registration_form(**{"new_secret": "", **proof, field: "https://collect.evil.test"})
    page = f"{ADMIN}appregistration/add/"
    assert "neither one of Microsoft's" in errors(browser.post(page, form))
    assert not AppRegistration.objects.exists()
    settings.AZURE_AUTHORITY_HOST = settings.GRAPH_ENDPOINT = "https://collect.evil.test"
    assert "neither" not in browser.post(page, form, follow=True).content.decode()


@pytest.mark.parametrize(
    "file",
    ["/data/field-keys", f"{TOKENS}../../../data/keys", "/var/run/secrets/azure/tokens-of-mine"],
)
def test_no_file_is_sent_as_a_token_but_what_lies_where_tokens_do(browser, registration, file):
    form = registration_form(kind="federated", token_file=file)
    for page in ("add/", f"{registration.pk}/change/"):
        said = errors(browser.post(f"{ADMIN}appregistration/{page}", form | {"name": "mine"}))
        assert "WEB_TOKEN_FILE_DIRECTORIES" in said
    assert AppRegistration.objects.get().token_file == ""


def test_a_token_file_may_lie_where_the_host_says(browser, registration, settings):
    page = f"{ADMIN}appregistration/{registration.pk}/change/"
    settings.WEB_TOKEN_FILE_DIRECTORIES = ("/srv/tokens",)
    settings.AZURE_FEDERATED_TOKEN_FILE = "/run/own-token"
    for file in ("/srv/tokens/a/token", "/run/own-token"):
        browser.post(page, registration_form(kind="federated", token_file=file))
        assert AppRegistration.objects.get().token_file == file
    settings.AZURE_FEDERATED_TOKEN_FILE = ""
    again = registration_form(kind="federated", token_file="/run/own-token", name="renamed")
    assert browser.post(page, again).status_code == 302
