"""An installation whose application may write drafts, and large mail to send through it."""

import pytest

from mailrelay.sandbox import world


@pytest.fixture
def able(embedded):
    """Everything in one process; the application has Mail.ReadWrite."""
    embedded.environment |= {
        "AZURE_CLIENT_ID": world.SECOND_CLIENT,
        "AZURE_CLIENT_SECRET": "sandbox-secret-2",
        "UNCERTAIN_DELAY": "2",
    }
    return embedded
