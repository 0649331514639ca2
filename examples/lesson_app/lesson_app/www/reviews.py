import frappe

no_cache = 1  # the page has the session's CSRF token


def get_context(context):
    if frappe.session.user == "Guest":
        frappe.throw("Log in to see your reviews.", frappe.PermissionError)
    context.title = "My reviews"
