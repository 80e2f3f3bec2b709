"""A submission becomes rows, once: what the 250 stands for."""
