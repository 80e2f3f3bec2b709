"""The rooms of the house stand in rows, and import only downward."""

import pytest

from tests.project.files import ROOT, files, imports, name_of

#: From the roof to the ground: a room may import the rooms of the rows below its own.
ROWS = (
    {"management", "apps"},
    {"processes"},
    {"api"},
    {"console", "configuration", "diagnosis", "cli", "upkeep"},
    {"notify"},
    {"health"},
    {"status"},
    {"smtp"},
    {"delivery"},
    {"graph", "mime"},
    {"outbox"},
    {"routing"},
    {"models"},
    {"clouds"},
    {"periodic"},
    {"vocabulary", "metrics", "tracing", "address_forms", "parsing"}
    | {"schema", "memory", "database", "token_buckets"},
)
#: The corridors of the outbox, from the ground up.
CORRIDORS = (
    *("db", "rules", "keeping", "holding", "accepting"),
    *("claiming", "settling", "scheduling", "operators"),
)
#: Words without logic: settings take their choices from them.
WORDS = ("mailrelay.vocabulary", "mailrelay.clouds", "mailrelay.parsing")
HEIGHT = {room: -number for number, row in enumerate(ROWS) for room in row}
#: These begin with the variables, or wire the rooms up; the rooms below are told by Django's settings.
MAY_KNOW_THE_PROJECT = ROWS[0] | ROWS[1] | ROWS[2] | ROWS[3]
WIRING = {"gateway/celery.py", "gateway/urls.py", "gateway/wsgi.py", "gateway/checks.py"}

APP = [path for path in files(".py", under=("mailrelay",)) if "migrations" not in path.parts]


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def own_room(path) -> str:
    return path.relative_to(ROOT / "mailrelay").parts[0].removesuffix(".py")


def test_every_room_has_a_row():
    rooms = {own_room(path) for path in APP} - {"__init__", "static", "templates"}

    assert rooms <= set(HEIGHT), f"give {rooms - set(HEIGHT)} a row here and in docs/architecture.md"


def test_rooms_import_only_what_stands_below_them():
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in APP
        if own_room(path) != "__init__"
        for module in imports(path)
        if module.startswith("mailrelay.") and room_of(module) in HEIGHT
        if room_of(module) != own_room(path) and HEIGHT[room_of(module)] >= HEIGHT[own_room(path)]
    ]

    assert not wrong


def corridor_of(module: str) -> str:
    """Return the corridor of a module of the outbox; empty where it stands at its door."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["mailrelay", "outbox"] and parts[2] in CORRIDORS else ""


def test_every_corridor_of_the_outbox_has_its_place():
    found = {path.parent.name for path in APP if own_room(path) == "outbox" and path.parent.name != "outbox"}

    assert found == set(CORRIDORS)


def test_corridors_of_the_outbox_import_only_what_comes_before_them():
    wrong = []
    for path in (path for path in APP if own_room(path) == "outbox"):
        own = path.parent.name if path.parent.name in CORRIDORS else ""
        below = CORRIDORS[: CORRIDORS.index(own)] if own else ()
        known = {corridor_of(module) for module in imports(path)} - {"", own}
        wrong += [f"{name_of(path)} imports {corridor}" for corridor in known - set(below)]

    assert not wrong


def test_the_sandbox_imports_nothing_of_the_gateway():
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in files(".py", under=("sandbox",))
        for module in imports(path)
        if module.startswith(("mailrelay.", "gateway", "django", "celery"))
    ]

    assert not wrong


@pytest.mark.parametrize("foreign", ["sandbox", "aiohttp"])
def test_nothing_but_its_command_imports_the_sandbox(foreign):
    users = {
        name_of(path)
        for path in [*APP, *files(".py", under=("gateway",))]
        if any(module.startswith(foreign) for module in imports(path))
    }

    assert users <= {"mailrelay/management/commands/runsandbox.py"}


def test_settings_and_their_helpers_know_words_and_no_room():
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in files(".py", under=("gateway",))
        if name_of(path) not in WIRING
        for module in imports(path)
        if module.startswith("mailrelay") and not module.startswith(WORDS)
    ]

    assert not wrong


def test_the_lower_rooms_know_nothing_of_the_project_around_them():
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in APP
        if own_room(path) not in MAY_KNOW_THE_PROJECT
        for module in imports(path)
        if module.startswith("gateway")
    ]

    assert not wrong


def test_production_code_imports_no_test_and_no_script():
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in [*APP, *files(".py", under=("gateway",))]
        for module in imports(path)
        if module.split(".")[0] in {"tests", "scripts", "pytest"}
    ]

    assert not wrong
