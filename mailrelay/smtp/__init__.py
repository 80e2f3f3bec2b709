"""The door: listeners, sessions, replies, policy, spool and drain."""
