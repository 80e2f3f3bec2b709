"""Recipients without a domain, as cron, smartd and sudo write them: an alias, or the default domain."""

from dataclasses import replace

import pytest

from mailrelay.outbox.submission import RecipientDsn
from mailrelay.routing.table import Client, Defaults, RoutingTable
from tests.smtp.smtp_server import LOOPBACK, SENDER

CRON = b"From: root (Cron Daemon)\r\nTo: root\r\nSubject: Cron <root@db> backup\r\n\r\ndone\r\n"
ALIASES = {"root": ["admin@example.org"], "ops": ["a@example.org", "b@example.org"]}


def routing(client: Client = LOOPBACK, **defaults) -> RoutingTable:
    return RoutingTable((SENDER,), (client,), defaults=Defaults(**defaults))


def test_mail_for_root_goes_to_whom_root_stands_for(open_smtp_server):
    smtp_server = open_smtp_server(routing(aliases=ALIASES))
    with smtp_server.connect() as talk:
        assert talk.mail(CRON, "root", "root").startswith("250 ")
    assert smtp_server.queue.last.recipients == ("admin@example.org",)
    assert smtp_server.queue.last.dsn_request.recipients == {
        "admin@example.org": RecipientDsn("", "rfc822;root")
    }


def test_a_name_that_is_no_alias_has_the_default_domain(open_smtp_server):
    smtp_server = open_smtp_server(routing(default_domain="example.net", aliases=ALIASES))
    with smtp_server.connect() as talk:
        assert talk.mail(CRON, "root", "smartd", "root@example.net", "Postmaster").startswith("250 ")
    assert smtp_server.queue.last.recipients == (
        "smartd@example.net",
        "admin@example.org",
        "Postmaster@example.net",
    )


def test_a_clients_own_rules_come_first_and_those_of_all_are_behind_them(open_smtp_server):
    own = replace(LOOPBACK, default_domain="printers.test", aliases={"root": ["paper@example.org"]})
    smtp_server = open_smtp_server(routing(own, default_domain="example.net", aliases=ALIASES))
    with smtp_server.connect() as talk:
        assert talk.mail(CRON, "root", "root", "ops", "toner").startswith("250 ")
    meant = ("paper@example.org", "a@example.org", "b@example.org", "toner@printers.test")
    assert smtp_server.queue.last.recipients == meant


def test_whom_an_alias_names_twice_gets_one_copy(open_smtp_server):
    smtp_server = open_smtp_server(routing(aliases=ALIASES))
    with smtp_server.connect() as talk:
        assert talk.mail(CRON, "root", "a@example.org", "ops", "B@example.org").startswith("250 ")
    assert smtp_server.queue.last.recipients == ("a@example.org", "b@example.org")


def test_an_alias_counts_as_what_it_stands_for(open_smtp_server):
    smtp_server = open_smtp_server(routing(aliases=ALIASES), max_recipients=2)
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<root>", "RCPT TO:<c@example.org>")
        assert talk.say("RCPT TO:<ops>").startswith("452 4.5.3 ")
        assert talk.say("RCPT TO:<root>").startswith("250 ")
        assert talk.say("RCPT TO:<root>").startswith("250 ")


def test_an_alias_leads_nobody_beyond_the_recipients_of_its_client(open_smtp_server):
    own = replace(LOOPBACK, allowed_recipients=frozenset({"@example.net"}))
    smtp_server = open_smtp_server(routing(own, default_domain="example.net", aliases=ALIASES))
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<root>")
        assert talk.say("RCPT TO:<root>").startswith(
            "550 5.7.1 Client SMTP_ALLOWED_NETWORKS may not send to <admin@"
        )
        assert talk.say("RCPT TO:<smartd>").startswith("250 ")


@pytest.mark.parametrize("name", ["root", "nobody"])
def test_without_alias_and_domain_the_refusal_says_what_to_set(open_smtp_server, name):
    smtp_server = open_smtp_server(routing(aliases={"nobody": ["nowhere"]}))
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<root>")
        reply = talk.say(f"RCPT TO:<{name}>")
    assert reply.startswith("553 5.1.3 ") and "SMTP_ALIASES" in reply and "SMTP_DEFAULT_DOMAIN" in reply


def test_where_the_header_rules_its_names_stand_for_others_too(open_smtp_server):
    rules = RoutingTable(
        (replace(SENDER, headers_rule=True),), (LOOPBACK,), defaults=Defaults("example.net", ALIASES)
    )
    smtp_server = open_smtp_server(rules)
    with smtp_server.connect() as talk:
        content = b"From: a@example.org\r\nTo: root\r\nCc: Doe, c@example.org, Toner <toner>\r\n\r\nx\r\n"
        assert talk.mail(content, "root", "elsewhere@example.org").startswith("250 ")
        assert smtp_server.queue.last.recipients == ("admin@example.org", "c@example.org")
        assert talk.mail(content, "root", "elsewhere@example.org", "toner").startswith("250 ")
        assert smtp_server.queue.last.recipients == (
            "admin@example.org",
            "c@example.org",
            "toner@example.net",
        )
