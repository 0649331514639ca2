"""The module of Frappe that holds the DocTypes."""
