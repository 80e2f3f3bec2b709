"""Tells people: alerts and their channels, notices of failed mail, delivery status notifications."""
