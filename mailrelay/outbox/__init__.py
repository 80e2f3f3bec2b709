"""The queue of record: accept, claim, limits, leases, settle, scheduler; the only writer of states."""
