"""Whom a refusal names, in every form that was reported."""

import time

import pytest

from mailrelay.graph.answer import MESSAGE_LIMIT
from mailrelay.graph.unresolved import named_in

BEFORE = "At least one recipient is not valid., "
AFTER = " All recipients must be resolved before a message can be submitted."


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ('Recipient "bob@x.org" isn\'t resolved.', ("bob@x.org",)),
        ("Recipient 'bob@x.org' is not resolved.", ("bob@x.org",)),
        ('Recipient "bob@x.org" is not resolved.', ("bob@x.org",)),
        ("Recipient ' bob@x.org ' is not resolved.", ("bob@x.org",)),
        ('Recipient " bob@x.org" isn\u2019t resolved.', ("bob@x.org",)),
        ("Recipient \u201cbob@x.org\u201d was not resolved.", ("bob@x.org",)),
        ("Recipient bob@x.org is not resolved.", ("bob@x.org",)),
        ("Recipient 'SMTP:bob@x.org' is not resolved.", ("bob@x.org",)),
        ("Recipient 'o'hara@x.org' is not resolved.", ("o'hara@x.org",)),
        ('Recipient "recipient@x.org" isn\'t resolved.', ("recipient@x.org",)),
        ('Recipient "Bob B" isn\'t resolved.', ("Bob B",)),
        ("Recipient 'Bob B <bob@x.org>' is not resolved.", ("Bob B <bob@x.org", "bob@x.org")),
        ("Recipient 'a@x.org; b@x.org;' is not resolved.", ("a@x.org; b@x.org", "a@x.org", "b@x.org")),
        ('Recipient "a@x.org" isn\'t resolved. Recipient "b@x.org" isn\'t resolved.', ("a@x.org", "b@x.org")),
        ('Recipient "" isn\'t resolved.', ()),
        ("A message can't be sent because it contains no recipients.", ()),
        ("", ()),
    ],
)
def test_it_is_read_whatever_stands_around_it(said, named):
    assert named_in(said) == named
    assert named_in(f"{BEFORE}{said}{AFTER}") == named


@pytest.mark.parametrize("piece", ["recipient 'a", "recipients: ", " is not resolved", "' ;,<>"])
def test_no_refusal_takes_long(piece):
    begun = time.thread_time()
    named_in((piece * MESSAGE_LIMIT)[:MESSAGE_LIMIT] + " is not resolved")
    assert time.thread_time() - begun < 0.05
