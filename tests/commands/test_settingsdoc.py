"""`docs/settings.md` says what `gateway/settings.py` declares."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from gateway.settings import ENV
from mailrelay.configuration import settings_page


def test_the_page_in_the_repository_is_current():
    call_command("settingsdoc", "--check")


def test_it_has_a_row_for_every_declared_variable():
    rows = [line for line in settings_page.page().splitlines() if line.startswith("| `")]

    assert {row.split("`")[1] for row in rows} >= set(ENV.declared)


def test_every_row_has_as_many_cells_as_the_heading():
    text = settings_page.page().replace("\\|", "")

    for section in text.split("\n## ")[1:]:
        table = [line for line in section.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in table}) == 1


def test_it_refuses_a_stale_page(tmp_path, monkeypatch):
    stale = tmp_path / "settings.md"
    monkeypatch.setattr(settings_page, "PATH", stale)
    with pytest.raises(CommandError, match=r"is stale: run manage\.py settingsdoc"):
        call_command("settingsdoc", "--check")

    call_command("settingsdoc", verbosity=0)
    call_command("settingsdoc", "--check")
    stale.write_text(stale.read_text() + "edited by hand\n")

    with pytest.raises(CommandError):
        call_command("settingsdoc", "--check")
