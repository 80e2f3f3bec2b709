"""The samples that two Pythons are compared by ask all of mailrelay/mime, and are the same each time."""

import os
import subprocess
import sys

import pytest

from scripts.differential.answers import QUESTIONS, answers, digest
from scripts.differential.inputs import sample
from tests.project.files import ROOT, files

NOT_ASKED = {"__init__", "selftest"}  # known mail alone


def digests(seed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.differential", "--count", "40", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_that_reads_mail_is_asked():
    modules = {path.stem for path in files(".py", under=("mailrelay/mime",))} - NOT_ASKED

    assert {name for name in modules if f"mailrelay.mime.{name}" not in sys.modules} == set()


def test_every_question_is_answered_and_most_samples_differ():
    asked = [dict(answers(sample(number, 7))) for number in range(200)]

    assert all(list(one) == list(QUESTIONS) for one in asked)
    for question in QUESTIONS:
        assert len({one[question] for one in asked}) > 50, question


def test_a_sample_is_the_same_each_time():
    assert sample(3, 7) == sample(3, 7) != sample(4, 7)
    assert digest(sample(3, 7)) == digest(sample(3, 7)) != digest(sample(3, 8))


def test_the_order_of_hashes_changes_nothing(tmp_path):
    first = digests("1")
    (tmp_path / "digests").write_text(first.stdout)

    second = digests("2", "--against", str(tmp_path / "digests"))

    assert second.returncode == 0, second.stderr
    assert "gives the same 1 digests." in second.stdout


@pytest.mark.parametrize("theirs", ["", "0" * 64 + "\n", "more\n" * 9])
def test_other_digests_are_told(tmp_path, theirs):
    (tmp_path / "digests").write_text(theirs)

    done = digests("1", "--against", str(tmp_path / "digests"))

    assert done.returncode == 1
    assert "gives other digests: " in done.stderr
