"""What background jobs and other apps use: the part that needs Frappe.

The logic is in the engine.
"""
