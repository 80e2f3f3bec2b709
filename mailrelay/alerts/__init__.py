"""Telling people what is the matter: found, told once for each episode, and told when it is over."""
