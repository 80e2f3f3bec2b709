"""What devices and old programs write, by SMTP through the whole gateway: it arrives as it was meant."""

import email
import email.policy

import pytest

from sandbox.client import SandboxProcess
from tests.harness.processes import GatewayProcess, base_environment, rows, send

TOP = "From: App <gateway@contoso.test>\r\nTo: {to}\r\n"
PARTS = (
    "--bb\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n"
    "--bb\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "JVBERi0xLjQKJUVPRgo=\r\n--bb--\r\n"
)
MIXED = "Content-Type: multipart/mixed; boundary=bb\r\n"
HTML = "<p>" + "word " * 900 + "</p>"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    with SandboxProcess(folder / "sandbox") as sandbox:
        environment = base_environment(folder / "data", sandbox)
        with GatewayProcess(environment) as process:
            process.sandbox = sandbox
            yield process


@pytest.fixture
def through(gateway, request):
    """Send raw bytes to a recipient of the test's own, who is `{to}` in them, and give what arrived."""
    to = f"{abs(hash(request.node.name))}@example.org"

    def arrive(raw: bytes):
        before = len(gateway.sandbox.deliveries())
        send(gateway.smtp_port, raw.replace(b"{to}", to.encode()), [to])
        mail = gateway.sandbox.wait_for_deliveries(before + 1)[-1]
        assert mail["recipients"] == [to]
        return email.message_from_bytes(gateway.sandbox.raw(mail["seq"]), policy=email.policy.default)

    return arrive


def contents(message):
    return [part.get_payload(decode=True) for part in message.iter_parts()]


BOTH = ["Grüße".encode(), b"%PDF-1.4\n%EOF\n"]


@pytest.mark.parametrize("end", [b"\r\r\n", b"\r\r\r\n", b"\n"])
def test_parts_are_parts_whatever_ends_their_lines(through, end):
    raw = (TOP + "Subject: cr\r\n" + MIXED + "\r\n" + PARTS).encode().replace(b"\r\n", end)

    arrived = through(raw)

    assert (arrived["Subject"], arrived["MIME-Version"]) == ("cr", "1.0")
    assert contents(arrived) == BOTH


CHARSETS = {"gb2312": "报告文件", "windows-1251": "Отчёт", "iso-8859-2": "Žluťoučký", "shift_jis": "価格表"}


@pytest.mark.parametrize(("charset", "text"), CHARSETS.items(), ids=CHARSETS.keys())
def test_a_raw_subject_is_in_the_declared_charset_on_the_way_and_on_record(gateway, through, charset, text):
    part = f"--bb\r\nContent-Type: text/plain; charset={charset}\r\n\r\n{text}\r\n--bb--\r\n"
    arrived = through(f"{TOP}Subject: {text}\r\n{MIXED}\r\n{part}".encode(charset))

    assert arrived["Subject"] == text
    [part] = arrived.iter_parts()
    assert part.get_content().strip() == text
    assert (text,) in rows(gateway.environment, "SELECT subject FROM mailrelay_message")


@pytest.mark.parametrize("before", ["\ufeff", "\r\n", "\ufeff\r\n", "\r\n\r\n"])
def test_a_header_behind_a_byte_order_mark_or_blank_line_is_a_header(through, before):
    arrived = through((before + TOP + "Subject: s\r\n" + MIXED + "\r\n" + PARTS).encode())

    assert arrived["Subject"] == "s"
    assert contents(arrived) == BOTH


def test_of_two_content_types_the_readable_one_counts(through):
    arrived = through((TOP + "Content-Type: \r\n" + MIXED + "\r\n" + PARTS).encode())

    assert contents(arrived) == BOTH


def test_html_in_one_line_arrives_the_same_in_short_ones(gateway, through):
    arrived = through((TOP + "Content-Type: text/html; charset=us-ascii\r\n\r\n" + HTML + "\r\n").encode())

    raw = gateway.sandbox.raw(gateway.sandbox.deliveries()[-1]["seq"])
    assert arrived.get_content().strip() == HTML
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("=?utf-8?B?SsO2cmcgPHNob3BAZXhhbXBsZS5jb20+?=", "Jörg"),
        ("<'shop@example.com'>", ""),
        ('"Jörg <shop@example.com>"', "Jörg"),
        ("Jörg [shop@example.com]", "Jörg"),
    ],
)
def test_replies_go_to_an_author_in_odd_wrapping(through, value, name):
    arrived = through(f"From: {value}\r\nTo: {{to}}\r\n\r\nx\r\n".encode())

    [reply_to], [sender] = arrived["Reply-To"].addresses, arrived["From"].addresses
    assert (reply_to.addr_spec, reply_to.display_name) == ("shop@example.com", name)
    assert (sender.addr_spec, sender.display_name) == ("gateway@contoso.test", name)
