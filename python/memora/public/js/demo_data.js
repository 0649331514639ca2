// Makes and removes demo data in the background, from the SRS Monitor and the list of seasons. The
// SRS Monitor shows the progress.
frappe.provide("memora.demo_data");

// Add the two entries to a page's menu, for users who may use them.
memora.demo_data.add_to_menu = (page, callback) => {
	if (!frappe.user.has_role(["System Manager", "Memora Manager"])) return;
	page.add_menu_item(__("Add Demo Data"), () => memora.demo_data.make(callback));
	page.add_menu_item(__("Remove Demo Data"), () => memora.demo_data.clear(callback));
};

// Make demo data, once confirmed. `callback` gets the name of the SRS Job.
memora.demo_data.make = (callback) =>
	frappe.prompt(
		[
			{
				fieldname: "what",
				fieldtype: "HTML",
				options: __(
					"This makes a season, subjects, topics and 12 students who have answered for a month. You can remove them again."
				),
			},
			{
				fieldname: "force",
				fieldtype: "Check",
				label: __("Even if another season is active"),
				description: __("Students then see the demo season until it is removed."),
			},
		],
		({ force }) => memora.demo_data.call("make_demo_data", { force }, callback),
		__("Add Demo Data"),
		__("Add")
	);

// Remove demo data, once confirmed.
memora.demo_data.clear = (callback) =>
	frappe.confirm(__("Remove the demo season, its students and all their records?"), () =>
		memora.demo_data.call("clear_demo_data", {}, callback)
	);

memora.demo_data.call = (name, args, callback) =>
	frappe.xcall(`memora.api.demo_data.${name}`, args).then(
		({ job }) => {
			frappe.show_alert(__("It is queued. The SRS Monitor shows its progress."));
			callback?.(job);
		},
		() => {} // Frappe has shown the error
	);
