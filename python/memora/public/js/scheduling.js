// A season's last training, and the comparison of schedulers, in its form. hooks.py adds this file.
frappe.provide("memora.scheduling");

// Train on a season's answers, once confirmed. `callback` gets the name of the job.
memora.scheduling.confirm_training = (season, callback) =>
	frappe.confirm(
		[
			__("Train FSRS on the answers of {0}?", [`<b>${frappe.utils.escape_html(season)}</b>`]),
			__("It looks for parameters that predict these students better."),
			__("They are used only if answers that training does not see prove it."),
		].join(" "),
		() =>
			memora.jobs.call("memora.api.srs.request_training", { season }, ({ job }) => {
				frappe.show_alert(__("The training is queued. Its progress is shown here."));
				callback(job);
			})
	);

// The result of the last training, as HTML for a section of the form: a row for the season, and one
// for each subject with a ladder of its own.
memora.scheduling.training = ({ at, found }) => {
	const figures = ({ before, after }, name) =>
		before && after
			? memora.html`${memora.scheduling.figure(before[name])} → ${memora.scheduling.figure(after[name])}`
			: "–";
	const result = ({ after, is_used }) => {
		if (!after) return [__("Too Few Answers"), "gray"];
		return is_used ? [__("Used"), "green"] : [__("Not Better"), "yellow"];
	};
	const row = (each) => memora.html`
		<tr>
			<td><bdi>${each.subject ?? __("Questions without a Row")}</bdi></td>
			<td>${memora.jobs.format_count(each.answers)}</td>
			<td dir="ltr">${figures(each, "log_loss")}</td>
			<td dir="ltr">${figures(each, "rmse_of_bins")}</td>
			<td dir="ltr">${figures(each, "auc")}</td>
			<td>${memora.seasons.pill(...result(each))}</td>
		</tr>`;
	const heads = [
		__("Subject"),
		__("Answers"),
		__("Log Loss"),
		"RMSE(bins)",
		"AUC",
		__("Parameters"),
	];
	return memora.html`
		<p class="text-muted small">
			${__("How well answers are predicted that training did not see, before and after: a lower log loss and RMSE and a higher AUC are better.")}
			${memora.format.relative_time(at)}
		</p>
		${memora.scheduling.table("memora-training", heads, found.map(row))}`;
};

// How well a prediction fits, in three digits.
memora.scheduling.figure = (value) => Number(value).toFixed(3);

memora.scheduling.table = (name, heads, rows) => memora.html`
	<div class="table-responsive">
		<table class="table table-sm ${name}">
			<thead><tr>${heads.map((head) => memora.html`<th>${head}</th>`)}</tr></thead>
			<tbody>${rows}</tbody>
		</table>
	</div>`;

// The name of a scheduler.
memora.scheduling.way = ({ retention }) =>
	retention === null
		? __("Ladder, as Set")
		: __("FSRS, {0}", [memora.format.percent(100 * retention)]);

// The scheduler report (see get_scheduler_report), as HTML with a place for a chart.
memora.scheduling.report = (report) => {
	const count = (number) => memora.format.number(number, 0);
	const row = (way) => memora.html`
		<tr>
			<td><bdi>${memora.scheduling.way(way)}</bdi></td>
			<td>${count(way.reviews_a_day)}</td>
			<td>${count(way.busiest_day)}</td>
			<td>${memora.format.percent(Math.round(100 * way.right))}</td>
			<td>${__("{0} of {1}", [count(way.known), count(report.questions)])}</td>
		</tr>`;
	const heads = [
		__("Scheduler"),
		__("Reviews a Day"),
		__("Busiest Day"),
		__("Right Answers"),
		__("Known at the End"),
	];
	const memory = report.is_trained
		? __("The student remembers as the trained parameters say.")
		: __("The student remembers as FSRS expects of learners on average.");
	return memora.html`
		<p class="text-muted small">
			${__("A student with {0} questions in {1} days, simulated.", [
				memora.jobs.format_count(report.questions),
				memora.jobs.format_count(report.days),
			])}
			${report.message} ${memora.scheduling.answering(report)} ${memory}
		</p>
		<div class="memora-chart"></div>
		${memora.scheduling.table("memora-ways", heads, report.ways.map(row))}`;
};

memora.scheduling.answering = ({ is_assumed, right, fast, slow }) =>
	is_assumed
		? ""
		: __("{0} of them are right; of these, {1} are fast and {2} slow.", [
				...[right, fast, slow].map((share) =>
					memora.format.percent(Math.round(100 * share))
				),
			]);

// The reviews a day in each week, a line for each scheduler, as options of frappe.Chart.
memora.scheduling.chart = ({ ways }) => ({
	type: "line",
	height: 240,
	animate: 0,
	disableEntryAnimation: 1,
	colors: ["#CB8A14", "#89C4F4", "#318AD8", "#1F4E79"],
	lineOptions: { hideDots: 1 },
	axisOptions: { xIsSeries: 1, xAxisMode: "tick", shortenYAxisNumbers: 1 },
	data: {
		labels: ways[0].weeks.map((_, index) => __("Week {0}", [index + 1])),
		datasets: ways.map((way) => ({
			name: memora.scheduling.way(way),
			values: way.weeks.map((reviews) => Math.round(10 * reviews) / 10),
		})),
	},
});

// Compare the schedulers of a season in a section of its form, in place of an earlier comparison.
memora.scheduling.compare = async (frm) => {
	const season = frm.doc.name;
	let report;
	try {
		report = await memora.jobs.get("memora.api.srs.get_scheduler_report", { season });
	} catch (error) {
		frappe.msgprint(frappe.utils.escape_html(error.message));
		return;
	}
	if (frm.doc.name !== season || window.cur_frm !== frm) return;
	document.querySelector(".memora-comparison")?.closest(".form-dashboard-section").remove();
	const html = memora.html`<div class="memora-comparison">${memora.scheduling.report(report)}</div>`;
	frm.dashboard.add_section(html.text, __("Schedulers Compared"));
	frm.dashboard.show();
	const place = document.querySelector(".memora-comparison .memora-chart");
	new frappe.Chart(place, memora.scheduling.chart(report));
	place.scrollIntoView({ block: "center" });
};
