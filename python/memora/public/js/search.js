// Makes a Desk search for "memora" find all of memora: only the workspace has that word in its name.
window.$(document).on("app_ready", () => {
	const search = frappe.search?.utils;
	// Frappe 16 finds tiles where 15 finds workspaces.
	const name = ["get_desktop_icons", "get_workspaces"].find((each) => search?.[each]);
	if (!name) return;
	const of_frappe = search[name];
	search[name] = function (keywords) {
		const found = of_frappe.call(this, keywords);
		const typed = keywords.trim().toLowerCase();
		if (typed.length < 3 || !"memora".startsWith(typed)) return found;
		const highest = Math.max(1, ...found.map(({ index }) => index));
		return [...found, ...memora.search.entries(highest)];
	};
});

frappe.provide("memora.search");

memora.search.DOCTYPES = [
	"Game Subscription Season",
	"Poison Review",
	"SRS Job",
	"Game Subject",
	"Game Topic",
	"Retired Question",
	"Player Memory Tracker",
	"Memory Review Audit",
	"Archived Memory Tracker",
];

// The page and the lists that the user may read, in the form of the search's own results. Those with
// the highest index are shown first; these come after the workspace, whose index is given.
memora.search.entries = (highest) => {
	const { page_info, user } = frappe.boot;
	const entry = (type, label, route, order) => ({
		type,
		label,
		value: label,
		index: highest - (order + 1) / 1000,
		match: label,
		route,
	});
	const lists = memora.search.DOCTYPES.filter((name) => user.can_read.includes(name)).map(
		(name, order) => entry("List", __("{0} List", [__(name)]), ["List", name], order + 1)
	);
	const page = page_info["srs-monitor"];
	return page ? [entry("Page", __("SRS Monitor"), ["srs-monitor"], 0), ...lists] : lists;
};
