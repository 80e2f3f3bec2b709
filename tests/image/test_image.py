"""What is in the image, as both builders make it."""

import json

import pytest

from tests.image.building import BY_BUILDKIT, GATEWAY
from tests.image.cgroup import MIB
from tests.image.standins import base_name

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]
BUILDERS = {"classic": GATEWAY, "buildkit": BY_BUILDKIT}


@pytest.fixture(params=BUILDERS)
def image(request):
    return BUILDERS[request.param]


def said_in(engine, image: str, *words: str, user: str = "0") -> str:
    """Run a program in a container of the image, with nothing of the gateway's started."""
    entry = ("--entrypoint", words[0], "--user", user)
    return engine.docker("run", "--rm", "--network", "none", *entry, image, *words[1:]).stdout


def test_no_program_of_it_has_another_users_rights(engine, image):
    assert said_in(engine, image, "find", "/", "-xdev", "-perm", "/6000", "-type", "f") == ""


def test_it_starts_as_a_user_that_is_not_root_and_can_write_to_four_folders(engine, image):
    config = engine.inspect(image)["Config"]
    writable = "find / -xdev -writable -not -type l 2>/dev/null || true"
    found = said_in(engine, image, "sh", "-c", writable, user=config["User"]).split()

    assert config["User"] == "10001:0"
    assert set(found) == {"/data", "/tmp", "/var/tmp", "/run/lock"}


def test_neither_its_variables_nor_its_history_have_a_secret_or_a_proxy(engine, image):
    config = engine.inspect(image)["Config"]
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    text = json.dumps(config) + history

    assert not [word for word in ("SECRET", "PASSWORD", "TOKEN", "PROXY=", "proxy=") if word in text]


def test_it_has_nothing_that_installs_packages_of_python(engine, image):
    assert "No module named pip" in said_in(
        engine, image, "sh", "-c", "python -m pip 2>&1; test ! -e /venv/bin/pip"
    )


def test_what_it_adds_to_its_base_stays_small(engine, image, figures):
    whole, base = (engine.inspect(name)["Size"] / MIB for name in (image, base_name()))
    figures.note(f"image {image.split(':')[1]}", more=f"{whole:.0f} MiB, {base:.0f} of them the base")

    assert whole - base < 260
