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
