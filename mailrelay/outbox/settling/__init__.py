"""What an attempt came to goes on record and moves its delivery; what has no result is found out."""
