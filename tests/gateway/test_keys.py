"""Keys that the embedded default makes for itself: once, for its owner alone, the same for everybody."""

import threading

import pytest

from gateway.env import Environment
from gateway.keys import own_key


def key_of(folder, value="", *, embedded=True):
    env = Environment(source={})
    return own_key(env, "DJANGO_SECRET_KEY", value, folder, embedded=embedded), env.problems


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    first, problems = key_of(tmp_path / "data")
    second, _ = key_of(tmp_path / "data")

    file = tmp_path / "data" / "keys" / "django_secret_key"
    assert first == second == file.read_text()
    assert len(first) == 44 and problems == []
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_many_that_start_at_once_end_with_the_same_key(tmp_path):
    """Threads share a process id, as the first processes of two containers do."""
    for number in range(20):
        keys, start = [], threading.Barrier(8)

        def make(folder=tmp_path / str(number), keys=keys, start=start):
            start.wait()
            keys.append(key_of(folder)[0])

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys) == 8 and len(set(keys)) == 1


def test_a_key_of_the_environment_wins_and_nothing_is_written(tmp_path):
    assert key_of(tmp_path / "data", "given") == ("given", [])
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_damaged_key_file_is_a_problem_and_stays_as_it_is(tmp_path, content):
    file = tmp_path / "keys" / "django_secret_key"
    file.parent.mkdir()
    file.write_bytes(content)

    _, (problem,) = key_of(tmp_path)

    assert problem.id == "gateway.E004" and str(file) in problem.message
    assert file.read_bytes() == content


def test_a_data_dir_that_cannot_be_written_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("")

    _, (problem,) = key_of(tmp_path / "file" / "data")

    assert problem.id == "gateway.E004" and "Not a directory" in problem.message
    assert "DATA_DIR" in problem.hint
