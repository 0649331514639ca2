// The list and the form's title say which of the active seasons students see.
frappe.provide("memora.seasons");

frappe.listview_settings["Game Subscription Season"] = {
	add_fields: ["is_active", "archive_status"],
	get_indicator(season) {
		const { name, archive_status, is_active } = season;
		const [seen] = season.__onload?.active_seasons ?? memora.seasons.active ?? [name];
		const filter = archive_status
			? `archive_status,=,${archive_status}`
			: `archive_status,is,not set|is_active,=,${is_active}`;
		return [...memora.seasons.state(season, seen), filter];
	},
	onload(list) {
		memora.demo_data.add_to_menu(list.page, () => frappe.set_route("srs-monitor"));
	},
	// The list is drawn before the server answers, and again if the answer differs.
	refresh(list) {
		const readers = ["System Manager", "Memora Manager", "Memora Teacher"];
		if (!frappe.user.has_role(readers)) return;
		frappe.xcall("memora.api.srs.get_active_seasons").then(({ seen, unseen }) => {
			const active = seen ? [seen, ...unseen] : [];
			const is_known = String(active) === String(memora.seasons.active ?? active.slice(0, 1));
			memora.seasons.active = active;
			if (!is_known) list.render_list();
		});
	},
};
