"""Every answer tells browsers what it may load, and production keeps to https."""

import pytest
from django.test import Client, RequestFactory

from mailrelay.console.protection import client_address
from mailrelay.parsing import networks

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ["/", "/admin/", "/admin/login/", "/admin/no-such-page/", "/nothing"])
def test_every_answer_has_a_policy_without_anything_inline(address):
    policy = Client().get(address).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_pages_hold_nothing_that_the_policy_would_refuse(browser):
    for address in ("/admin/", "/admin/auth/user/add/", "/admin/mailrelay/senderconfig/add/"):
        page = browser.get(address).content.decode()
        assert " style=" not in page
        assert " onclick=" not in page


def test_https_is_insisted_on_only_where_people_have_it(settings):
    settings.WEB_HTTPS = False
    assert "Strict-Transport-Security" not in Client().get("/admin/login/").headers
    settings.WEB_HTTPS = True
    assert Client().get("/admin/login/").headers["Strict-Transport-Security"] == "max-age=63072000"


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:DB8::1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "unknown", "unknown"),
    ],
)
def test_an_address_is_believed_from_proxies_that_are_named(settings, peer, forwarded, found):
    settings.WEB_TRUSTED_PROXIES = networks("10.0.0.0/8")
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)) == found
