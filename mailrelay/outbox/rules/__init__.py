"""Limits and ages, decided from rows and a time. Writes nothing."""
