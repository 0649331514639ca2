// The names are random, so the list hides them. The form uses these colours, too.
frappe.listview_settings["SRS Job"] = {
	hide_name_column: true,
	get_indicator: (job) => [__(job.status), memora.jobs.colour(job), `status,=,${job.status}`],
	onload(list) {
		list.page.add_inner_button(__("SRS Monitor"), () => frappe.set_route("srs-monitor"));
	},
};
