"""Senders, app registrations, mailboxes and SMTP clients as a YAML file; settings as a page."""
