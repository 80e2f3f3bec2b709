"""The office of the large route: both routes against one sandbox."""

from tests.large.conftest import office, queued, steady_sandbox, writer  # noqa: F401 - fixtures
