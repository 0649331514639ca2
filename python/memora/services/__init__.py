"""Code that needs Frappe, for background jobs and other apps. The logic is in the engine."""
