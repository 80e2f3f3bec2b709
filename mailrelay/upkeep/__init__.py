"""Work on a whole installation: backups, and moving its queue to another database."""
