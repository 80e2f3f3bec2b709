"""The configuration in memory: clients, senders and the mailbox of each mail, as an immutable snapshot."""
