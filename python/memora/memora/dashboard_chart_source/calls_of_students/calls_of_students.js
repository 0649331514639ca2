frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Calls of Students"] = {
	method: "memora.api.desk.calls_of_students",
	filters: [],
};
