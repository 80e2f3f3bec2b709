"""What moves by time alone: due mail, leases that are over, retention, requests beside mail."""
