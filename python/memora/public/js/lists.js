// What lists of memora's share. hooks.py adds it.
frappe.provide("memora.lists");

// Say in a list that is empty what that means, in place of Frappe's "You haven't created ..." or
// "No ... found". Filters of these fields change nothing in that; with others, Frappe's text stays.
memora.lists.when_empty = (list, text, fields = []) => {
	const of_frappe = list.get_no_result_message.bind(list);
	list.get_no_result_message = () => {
		const filters = list.filter_area?.get() ?? [];
		if (filters.some(([_doctype, field]) => !fields.includes(field))) return of_frappe();
		return `<div class="msg-box no-border"><p>${frappe.utils.escape_html(text)}</p></div>`;
	};
};

// A text in a list's column. What has no room is cut off at its end, also where the list is written
// in the other direction: Frappe would cut off the beginning.
memora.lists.cell = (field, value) => {
	const text = frappe.utils.escape_html(value ?? "");
	return `<a class="filterable ellipsis" dir="auto" style="display: inline-block; max-width: 100%"
		title="${text}" data-filter="${field},=,${text}">${text}</a>`;
};
