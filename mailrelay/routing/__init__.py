"""Who may send, and whose mail goes where: the configuration as one immutable snapshot in memory."""
