"""Why mail waits: a broken configuration, a failure and whom it concerns, which mailbox it goes through."""
