"""Moves that people and the configuration cause: hold, release, resend, pause, new credentials."""
