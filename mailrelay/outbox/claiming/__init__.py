"""Deliveries are given to workers: within the limits, by a lease, as a task with ids."""
