"""Records beside the deliveries: content, state of a message, search words, totals, clients seen."""
