"""The pages for people: everything escaped, a stranger's HTML locked in, attachments only to save."""

import html.parser

import pytest
import requests

from tests.sandbox.graph_client import mail

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def page(sandbox):
    def get(path="/"):
        session = requests.Session()
        session.trust_env = False
        response = session.get(sandbox.page_url + path, timeout=30)
        response.encoding = "utf-8"
        return response

    return get


def multipart(subject="A subject", filename="x.bin"):
    return (
        f"From: gateway@contoso.test\r\nTo: Ann <ann@example.org>\r\nCc: cy@example.org\r\n"
        f"Bcc: blind@example.org\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain {HOSTILE}\r\n"
        '--b\r\nContent-Type: text/html\r\n\r\n<p>rich</p><img src="cid:logo">\r\n'
        "--b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: inline\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n"
        f'--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="{filename}"\r\n\r\n'
        f"{HOSTILE}\r\n--b--\r\n"
    ).encode()


class Inventory(html.parser.HTMLParser):
    """The tags of a page and where it points to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


def test_it_says_that_nothing_leaves_the_machine(page):
    assert "This is a sandbox: nothing leaves this machine." in page().text


def test_the_list_shows_the_newest_first_and_reloads_itself(graph, page):
    for name in ("first", "second"):
        graph.send(mail(f"Comments: {name}", to=f"{name}@example.org"))
    text = page().text
    assert 0 < text.index("second@example.org") < text.index("first@example.org")
    assert '<meta http-equiv="refresh"' in text


def test_a_long_list_has_pages(graph, sandbox, page):
    for _ in range(51):
        graph.send()
    numbers = [delivery["seq"] for delivery in sandbox.deliveries()]
    older = f"/?before={numbers[1]}"
    assert f'href="{older}"' in page().text
    text = page(older).text
    assert f'href="/mails/{numbers[0]}"' in text
    assert f'href="/mails/{numbers[1]}"' not in text
    assert "refresh" not in text


def test_a_mail_shows_how_each_recipient_was_named(graph, sandbox, page):
    graph.send(multipart())
    text = page(f"/mails/{sandbox.deliveries()[0]['seq']}").text
    for label, address in (("To", "ann@"), ("Cc", "cy@"), ("Bcc", "blind@")):
        assert f'<th scope="row">{label}</th><td>{address}example.org</td>' in text


def test_everything_is_escaped_and_nothing_comes_from_elsewhere(graph, sandbox, page):
    graph.send(multipart(subject=HOSTILE, filename="<b>.html"))
    number = sandbox.deliveries()[0]["seq"]
    for path in ("/", f"/mails/{number}", "/reports"):
        response = page(path)
        found = Inventory(response.text)
        assert "script" not in found.tags
        assert [link for link in found.links if not link.startswith(("/", "data:,"))] == []
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
    assert "plain &lt;script&gt;" in page(f"/mails/{number}").text


def test_html_is_locked_in_a_sandboxed_frame_with_its_own_policy(graph, sandbox, page):
    graph.send(multipart())
    number = sandbox.deliveries()[0]["seq"]
    assert f'<iframe sandbox="" src="/mails/{number}/html"' in page(f"/mails/{number}").text
    body = page(f"/mails/{number}/html")
    policy = body.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data: cid:; style-src 'unsafe-inline'; sandbox;")
    assert '<p>rich</p><img src="data:image/png;base64,iVBORw==">' in body.text


def test_an_attachment_can_only_be_saved(graph, sandbox, page):
    graph.send(multipart(filename="Men\u00fc.html"))
    response = page(f"/mails/{sandbox.deliveries()[0]['seq']}/attachments/1")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.content.strip() == HOSTILE.encode()


def test_the_source_is_shown_as_submitted_and_as_delivered(graph, sandbox, page):
    mime = multipart()
    graph.send(mime)
    address = f"/mails/{sandbox.deliveries()[0]['seq']}"
    submitted, delivered = page(f"{address}/submitted"), page(f"{address}/delivered")
    assert submitted.content == mime
    assert b"blind@" not in delivered.content
    assert submitted.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_reports_are_shown(graph, page):
    graph.send(mail(to="ghost@undeliverable.test"))
    assert "Non-delivery reports: 1" in page().text
    assert "ghost@undeliverable.test" in page("/reports").text


@pytest.mark.parametrize("path", ["/mails/999999", "/mails/999999/html", "/mails/x", "/nothing"])
def test_what_does_not_exist_is_404(page, path):
    assert page(path).status_code == 404


@pytest.mark.parametrize(
    "fields",
    ["Content-Type: text/plain; charset=nonsense", "Content-Type: multipart/mixed", "Content-Type: ///",
     "Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64",
     "Subject: =?nonsense?q?x?=", "X: \x00\xff"],
)  # fmt: skip
def test_a_malformed_mail_is_shown_as_well_as_it_goes(graph, sandbox, page, fields):
    graph.send(mail(*fields.split("\r\n"), body="\ufffdhello\r\n"))
    number = sandbox.deliveries()[0]["seq"]
    assert page().status_code == 200
    assert page(f"/mails/{number}").status_code == 200
