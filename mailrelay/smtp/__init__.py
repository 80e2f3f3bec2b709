"""SMTP: listeners, sessions, replies, policy, spool and drain."""
