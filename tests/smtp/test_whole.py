"""The door of a whole gateway: listeners from the environment, a client from the command line."""

import re
import smtplib

import pytest

from tests.harness.ports import free_port
from tests.harness.processes import manage
from tests.smtp.certificates import trusting, write_certificate
from tests.smtp.smtp_server import eventually


@pytest.fixture
def ports(embedded, tmp_path):
    """Plain, STARTTLS and implicit TLS side by side, and nobody admitted by network."""
    plain, submission, implicit = free_port(), free_port(), free_port()
    certificate, key = write_certificate(tmp_path)
    embedded.environment |= {
        "SMTP_LISTENERS": f"smtp://127.0.0.1:{plain}?starttls=off,"
        f"smtp://127.0.0.1:{submission}?starttls=required&auth=required,smtps://127.0.0.1:{implicit}",
        "SMTP_TLS_CERT_FILE": str(certificate),
        "SMTP_TLS_KEY_FILE": str(key),
        "SMTP_ALLOWED_NETWORKS": "192.0.2.0/24",
    }
    return plain, submission, implicit, trusting(certificate)


def message(subject):
    return f"From: gateway@contoso.test\r\nTo: ann@example.org\r\nSubject: {subject}\r\n\r\nhello\r\n"


def test_a_client_that_is_added_while_the_gateway_runs_logs_in_and_its_mail_is_delivered(embedded, ports):
    plain, submission, implicit, context = ports
    gateway = embedded.listener()
    gateway.smtp_port = plain
    gateway.start()

    with smtplib.SMTP("127.0.0.1", plain, timeout=30) as client:
        assert not client.has_extn("starttls")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("gateway@contoso.test", ["ann@example.org"], message("refused"))

    said = manage(
        embedded.environment, "smtpclient", "add", "Shop", "--login", "shop", "--per-minute", "50"
    ).stdout
    password = re.search(r"password (\w{20})", said)[1]
    assert f"port {submission}, encryption STARTTLS" in said and f"port {plain}," not in said

    def logged_in():
        with smtplib.SMTP("localhost", submission, timeout=30) as client:
            client.starttls(context=context)
            try:
                client.login("shop", password)
            except smtplib.SMTPAuthenticationError:
                return False
            client.sendmail("gateway@contoso.test", ["ann@example.org"], message("over STARTTLS"))
        return True

    eventually(logged_in)
    with smtplib.SMTP_SSL("localhost", implicit, timeout=30, context=context) as client:
        client.login("SHOP", password)
        client.sendmail("gateway@contoso.test", ["ann@example.org"], message("over implicit TLS"))

    embedded.wait_for(sent=2)
    subjects = {mail["subject"] for mail in embedded.delivered()}
    assert subjects == {"over STARTTLS", "over implicit TLS"}
    log = gateway.output()
    assert password not in log and "rule=client" in log and "valid until" in log
