"""The rows that the console's tests use as well."""

from tests.console.conftest import browser, now, registration, root, sender

__all__ = ["browser", "now", "registration", "root", "sender"]
