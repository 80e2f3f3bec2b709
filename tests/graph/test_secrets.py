"""Nothing secret and nobody's mail is logged or shown."""

import logging

import pytest

from mailrelay.graph.http import GraphSession
from mailrelay.graph.tokens import TokenStore, TokenUnavailable

from .conftest import CLIENT, make_credential


def test_nothing_secret_is_logged_or_shown(sandbox, caplog, monkeypatch, send):
    caplog.set_level(logging.DEBUG)
    for name in ("msal", "msal.application", "msal.token_cache", "urllib3", "requests", "mailrelay"):
        caplog.set_level(logging.DEBUG, logger=name)
    secret = "Very~Secret.Value-8"
    sandbox.world(apps={CLIENT: {"secrets": [secret]}})
    credential, wrong = (
        make_credential(sandbox.base_url, key=f"{number}:1", secret=text)
        for number, text in enumerate((secret, secret + "x"))
    )
    store = TokenStore(GraphSession())
    token = store.get(credential)
    with pytest.raises(TokenUnavailable) as refused:
        store.get(wrong)
    sandbox.fault("token", "reset_before_body")
    with pytest.raises(TokenUnavailable) as broken:
        store.get(make_credential(sandbox.base_url, key="7:1", secret=secret))

    shown = [caplog.text, repr(token), repr(credential), repr(store.status(wrong)), repr(vars(store))]
    for caught in (refused, broken):
        shown += [repr(caught.value), str(caught.value), repr(caught.value.verdict)]
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    text = "\n".join(shown)
    assert "DEBUG" in text  # the libraries did log
    assert secret not in text
    assert token.value not in text
    assert token.value.split(".")[1] not in text


def test_no_send_logs_the_mail_or_the_token(send, store, credential, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    answers = [send()]
    for kind in ("reset_before_body", "token_expired", "proxy_page", "reset_after_accept"):
        sandbox.fault("sendMail", kind)
        answers.append(send())
    token = store.get(credential).value
    text = caplog.text + repr(answers)
    assert "sendMail" in caplog.text
    for secret in (token, "toner", "dG9uZXI", "Printer report", "UHJpbnRlciByZXBvcnQ", "alice@example.org"):
        assert secret not in text
