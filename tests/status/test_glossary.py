"""The glossary of the admin and of the documents is one, and the headings of lists lead to it."""

import re

import pytest

from mailrelay.status import glossary
from mailrelay.vocabulary import State
from tests.project.files import ROOT

ROWS = re.findall(r"^\| ([^|]+) \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)


def test_the_document_has_every_word_and_every_state():
    said = {word: text.replace("`", "") for word, text in ROWS}
    states = {
        f"`{state.value}`": f"{glossary.shown(state)} | {text}" for state, text in glossary.STATES.items()
    }

    assert set(glossary.STATES) == set(State)
    for word, text in {**glossary.WORDS, **states}.items():
        assert said.pop(word) == text
    assert set(said) == {"word", "state"}


def test_a_viewer_reads_it(browser):
    page = browser.get("/admin/glossary/").content.decode()

    for word in glossary.WORDS:
        assert f'<dt id="{glossary.anchor(word)}">{word}</dt>' in page
    assert "Unconfirmed <code>uncertain</code>" in page


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("message", "message"),
        ("mailbox", "mailbox"),
        ("senderconfig", "sender"),
        ("smtpclient", "smtp-client"),
        ("appregistration", "app-registration"),
        ("worker", "worker"),
        ("alert", "alert"),
        ("alertchannel", "alert-channel"),
    ],
)
def test_the_heading_of_a_list_leads_to_its_word(browser, path, word):
    assert f'href="/admin/glossary/#{word}"' in browser.get(f"/admin/mailrelay/{path}/").content.decode()
