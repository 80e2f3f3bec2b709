"""From a reservation to an outcome: tasks, the pipeline, and the worker that runs them."""
