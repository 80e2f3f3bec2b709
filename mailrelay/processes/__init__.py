"""The processes: relay, worker, web, or everything in one; start and end of each."""
