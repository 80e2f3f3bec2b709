"""The queue on the command line: what waits and what became of it, what a person does, and a test mail."""
