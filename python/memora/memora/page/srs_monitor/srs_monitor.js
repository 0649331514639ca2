frappe.provide("memora");

// Shows the state of cache and journal, how long students wait, the results of reconciliations, and
// the jobs.
frappe.pages["srs-monitor"].on_page_load = (wrapper) => {
	wrapper.monitor = new memora.SRSMonitor(wrapper);
};
frappe.pages["srs-monitor"].on_page_show = (wrapper) => wrapper.monitor.show();

memora.SRSMonitor = class {
	// Pauses between two polls. The short one is for a running job while socket.io is silent.
	static PAUSE_MS = 6000;
	static SHORT_PAUSE_MS = 1500;
	static CALLS = {
		"warm read": __("Warm read"),
		"cold read": __("Cold read"),
		"database read": __("Database read"),
		"safe mode read": __("Safe Mode read"),
		submit: __("Submission"),
		persistence: __("Until saved"),
	};

	constructor(wrapper) {
		const title = __("SRS Monitor");
		this.page = frappe.ui.make_app_page({ parent: wrapper, title, single_column: true });
		if (memora.jobs.can_manage())
			this.page.add_inner_button(__("Reconcile All Seasons"), () =>
				memora.jobs.prompt_reconciliation(null, () => this.poll_now())
			);
		this.page.add_inner_button(__("All Jobs"), () => frappe.set_route("List", "SRS Job"));
		memora.demo_data.add_to_menu(this.page, () => this.poll_now());
		this.root = this.page.main[0];
		this.root.classList.add("srs-monitor");
		this.root.innerHTML = this.skeleton().text;
		this.root.addEventListener("click", (event) => this.on_click(event));
		this.root.addEventListener("change", () => this.show_all());
		this.monitor = null;
		this.charts = {};
		this.forecast = new memora.forecast.Card(this);
		this.polled_at = this.progress_at = 0;
		frappe.realtime.on("memora_job", (job) => this.on_progress(job));
		setInterval(() => this.poll_if_due(), 500);
		window.addEventListener("resize", () => {
			if (this.monitor && this.is_shown()) this.show_discrepancies();
		});
	}

	skeleton() {
		const card = (name, title, body) => memora.html`
			<section class="srs-card srs-${name}">
				<header>
					<h4>${title}</h4>
					<select class="form-control input-xs" aria-label="${title}" hidden></select>
				</header>
				${body}
			</section>`;
		const table = (...heads) => memora.html`
			<div class="srs-table"><table>
				<thead><tr>${heads.map((head) => memora.html`<th>${head}</th>`)}</tr></thead>
				<tbody></tbody>
			</table></div>`;
		const tile = memora.html`<div class="srs-tile"></div>`;
		const empty = memora.html`<p class="srs-empty text-muted" hidden></p>`;
		const chart = memora.html`<p class="srs-summary"></p><div class="srs-chart"></div>`;
		const differences = __("Differences between Cache and Database");
		return memora.html`
			<div class="srs-message red" role="alert" hidden></div>
			<div class="srs-loading text-muted">${__("Loading...")}</div>
			<div class="srs-content" hidden>
				<div class="srs-tiles">${Array(6).fill(tile)}</div>
				<div class="srs-message orange" role="status" hidden></div>
				${card("seasons", __("Seasons"), [
					table(__("Season"), __("State"), __("Cached Schedules"), __("Memory"), ""),
					empty,
				])}
				${card("forecast", __("Forecast"), [empty, chart])}
				${card("latency", __("Latency"), [
					table(__("Last Hour"), __("Calls"), __("Median"), __("99th Percentile")),
					empty,
					chart,
				])}
				${card("discrepancies", differences, [empty, chart])}
				${card("jobs", __("Jobs"), [
					table(__("Job"), __("Season"), __("Status"), __("Result"), __("When"), ""),
					empty,
				])}
			</div>`;
	}

	// -- polling --------------------------------------------------------------------------------
	show() {
		memora.jobs.subscribe();
		this.poll_now();
	}

	poll_now() {
		this.polled_at = 0;
		this.poll_if_due();
	}

	// Poll if the pause is over and the page is visible.
	poll_if_due() {
		if (this.is_polling || document.hidden || !this.is_shown()) return;
		const is_waiting = this.monitor?.jobs.some(memora.jobs.is_running);
		const is_quiet = Date.now() - this.progress_at > memora.jobs.POLL_AFTER_MS;
		const { PAUSE_MS, SHORT_PAUSE_MS } = memora.SRSMonitor;
		if (Date.now() - this.polled_at >= (is_waiting && is_quiet ? SHORT_PAUSE_MS : PAUSE_MS))
			this.poll();
	}

	is_shown() {
		return this.root.getClientRects().length > 0;
	}

	async poll() {
		this.is_polling = true;
		this.polled_at = Date.now();
		try {
			this.monitor = await memora.jobs.get("memora.api.srs.get_monitor");
			this.show_all();
			this.show_failure("");
		} catch (error) {
			this.show_failure(error.message);
		} finally {
			this.is_polling = false;
		}
	}

	// socket.io delivered a job's progress. Once the job has ended, everything else may have changed.
	on_progress(job) {
		if (!this.monitor) return;
		this.progress_at = Date.now();
		const known = this.monitor.jobs.find(({ name }) => name === job.name);
		if (known) Object.assign(known, job);
		else this.monitor.jobs.unshift(job);
		this.show_seasons();
		this.show_jobs();
		if (!memora.jobs.is_running(job)) this.poll_now();
	}

	on_click(event) {
		const { action, season, job } = event.target.closest("[data-action]")?.dataset ?? {};
		const poll = () => this.poll_now();
		if (action === "rebuild") memora.jobs.confirm_rebuild(season, poll);
		if (action === "reconcile") memora.jobs.prompt_reconciliation(season, poll);
		if (action === "cancel")
			memora.jobs.cancel(job, (cancelled) => this.on_progress(cancelled));
		if (action === "new-season") frappe.new_doc("Game Subscription Season");
		if (action === "demo") memora.demo_data.make(poll);
	}

	// -- showing --------------------------------------------------------------------------------
	show_all() {
		this.find(".srs-loading").hidden = true;
		this.find(".srs-content").hidden = false;
		this.show_health();
		this.show_seasons();
		this.forecast.show();
		this.show_latency();
		this.show_discrepancies();
		this.show_jobs();
	}

	// The last answer stays on the page.
	show_failure(message) {
		this.set_html_or_hide(".srs-message.red", message && __("{0} Trying again.", [message]));
		this.find(".srs-loading").hidden = Boolean(message || this.monitor);
		if (message) this.page.set_indicator(__("Not up to date"), "orange");
		else this.page.clear_indicator();
	}

	show_health() {
		const { status, latency } = this.monitor;
		const { journal } = status;
		const count = (number, is_known) => (is_known ? memora.jobs.format_count(number) : "–");
		const tile = (label, value, note, colour) => memora.html`
			<div class="srs-label">${label}</div>
			<div class="srs-value">
				<span class="${colour ? `indicator ${colour}` : ""}">${value}</span>
			</div>
			<div class="srs-note text-muted">${note}</div>`;
		const tiles = [
			status.redis_connected
				? tile(__("Cache"), __("Connected"), memora.format.memory_used(status), "green")
				: tile(
						__("Cache"),
						__("Out of Reach"),
						memora.html`<bdi>${status.cause}</bdi>`,
						"red"
					),
			tile(__("Journal"), ...memora.format.journal(journal)),
			status.is_safe_mode
				? tile(
						__("Safe Mode"),
						__("On"),
						__("At most 10 questions, from the database"),
						"red"
					)
				: tile(__("Safe Mode"), __("Off"), __("Reads come from the cache"), "green"),
			tile(
				__("Waiting to Be Saved"),
				count(status.backlog, journal.reachable || status.backlog),
				...memora.format.saving(status, latency)
			),
			tile(
				__("Poison Reviews"),
				count(status.poison_reviews, true),
				this.poison_link(status.poison_reviews),
				status.poison_reviews ? "red" : ""
			),
			tile(
				__("Cached Schedules"),
				count(status.total_keys, status.redis_connected),
				__("One a student and season")
			),
		];
		const places = this.find(".srs-tiles").children;
		for (const [index, text] of tiles.entries()) memora.set_html(places[index], text);
		this.set_html_or_hide(".srs-message.orange", memora.warnings.html(this.monitor));
	}

	poison_link(count) {
		if (!memora.jobs.can_manage()) return "";
		const filter = encodeURIComponent(JSON.stringify(["is", "not set"]));
		const label = count ? __("View and replay") : __("Open the list");
		const route = `/app/poison-review?replayed_at=${filter}&dismissed_at=${filter}`;
		return memora.html`<a href="${route}">${label}</a>`;
	}

	show_seasons() {
		const { status, seasons, jobs } = this.monitor;
		const button = (action, season, label, kind) => {
			const is_busy = jobs.some(
				(job) =>
					job.season === season.name && job.kind === kind && memora.jobs.is_running(job)
			);
			return memora.html`<button class="btn btn-default btn-xs" data-action="${action}"
				data-season="${season.name}" ${is_busy ? "disabled" : ""}>${label}</button>`;
		};
		const present = seasons.filter(({ archive_status }) => archive_status !== "Archived");
		this.fill_table(
			".srs-seasons",
			present.map((season) => ({
				key: season.name,
				cells: [
					this.link("game-subscription-season", season.name, season.name),
					this.season_state(season),
					memora.jobs.format_count(status.keys_by_season[season.name]),
					memora.format.megabytes(status.memory_mb_by_season[season.name] ?? 0),
					memora.jobs.can_manage() && season.enable_redis && !season.archive_status
						? [
								button("rebuild", season, __("Rebuild Cache"), "Rebuild"),
								button("reconcile", season, __("Reconcile"), "Reconciliation"),
							]
						: "",
				],
			})),
			memora.seasons.when_none(this.monitor)
		);
	}

	season_state(season) {
		const seen = this.monitor.seasons.find(({ is_seen }) => is_seen)?.name;
		const { pill, state } = memora.seasons;
		const shown = pill(...state(season, seen));
		if (season.enable_redis || season.archive_status) return shown;
		return [shown, " ", pill(__("Not Cached"), "orange")];
	}

	show_latency() {
		const { calls, series } = this.monitor.latency;
		const { CALLS } = memora.SRSMonitor;
		const label = (call) => CALLS[call] || call;
		this.fill_table(
			".srs-latency",
			calls.map(({ call, count, p50_ms, p99_ms }) => ({
				key: call,
				cells: [
					label(call),
					memora.jobs.format_count(count),
					memora.format.milliseconds(p50_ms),
					memora.format.milliseconds(p99_ms),
				],
			})),
			series.length ? __("No calls in the last hour") : __("No calls in the last 24 hours")
		);
		const seen = new Set(series.flatMap((slot) => Object.keys(slot.calls)));
		const known = Object.keys(CALLS).filter((call) => seen.has(call));
		const options = known.map((name) => [name, label(name)]);
		const chosen = this.fill_select(".srs-latency", options);
		const summary = __(
			"{0}, last 24 hours, in milliseconds: median, and above it the 99th percentile",
			[label(chosen)]
		);
		memora.set_html(this.find(".srs-latency .srs-summary"), chosen ? summary : "");
		this.draw_chart(".srs-latency", chosen && memora.charts.latency(this.monitor, chosen));
	}

	show_discrepancies() {
		const { alarming_percent, discrepancies, seasons } = this.monitor;
		const names = seasons.map(({ name }) => name);
		const known = names.filter((name) => discrepancies.some(({ season }) => season === name));
		const chosen = this.fill_select(
			".srs-discrepancies",
			known.map((name) => [name, name])
		);
		const found = discrepancies.filter(({ season }) => season === chosen);
		this.set_html_or_hide(
			".srs-discrepancies .srs-empty",
			found.length ? "" : __("No reconciliation yet")
		);
		const last = found.at(-1);
		memora.set_html(
			this.find(".srs-discrepancies .srs-summary"),
			last ? this.discrepancy(last) : ""
		);
		// A line needs two points.
		const place = this.find(".srs-discrepancies .srs-chart");
		place.hidden = found.length < 2;
		const draw = () =>
			memora.charts.discrepancies(found, alarming_percent, place.clientWidth || 600);
		memora.set_html(place, place.hidden ? "" : draw());
	}

	discrepancy({ at, percent, low_percent, high_percent, records, is_sample }) {
		const of = is_sample
			? __("of a sample of {0} records; of all, between {1} and {2} (95% confidence)", [
					memora.jobs.format_count(records),
					memora.format.percent(low_percent),
					memora.format.percent(high_percent),
				])
			: __("of {0} records, all that were cached", [memora.jobs.format_count(records)]);
		const colour = percent > this.monitor.alarming_percent ? "red" : "green";
		return memora.html`
			<span class="indicator ${colour}"><b>${memora.format.percent(percent)}</b></span>
			${of} · ${memora.format.relative_time(at)}`;
	}

	show_jobs() {
		this.fill_table(
			".srs-jobs",
			this.monitor.jobs.map((job) => ({
				key: job.name,
				cells: [
					this.link("srs-job", job.name, __(job.kind)),
					job.season || __("All Seasons"),
					memora.seasons.pill(__(job.status), memora.jobs.colour(job)),
					memora.jobs.is_running(job)
						? this.progress(job)
						: job.message && memora.html`<bdi>${job.message}</bdi>`,
					memora.format.relative_time(job.finished_at || job.started_at),
					memora.jobs.can_be_cancelled(job) ? this.cancel_button(job) : "",
				],
			})),
			__("No job yet. Rebuild or reconcile a season, and it is shown here.")
		);
	}

	progress(job) {
		return memora.html`
			<div class="progress">
				<div class="progress-bar" role="progressbar" style="width: ${Number(job.percent)}%"
					aria-valuenow="${job.percent}" aria-valuemin="0" aria-valuemax="100"></div>
			</div>
			<div class="srs-note text-muted">${memora.jobs.progress_text(job)}</div>`;
	}

	cancel_button({ name, cancel_requested }) {
		const label = cancel_requested ? __("Cancelling") : __("Cancel");
		return memora.html`<button class="btn btn-default btn-xs" data-action="cancel"
			data-job="${name}" ${cancel_requested ? "disabled" : ""}>${label}</button>`;
	}

	// -- pieces -----------------------------------------------------------------------------------
	find(selector) {
		return this.root.querySelector(selector);
	}

	set_html_or_hide(selector, value) {
		const element = this.find(selector);
		memora.set_html(element, value);
		element.hidden = !value;
	}

	// Fill a card's table with rows, or show a text when there are none. A row keeps its element as
	// long as its key exists.
	fill_table(card, rows, when_empty) {
		const body = this.find(`${card} tbody`);
		const heads = this.root.querySelectorAll(`${card} th`);
		const gone = new Map([...body.rows].map((row) => [row.dataset.key, row]));
		rows.forEach(({ key, cells }, index) => {
			const row = gone.get(key) ?? document.createElement("tr");
			gone.delete(key);
			row.dataset.key = key;
			cells.forEach((cell, column) => {
				const place = row.cells[column] ?? row.insertCell();
				place.dataset.label = heads[column].textContent;
				memora.set_html(place, cell);
			});
			if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
		});
		for (const row of gone.values()) row.remove();
		this.find(`${card} .srs-table`).hidden = !rows.length;
		this.set_html_or_hide(`${card} .srs-empty`, rows.length ? "" : when_empty);
	}

	// Fill a card's select, which is hidden unless there is a choice, and return its value.
	fill_select(card, options) {
		const select = this.find(`${card} select`);
		const before = select.value;
		memora.set_html(
			select,
			options.map(([value, label]) => memora.html`<option value="${value}">${label}</option>`)
		);
		if (options.some(([value]) => value === before)) select.value = before;
		select.hidden = options.length < 2;
		return select.value;
	}

	// Draw a card's chart, or hide it without options.
	draw_chart(card, options) {
		const place = this.find(`${card} .srs-chart`);
		place.hidden = !options;
		if (!options) return;
		const text = JSON.stringify(options.data);
		const drawn = this.charts[card];
		if (drawn?.text === text) return;
		if (drawn) drawn.chart.update(options.data);
		const axisOptions = { xIsSeries: 1, xAxisMode: "tick", shortenYAxisNumbers: 1 };
		const still = { animate: 0, disableEntryAnimation: 1 };
		const chart =
			drawn?.chart ?? new frappe.Chart(place, { ...still, ...options, axisOptions });
		this.charts[card] = { chart, text };
	}

	link(doctype, name, label) {
		return memora.html`<a href="/app/${doctype}/${encodeURIComponent(name)}">${label}</a>`;
	}
};
