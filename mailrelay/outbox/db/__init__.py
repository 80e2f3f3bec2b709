"""Below the queue: the writer, statements in two dialects, its clock, its faults. Knows no rule."""
