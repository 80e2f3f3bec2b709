"""What people and the configuration change: hold, release, resend, pause, new credentials."""
