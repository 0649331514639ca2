"""What background jobs and other apps use. The logic is in the engine; here is only what is of
Frappe.
"""
