// Names are random: they tell a reader nothing. The form has its colours from here, too.
frappe.listview_settings["SRS Job"] = {
	hide_name_column: true,
	get_indicator: (job) => [__(job.status), memora.jobs.colour(job), `status,=,${job.status}`],
	onload(list) {
		list.page.add_inner_button(__("SRS Monitor"), () => frappe.set_route("srs-monitor"));
	},
};
