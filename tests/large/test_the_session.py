"""What the SMTP session says of large mail: taken where it can be sent, refused with its limit elsewhere."""

import smtplib

import pytest

from tests.harness.ports import eventually
from tests.harness.processes import rows, send
from tests.large.mails import MEBIBYTE, with_files

SIGNED = (
    b"From: gateway@contoso.test\r\nTo: ann@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/signed; boundary=s; protocol="application/pkcs7-signature"\r\n\r\n'
    b"--s\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + (b"A" * 76 + b"\r\n") * 60_000
    + b"\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nxx\r\n--s--\r\n"
)


def refusal(listener, message) -> str:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(listener.smtp_port, message)
    assert refused.value.smtp_code == 552
    return refused.value.smtp_error.decode()


def mail_from(listener, size: int) -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", listener.smtp_port, timeout=60) as client:
        client.ehlo()
        code, text = client.mail("gateway@contoso.test", [f"SIZE={size}"])
    return code, text.decode()


def known(stack, column="can_draft"):
    ((value,),) = rows(stack.environment, f"SELECT {column} FROM mailrelay_mailbox")
    return value is not None


def test_without_mail_readwrite_the_true_limit_and_the_reason_are_said(embedded):
    listener = embedded.start()

    text = refusal(listener, with_files([4 * MEBIBYTE]))

    assert text.startswith("5.3.4")
    assert "3145728" in text
    assert "Mail.ReadWrite" in text
    eventually(lambda: known(embedded))
    _, said = eventually(lambda: (a := mail_from(listener, 5_000_000))[0] == 552 and a)
    assert "Mail.ReadWrite" in said
    assert mail_from(listener, 1_000_000)[0] == 250
    assert embedded.sandbox.stats()["drafts"] == 0


def test_large_mail_that_is_switched_off_is_refused_though_the_application_could(able):
    listener = able.start(SENDER_LARGE_MAIL="off")

    assert "switched off" in refusal(listener, with_files([4 * MEBIBYTE]))


def test_signed_mail_that_does_not_fit_is_refused_with_the_reason(able):
    listener = able.start()

    assert "signed or encrypted" in refusal(listener, SIGNED)


def test_mail_beyond_the_mailbox_limit_is_refused_with_that_limit(able):
    able.environment |= {"SMTP_MAX_MESSAGE_SIZE": str(60 * MEBIBYTE)}
    listener = able.start()

    text = refusal(listener, with_files([10 * MEBIBYTE] * 3))

    assert "36700160" in text
    assert mail_from(listener, 40_000_000)[0] == 552


def test_rbac_for_applications_is_found_out_by_a_draft_that_is_deleted(embedded):
    """Its token names no role at all."""
    from sandbox import world

    apps = {world.RBAC_CLIENT: {"rbac": {"Mail.Send": ["*"], "Mail.ReadWrite": ["gateway@contoso.test"]}}}
    embedded.sandbox.world(apps=apps)
    embedded.environment |= {
        "AZURE_CLIENT_ID": world.RBAC_CLIENT,
        "AZURE_CLIENT_SECRET": "sandbox-secret-rbac",
    }
    listener = embedded.start()

    send(listener.smtp_port, with_files([4 * MEBIBYTE]))
    embedded.wait_for(sent=1)

    assert [delivery["route"] for delivery in embedded.delivered()] == ["draft"]
    assert embedded.sandbox.stats()["drafts"] == 0


def test_a_killed_upload_is_no_uncertain_mail_and_leaves_no_draft(able):
    able.environment |= {"LEASE_SECONDS": "3"}
    listener = able.listener()
    listener.start(FAILPOINT="draft.after:2")
    send(listener.smtp_port, with_files([4 * MEBIBYTE]))
    listener.wait_until_killed()

    listener.start()
    able.wait_for(sent=1)

    assert len(able.delivered()) == 1
    outcomes = rows(able.environment, "SELECT outcome FROM mailrelay_sendlog ORDER BY number")
    assert outcomes == [("transient",), ("sent",)]
    eventually(lambda: able.sandbox.stats()["drafts"] == 0, what="the orphan being removed")


@pytest.mark.parametrize("point", ["draft.whole", "graph.after"])
def test_a_kill_around_the_sending_is_settled_by_the_draft_and_makes_no_second_copy(able, point):
    listener = able.listener()
    listener.start(FAILPOINT=point)
    send(listener.smtp_port, with_files([4 * MEBIBYTE]))
    listener.wait_until_killed()

    listener.start()
    able.wait_for(sent=1)

    assert len(able.delivered()) == 1
    assert rows(able.environment, "SELECT copies FROM mailrelay_delivery") == [(0,)]
    eventually(lambda: able.sandbox.stats()["drafts"] == 0, what="no draft being left")
