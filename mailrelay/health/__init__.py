"""Probes and metrics, served by every process."""
