"""What runs in one process: the relay, a worker, or everything; how each starts and ends."""
