"""While one secret replaces another, neither the new one's delay nor the old one's end stops mail."""

import pytest

from tests.credentials.conftest import CLIENT
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send


def in_use(stack):
    return rows(stack.environment, "SELECT secret_in_use FROM mailrelay_appregistration")[0][0]


@pytest.mark.parametrize(
    ("known", "used"),
    [(["older"], "secret"), (["newer"], "next_secret"), (["older", "newer"], "next_secret")],
    ids=["Entra does not know the newer yet", "the older was deleted", "both are good"],
)
def test_whichever_is_good_is_used_and_shown(embedded, known, used):
    embedded.sandbox.world(apps={CLIENT: {"secrets": known}})
    embedded.environment |= {"AZURE_CLIENT_SECRET": "older", "AZURE_CLIENT_NEXT_SECRET": "newer"}
    listener = embedded.start()

    send(listener.smtp_port, mail(1))
    embedded.wait_for(sent=1)

    assert in_use(embedded) == used
    assert "older" not in listener.output().replace("the older one", "")


def test_both_wrong_holds_the_mail_until_one_is_right(embedded):
    embedded.sandbox.world(apps={CLIENT: {"secrets": ["another"]}})
    embedded.environment |= {"AZURE_CLIENT_SECRET": "older", "AZURE_CLIENT_NEXT_SECRET": "newer"}
    listener = embedded.start()
    send(listener.smtp_port, mail(1))
    embedded.wait_for(held=1)

    embedded.sandbox.world(apps={CLIENT: {"secrets": ["older"]}})

    embedded.wait_for(sent=1, timeout=90)
    assert in_use(embedded) == "secret"


def test_stored_secrets_overlap_too(embedded, configured, tmp_path):
    (tmp_path / "old").write_text("deleted-secret")
    (tmp_path / "new").write_text("sandbox-secret")
    end = {"secret_expires_on": "2020-02-29", "next_secret_expires_on": "2099-12-31"}
    configured(secret={"file": "old"}, next_secret={"file": "new"}, **end)
    listener = embedded.start()

    send(listener.smtp_port, mail(1))
    embedded.wait_for(sent=1)

    assert in_use(embedded) == "next_secret"
    name = 'graph_smtp_credential_expiry_seconds{{app="contoso",credential="{}"}}'
    eventually(lambda: listener.metrics().get(name.format("next_secret"), 0) > 0, 30, "the end of the newer")
    # No mail depends on the older one any more.
    eventually(lambda: name.format("secret") not in listener.metrics(), 30, "the older one's end being gone")


def test_the_end_of_the_variable_s_secret_is_known(embedded):
    listener = embedded.start(AZURE_CLIENT_SECRET_EXPIRES="2099-12-31")

    name = 'graph_smtp_credential_expiry_seconds{app="environment",credential="secret"}'
    assert eventually(lambda: listener.metrics().get(name), 30, "the end being known") > 86_400
