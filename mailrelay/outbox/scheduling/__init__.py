"""Moves that time causes: due mail, leases that are over, retention, requests beside mail."""
