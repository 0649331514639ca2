frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Time to Answer"] = {
	method: "memora.api.desk.time_to_answer",
	filters: [],
};
