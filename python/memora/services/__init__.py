"""What background jobs and other apps use: what is of Frappe. The logic is in the engine."""
