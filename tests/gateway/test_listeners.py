"""SMTP_LISTENERS: what an address may say, and the sentence for what it may not."""

import pytest

from gateway.listeners import Listener, listeners


def test_each_address_has_a_policy_of_its_own():
    plain, submission, implicit, proxied = listeners(
        "smtp://0.0.0.0:25?starttls=off, smtp://[::]:587?starttls=required&auth=required,"
        "smtps://0.0.0.0:465?tls=legacy,smtp://10.0.0.1:26?proxy=10.0.0.5/32+fd00::/8&barelf=accept"
    )
    assert plain == Listener("0.0.0.0", 25, starttls="off")
    assert submission == Listener("::", 587, starttls="required", auth="required")
    assert implicit == Listener("0.0.0.0", 465, implicit_tls=True, starttls="off", tls="legacy")
    assert [str(network) for network in proxied.proxies] == ["10.0.0.5/32", "fd00::/8"]
    assert proxied.barelf == "accept"
    assert [address.name for address in (submission, implicit)] == ["smtp://[::]:587", "smtps://0.0.0.0:465"]


def test_an_address_that_says_nothing_offers_logins_over_tls_alone():
    (address,) = listeners("smtp://127.0.0.1:2525")
    assert (address.starttls, address.auth, address.cleartext_auth) == ("", "optional", False)
    assert not address.needs_certificate


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("lmtp://127.0.0.1:24", "write smtp://host:port, or smtps://… for implicit TLS"),
        ("smtp://127.0.0.1", "lacks a host or a port"),
        ("smtp://127.0.0.1:99999", "lacks a host or a port"),
        ("smtp://127.0.0.1:25?starttls=maybe", "starttls is one of off, optional, required"),
        ("smtp://127.0.0.1:25?xclient=on", "the options are starttls, auth"),
        ("smtps://127.0.0.1:465?starttls=required", "TLS from the first byte"),
        ("smtp://127.0.0.1:25?proxy=10.0.0.5/8", "“10.0.0.5/8” has bits beyond its prefix"),
        ("smtp://127.0.0.1:25?proxy=", "“” is not a network"),
        ("", "No listener is named"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(url, said):
    with pytest.raises(ValueError, match=said):
        listeners(url)
