"""Reasons to wait: a broken configuration, a failure and whom it concerns, the mailbox that is used."""
