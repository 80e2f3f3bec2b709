"""Each way to prove who we are, from the variables or the file to a mail that Graph took."""

import datetime as dt

import jwt
import pytest

from tests.credentials.conftest import CLIENT
from tests.harness.ports import eventually
from tests.harness.processes import mail, rows, send


def without_secret(stack, **more):
    """Take the secret out of the environment, and put `more` in."""
    del stack.environment["AZURE_CLIENT_SECRET"]
    stack.environment |= more


def takes_mail(stack):
    listener = stack.start()
    send(listener.smtp_port, mail(1))
    stack.wait_for(sent=1)
    return listener


def only(sandbox, **proofs):
    """Let Entra take nothing from the application but these."""
    nothing = {"secrets": [], "certificates": [], "federated": [], "managed_identity": False}
    sandbox.world(apps={CLIENT: nothing | proofs})


def test_a_secret_from_a_file(embedded, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sandbox-secret\n")
    without_secret(embedded, AZURE_CLIENT_SECRET_FILE=str(secret))

    takes_mail(embedded)


def test_a_pem_file(embedded, proof, tmp_path):
    only(embedded.sandbox, certificates=[proof.public])
    file = tmp_path / "gateway.pem"
    file.write_text(proof.private + proof.public)
    embedded.environment |= {"AZURE_CLIENT_CERTIFICATE_PATH": str(file)}

    listener = takes_mail(embedded)

    name = 'graph_smtp_credential_expiry_seconds{app="environment",credential="certificate"}'
    left = eventually(lambda: listener.metrics().get(name), 30, "the certificate's end being known")
    assert 28 * 86_400 < left < 30 * 86_400


def test_a_pfx_file_with_its_password(embedded, proof, tmp_path):
    only(embedded.sandbox, certificates=[proof.public])
    file = tmp_path / "gateway.pfx"
    file.write_bytes(proof.pfx("hunter2"))
    password = {"AZURE_CLIENT_CERTIFICATE_PASSWORD": "hunter2"}
    without_secret(embedded, AZURE_CLIENT_CERTIFICATE_PATH=str(file), **password)

    takes_mail(embedded)


@pytest.mark.parametrize("form", ["pem", "pfx"])
def test_a_certificate_that_is_kept_in_the_database(embedded, configured, proof, tmp_path, form):
    only(embedded.sandbox, certificates=[proof.public])
    file = tmp_path / f"gateway.{form}"
    file.write_bytes(proof.pfx("hunter2") if form == "pfx" else (proof.private + proof.public).encode())
    (tmp_path / "password").write_text("hunter2")

    configured(
        credential="certificate",
        certificate={"file": file.name},
        certificate_password={"file": "password"},
    )
    file.unlink()
    takes_mail(embedded)

    ((stored,),) = rows(embedded.environment, "SELECT certificate FROM mailrelay_appregistration")
    assert "BEGIN" not in stored and stored.startswith("gAAAA")


def test_a_federated_token_file_that_the_platform_rotates(embedded, proof, tmp_path):
    issuer = {"issuer": "https://cluster.test", "subject": "system:serviceaccount:mail:gateway"}
    only(
        embedded.sandbox,
        federated=[{**issuer, "audience": "api://AzureADTokenExchange", "key": proof.public_key}],
    )
    file = tmp_path / "token"

    def write(lifetime):
        claims = {
            "iss": issuer["issuer"],
            "sub": issuer["subject"],
            "aud": "api://AzureADTokenExchange",
            "exp": dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime),
        }
        file.write_text(jwt.encode(claims, proof.private, "RS256") + "\n")

    write(-60)
    without_secret(embedded, AZURE_FEDERATED_TOKEN_FILE=str(file))
    listener = embedded.start()
    send(listener.smtp_port, mail(1))
    embedded.wait_for(held=1)

    write(3600)
    embedded.wait_for(sent=1, timeout=90)


def test_a_managed_identity(embedded):
    only(embedded.sandbox, managed_identity=True)
    host = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": embedded.sandbox.base_url}
    without_secret(embedded, AZURE_USE_MANAGED_IDENTITY="true", **host)

    takes_mail(embedded)


def test_tokens_and_mail_go_through_the_proxy_and_trust_its_authority(embedded, proxy):
    embedded.environment |= {"HTTPS_PROXY": proxy.url, "NO_PROXY": ""}

    takes_mail(embedded)

    host = embedded.sandbox.base_url.removeprefix("https://")
    assert host in proxy.asked
    # One connection for the discovery and the token, and the same or others for the mail: none went around.
    paths = {line["path"] for line in embedded.sandbox.ledger()}
    assert any(path.endswith("/sendMail") for path in paths)
    assert len(proxy.asked) >= 1


def test_an_authority_that_nobody_vouches_for_is_not_trusted(embedded):
    del embedded.environment["REQUESTS_CA_BUNDLE"]
    listener = embedded.start()

    send(listener.smtp_port, mail(1))
    query = "SELECT failing_text FROM mailrelay_appregistration"
    eventually(
        lambda: "gave no token" in rows(embedded.environment, query)[0][0], 60, "the failure on record"
    )

    assert embedded.sandbox.stats()["tokens_issued"] == 0


@pytest.mark.parametrize(
    ("cloud", "authority", "graph"),
    [
        ("global", "https://login.microsoftonline.com", "https://graph.microsoft.com"),
        ("us_government", "https://login.microsoftonline.us", "https://graph.microsoft.us"),
        ("us_defense", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
        ("china", "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_a_cloud_sets_both_addresses(embedded, configured, tmp_path, cloud, authority, graph):
    (tmp_path / "secret").write_text("sandbox-secret")

    configured(cloud=cloud, secret={"file": "secret"}, authority_host=None, graph_endpoint=None)

    query = "SELECT authority_host, graph_endpoint FROM mailrelay_appregistration"
    assert rows(embedded.environment, query) == [(authority, graph)]


def test_the_variables_know_the_clouds_too(embedded):
    from tests.harness.processes import manage

    for name in ("AZURE_AUTHORITY_HOST", "GRAPH_ENDPOINT"):
        del embedded.environment[name]
    embedded.environment["AZURE_CLOUD"] = "us_defense"
    manage(embedded.environment, "migrate", "--verbosity", "0")

    query = "SELECT authority_host, graph_endpoint FROM mailrelay_appregistration"
    found = rows(embedded.environment, query)
    assert found == [("https://login.microsoftonline.us", "https://dod-graph.microsoft.us")]
