"""What is kept of a message beside its deliveries: content, its state, search words, totals, who was seen."""
