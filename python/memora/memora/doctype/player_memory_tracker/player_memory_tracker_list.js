// Names are random: they tell a reader nothing.
frappe.listview_settings["Player Memory Tracker"] = { hide_name_column: true };
