// The SRS Monitor's charts. hooks.py adds this file to it.
frappe.provide("memora.charts");

memora.charts.SLOT_MINUTES = 10;
memora.charts.SLOTS = 144;

// The latency chart's tooltips by label. A chart takes new data, but keeps its first options, so the
// tooltips are looked up here, where each poll writes them.
memora.charts.latency_tooltips = new Map();

// A call's latency in the last 24 hours, as options of frappe.Chart: for each ten minutes a bar of
// the median, and on top of it the rest of the 99th percentile. Times without calls have no bar.
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
	const { minute } = memora.charts;
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

// The results of a season's reconciliations, as SVG of this width: a point for each, with samples
// and whole runs on separate lines. A sample has a bar from bound to bound. Frappe Charts has neither
// error bars nor lines with gaps.
memora.charts.discrepancies = (found, alarming_percent, width) => {
	const [height, left, right, top, bottom] = [240, 56, 12, 16, 28];
	const most = Math.max(alarming_percent, ...found.map(({ high_percent }) => high_percent));
	const step = memora.charts.step(most / 4);
	const highest = Math.ceil((most * 1.05) / step) * step;
	const times = found.map(({ at }) => memora.charts.minute(at));
	const [first, last] = [Math.min(...times), Math.max(...times)];
	const round = (number) => Math.round(number * 10) / 10;
	const x = (minute) =>
		round(left + ((width - left - right) * (minute - first)) / (last - first || 1));
	const y = (percent) => round(top + (height - top - bottom) * (1 - percent / highest));
	const line = (name, x1, y1, x2, y2) => memora.html`
		<line class="srs-${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"></line>`;
	const text = (at_x, at_y, anchor, value) => memora.html`
		<text x="${at_x}" y="${at_y}" text-anchor="${anchor}">${value}</text>`;
	const steps = Array.from(
		{ length: Math.round(highest / step) + 1 },
		(_, index) => index * step
	);
	const points = found.map((each, index) => ({
		...each,
		x: x(times[index]),
		y: y(each.percent),
	}));
	const series = (name, mark, those) => memora.html`
		<g class="srs-${name}">
			<polyline points="${those.map((point) => `${point.x},${point.y}`).join(" ")}"></polyline>
			${those.map(
				(point) => memora.html`
				<g><title>${memora.charts.discrepancy(point)}</title>
				${name === "sample" ? line("bounds", point.x, y(point.low_percent), point.x, y(point.high_percent)) : ""}
				${mark(point.x, point.y)}</g>`
			)}
		</g>`;
	return memora.html`
		<svg role="img" aria-label="${__("Differences between Cache and Database")}"
			width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
			${steps.map((percent) => [
				line("grid", left, y(percent), width - right, y(percent)),
				text(left - 8, y(percent) + 4, "end", memora.format.percent(percent)),
			])}
			${text(left, height - 8, "start", memora.format.time(found[0].at, "D MMM HH:mm"))}
			${text(width - right, height - 8, "end", memora.format.time(found.at(-1).at, "D MMM HH:mm"))}
			${line("alarm", left, y(alarming_percent), width - right, y(alarming_percent))}
			${series(
				"sample",
				memora.charts.circle,
				points.filter((point) => point.is_sample)
			)}
			${series(
				"whole",
				memora.charts.square,
				points.filter((point) => !point.is_sample)
			)}
		</svg>
		${memora.charts.legend(points)}`;
};

memora.charts.circle = (x, y) => memora.html`<circle cx="${x}" cy="${y}" r="4"></circle>`;

memora.charts.square = (x, y) =>
	memora.html`<rect x="${x - 4}" y="${y - 4}" width="8" height="8"></rect>`;

// The legend of the lines and marks that are shown.
memora.charts.legend = (points) => {
	const key = (name, mark, label) => memora.html`
		<span class="srs-key"><svg width="28" height="14" aria-hidden="true">
			<g class="srs-${name}"><polyline points="0,7 28,7"></polyline>${mark}</g>
		</svg>${label}</span>`;
	const { circle, square } = memora.charts;
	const bar = memora.html`<line class="srs-bounds" x1="14" y1="0" x2="14" y2="14"></line>`;
	const keys = [
		points.some(({ is_sample }) => is_sample) &&
			key("sample", [bar, circle(14, 7)], __("Sample, with its 95% confidence")),
		points.some(({ is_sample }) => !is_sample) &&
			key("whole", square(14, 7), __("All that was cached")),
		key("alarm", "", __("Alarm")),
	];
	return memora.html`<div class="srs-legend">${keys.filter(Boolean)}</div>`;
};

// The result of one reconciliation, in a line.
memora.charts.discrepancy = ({ at, percent, low_percent, high_percent, records, is_sample }) => {
	const values = [
		memora.format.time(at, "D MMM HH:mm"),
		memora.format.percent(percent),
		memora.jobs.format_count(records),
	];
	return is_sample
		? __("{0}: {1} of a sample of {2} records; of all, between {3} and {4}", [
				...values,
				memora.format.percent(low_percent),
				memora.format.percent(high_percent),
			])
		: __("{0}: {1} of {2} records, all that were cached", values);
};

// A step of 1, 2 or 5 times a power of ten, at least this.
memora.charts.step = (least) => {
	const power = 10 ** Math.floor(Math.log10(least));
	return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
};

// A moment of the server in minutes since 1970, as if its time zone were UTC.
memora.charts.minute = (text) => Date.parse(`${text.slice(0, 16).replace(" ", "T")}Z`) / 60000;
