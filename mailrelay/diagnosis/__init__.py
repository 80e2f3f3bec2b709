"""Preflight: what is wrong with this installation, and the command or the steps that fix it."""
