// Retire questions by their ids, and restore the selected ones.
frappe.listview_settings["Retired Question"] = {
	hide_name_column: true,
	onload(list) {
		const refresh = () => list.refresh();
		const restore = () => {
			const names = list.get_checked_items().map((item) => item.name);
			if (names.length) memora.questions.restore(names).then(refresh);
			else frappe.show_alert(__("Select questions first."));
		};
		list.page.add_inner_button(__("Retire"), () => memora.questions.ask(refresh));
		list.page.add_inner_button(__("Restore"), restore);
		list.page.add_actions_menu_item(__("Restore"), restore);
	},
};

// Frappe's lists would show the ids as HTML.
frappe.meta.docfield_map["Retired Question"].question_id.formatter = (text) =>
	frappe.utils.escape_html(text);
