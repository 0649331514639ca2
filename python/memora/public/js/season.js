// A season's state and numbers, for its list, its form and the SRS Monitor. hooks.py adds this file.
frappe.provide("memora.seasons");

// The label and the colour of a season's state. `seen` is the season that students see.
memora.seasons.state = ({ name, is_active, archive_status }, seen) => {
	if (archive_status === "Archiving") return [__("Archiving"), "blue"];
	if (archive_status) return [__("Archived"), "gray"];
	if (!is_active) return [__("Not Active"), "yellow"];
	return seen === name
		? [__("Seen by Students"), "green"]
		: [__("Active, but Not Seen"), "orange"];
};

// A number; rounded and with "about" if it is an estimate; a dash if it is unknown.
memora.seasons.count = (number, is_estimated) => {
	if (number === null || number === undefined) return "–";
	return is_estimated
		? __("about {0}", [memora.seasons.rounded(number)])
		: memora.jobs.format_count(number);
};

memora.seasons.rounded = (number) =>
	memora.jobs.format_count(Number(Number(number).toPrecision(3)));

// A season's state (see get_season_summary), as HTML for a section of its form.
memora.seasons.summary = (season, summary) => {
	const [label, colour] = memora.seasons.state(season, summary.seen_season);
	const cell = (title, value, note = "") => memora.html`
		<div class="col-6 col-md-4" style="margin-bottom: var(--margin-md)">
			<div class="text-muted small">${title}</div>
			<div>${value}</div>
			<div class="text-muted small">${note}</div>
		</div>`;
	const other =
		season.is_active && summary.seen_season && summary.seen_season !== season.name
			? __("Students see {0}", [summary.seen_season])
			: "";
	const state = cell(__("State"), memora.seasons.pill(label, colour), other);
	const count = memora.seasons.count;
	const cells =
		summary.archive?.step === "done"
			? [
					state,
					cell(__("Records in the Archive"), count(summary.records)),
					cell(__("Archived"), memora.format.relative_time(summary.archive.finished_at)),
				]
			: [
					state,
					cell(__("Records"), count(summary.records, summary.are_records_estimated)),
					cell(__("Students"), count(summary.students, summary.are_students_estimated)),
					cell(__("Size on Disk"), memora.seasons.size(summary.disk_mb)),
					memora.seasons.cached(season, summary, cell),
					cell(__("Archive"), ...memora.seasons.archive(summary)),
				];
	return memora.html`
		<div class="row">${cells}</div>
		${memora.seasons.jobs(season.name, summary.jobs)}`;
};

memora.seasons.size = (megabytes) =>
	megabytes === null ? "–" : __("about {0}", [memora.format.megabytes(megabytes)]);

memora.seasons.cached = ({ enable_redis, archive_status }, summary, cell) => {
	const title = __("In the Cache");
	if (archive_status) return cell(title, "–");
	if (!enable_redis) return cell(title, __("Not Used"), __("Reads come from the database"));
	if (summary.cached_students === null) return cell(title, __("Out of Reach"));
	const count = memora.jobs.format_count(summary.cached_students);
	return cell(
		title,
		summary.cached_students === 1 ? __("1 student") : __("{0} students", [count]),
		summary.cached_students ? memora.seasons.size(summary.cached_mb) : ""
	);
};

// The state of a season's archive, and a note.
memora.seasons.archive = ({ archive }) => {
	if (!archive) return [__("Not Archived")];
	const steps = {
		copying: __("Copying records"),
		verifying: __("Comparing records with their copies"),
		freeing: __("Freeing the partition"),
		clearing: __("Clearing the cache"),
	};
	const of = __("{0} of about {1} records", [
		memora.jobs.format_count(archive.done),
		memora.jobs.format_count(archive.total),
	]);
	return [steps[archive.step], archive.is_running ? of : __("{0}, interrupted", [of])];
};

memora.seasons.jobs = (season, jobs) => {
	if (!jobs.length) return memora.html`<p class="text-muted small">${__("No job yet")}</p>`;
	const row = (job) => memora.html`
		<div class="memora-job" style="padding: var(--padding-sm) 0; border-top: 1px solid var(--border-color)">
			<div class="d-flex justify-content-between">
				<span>
					<a href="/app/srs-job/${encodeURIComponent(job.name)}">${__(job.kind)}</a>
					${memora.seasons.pill(__(job.status), memora.jobs.colour(job))}
				</span>
				<span class="text-muted small">
					${memora.format.relative_time(job.finished_at || job.started_at)}
				</span>
			</div>
			<div class="text-muted small">
				<bdi>${memora.jobs.is_running(job) ? memora.jobs.progress_text(job) : job.message}</bdi>
			</div>
		</div>`;
	return memora.html`
		<div class="small" style="margin-bottom: var(--margin-xs)">
			<span class="text-muted">${__("Last Jobs")} ·</span>
			<a href="/app/srs-job?season=${encodeURIComponent(season)}">${__("All Jobs")}</a>
		</div>
		${jobs.map(row)}`;
};

memora.seasons.pill = (label, colour) =>
	memora.html`<span class="indicator-pill ${colour} no-indicator-dot">${label}</span>`;

// The SRS Monitor's text if no season is left to show. The page handles its buttons.
memora.seasons.when_none = ({ seasons }) => {
	const button = (action, label, style) => memora.html`
		<button class="btn btn-sm ${style}" data-action="${action}">${label}</button>`;
	const text = seasons.length
		? __("All seasons are archived: students see nothing until a season is active.")
		: __("No season yet. Students see the questions of the active season.");
	if (!frappe.model.can_create("Game Subscription Season")) return text;
	return memora.html`
		${text}
		<div>
			${button("new-season", __("New Season"), "btn-primary")}
			${seasons.length ? "" : button("demo", __("Try It with Demo Data"), "btn-default")}
		</div>`;
};
