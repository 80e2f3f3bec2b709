"""Relays on SQLite and on PostgreSQL, each test on a database of its own with its tables made."""

import time

import pytest

from tests.accept.installation import OnPostgreSQL, migrated_sqlite, on_sqlite
from tests.harness.processes import manage


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    return migrated_sqlite(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgresql_template(postgresql, tmp_path_factory):
    """Name a database that others are made from."""
    url = postgresql.database()
    made = OnPostgreSQL(tmp_path_factory.mktemp("template"), postgresql, url)
    manage(made.environment, "migrate", "--verbosity", "0")
    return url.rpartition("/")[2]


@pytest.fixture
def on_sqlite_alone(tmp_path, sqlite_template):
    made = on_sqlite(tmp_path / "data", sqlite_template)
    with made.entered:
        yield made


@pytest.fixture
def on_postgresql(tmp_path, postgresql, postgresql_template):
    import psycopg

    name = f"test_{time.monotonic_ns()}"
    with psycopg.connect(postgresql.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {postgresql_template}")
    made = OnPostgreSQL(
        tmp_path / "data", postgresql, f"postgres://gateway@127.0.0.1:{postgresql.port}/{name}"
    )
    with made.entered:
        yield made


@pytest.fixture(params=["on_sqlite_alone", "on_postgresql"])
def installation(request):
    """Each kind of database in turn."""
    return request.getfixturevalue(request.param)
