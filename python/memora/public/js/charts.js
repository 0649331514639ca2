// The options of the SRS Monitor's charts, for frappe.Chart. hooks.py adds this file to it.
frappe.provide("memora.charts");

memora.charts.SLOT_MINUTES = 10;
memora.charts.SLOTS = 144;

// The latency chart's tooltips by label. A chart takes new data, but keeps the options that it was
// made with: these must look up what the last poll wrote.
memora.charts.latency_tooltips = new Map();

// A call's latency in the last 24 hours: for each ten minutes a bar of the median, and stacked on
// it the rest of the 99th percentile. There is no bar where there was no call.
memora.charts.latency = (monitor, call) => {
	const slots = memora.charts.slots(monitor, call);
	const values = slots.map(({ found }) => found ?? { count: 0, p50_ms: 0, p99_ms: 0 });
	const tooltip = ({ count, p50_ms, p99_ms }) =>
		count
			? __("{0} calls, median {1}, 99th percentile {2}", [
					memora.jobs.format_count(count),
					memora.format.milliseconds(p50_ms),
					memora.format.milliseconds(p99_ms),
				])
			: __("no calls");
	memora.charts.latency_tooltips = new Map(
		slots.map(({ label }, index) => [label, `${label}: ${tooltip(values[index])}`])
	);
	const above = values.map(({ p50_ms, p99_ms }) => p99_ms - p50_ms);
	return {
		type: "bar",
		height: 220,
		colors: ["#318AD8", "#BFDDF7"],
		barOptions: { stacked: 1, spaceRatio: 0.2 },
		tooltipOptions: {
			formatTooltipX: (label) =>
				frappe.utils.escape_html(memora.charts.latency_tooltips.get(label)),
		},
		data: {
			labels: slots.map(({ label }) => label),
			datasets: [
				{ name: __("Median"), values: values.map(({ p50_ms }) => p50_ms) },
				{ name: __("99th Percentile"), values: above },
			],
		},
	};
};

// The slots of the last 24 hours, oldest first, with a call's figures.
memora.charts.slots = ({ time, latency }, call) => {
	const { SLOTS, SLOT_MINUTES } = memora.charts;
	const minute = (text) => Date.parse(`${text.slice(0, 16).replace(" ", "T")}Z`) / 60000;
	const found = new Map(latency.series.map((slot) => [minute(slot.at), slot.calls[call]]));
	const newest = minute(latency.series.at(-1).at);
	const last =
		newest + Math.max(0, Math.floor((minute(time) - newest) / SLOT_MINUTES)) * SLOT_MINUTES;
	return Array.from({ length: SLOTS }, (_, index) => {
		const began = last - (SLOTS - 1 - index) * SLOT_MINUTES;
		const text = new Date(began * 60000).toISOString().slice(0, 19).replace("T", " ");
		return { label: memora.format.time(text, "HH:mm"), found: found.get(began) };
	});
};

// What reconciliations of a season found: the share that differed, between its bounds.
memora.charts.discrepancies = (found, alarming_percent) => ({
	type: "line",
	height: 300,
	colors: ["#A6B1B9", "#318AD8", "#A6B1B9"],
	lineOptions: { dotSize: 3, showDots: 1 },
	axisOptions: { yAxisRange: { min: 0 } },
	tooltipOptions: { formatTooltipY: memora.format.percent },
	data: {
		labels: found.map(({ at }) => memora.format.time(at, "D MMM HH:mm")),
		datasets: [
			{ name: __("At Most"), values: found.map(({ high_percent }) => high_percent) },
			{ name: __("Differing"), values: found.map(({ percent }) => percent) },
			{ name: __("At Least"), values: found.map(({ low_percent }) => low_percent) },
		],
		yMarkers: [{ label: __("Alarm"), value: alarming_percent, options: { labelPos: "left" } }],
	},
});
