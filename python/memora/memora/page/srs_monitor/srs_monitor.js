frappe.provide("memora");

// How cache and journal do, how long students wait, what differed, and what is done to seasons.
frappe.pages["srs-monitor"].on_page_load = (wrapper) => {
	wrapper.monitor = new memora.SRSMonitor(wrapper);
};
frappe.pages["srs-monitor"].on_page_show = (wrapper) => wrapper.monitor.show();

// HTML in which every value is escaped, but those that are such HTML themselves.
memora.HTML = class {
	constructor(text) {
		this.text = text;
	}
	static of(value) {
		if (value instanceof memora.HTML) return value.text;
		if (Array.isArray(value)) return value.map(memora.HTML.of).join("");
		return frappe.utils.escape_html(String(value ?? ""));
	}
};
memora.html = (parts, ...values) =>
	new memora.HTML(String.raw({ raw: parts }, ...values.map(memora.HTML.of)));

memora.SRSMonitor = class {
	// Pauses between two looks; shorter while a job runs of which no news come.
	static PAUSE_MS = 6000;
	static SHORT_PAUSE_MS = 1500;
	static SLOT_MINUTES = 10;
	static SLOTS = 144;
	// Administrators are notified when more differs.
	static ALARMING_PERCENT = 0.1;
	static CALLS = {
		"warm read": __("Warm read"),
		"cold read": __("Cold read"),
		"database read": __("Database read"),
		"safe mode read": __("Safe Mode read"),
		submit: __("Submit"),
	};

	constructor(wrapper) {
		const title = __("SRS Monitor");
		this.page = frappe.ui.make_app_page({ parent: wrapper, title, single_column: true });
		this.page.add_inner_button(__("Reconcile All Seasons"), () =>
			memora.jobs.ask_to_reconcile(null, () => this.ask_soon())
		);
		this.page.add_inner_button(__("All Jobs"), () => frappe.set_route("List", "SRS Job"));
		this.root = this.page.main[0];
		this.root.classList.add("srs-monitor");
		this.root.innerHTML = this.skeleton().text;
		this.root.addEventListener("click", (event) => this.clicked(event));
		this.root.addEventListener("change", () => this.show_all());
		this.charts = {};
		this.monitor = null;
		this.asked_at = this.heard_at = 0;
		frappe.realtime.on("memora_job", (job) => this.heard(job));
		setInterval(() => this.look(), 500);
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
		const empty = memora.html`<p class="srs-empty text-muted" hidden></p>`;
		const chart = memora.html`<p class="srs-summary"></p><div class="srs-chart"></div>`;
		return memora.html`
			<div class="srs-message red" role="alert" hidden></div>
			<div class="srs-loading text-muted">${__("Loading...")}</div>
			<div class="srs-content" hidden>
				<div class="srs-tiles">${Array(6).fill(memora.html`<div class="srs-tile"></div>`)}</div>
				<div class="srs-message orange" role="status" hidden></div>
				${card("seasons", __("Seasons"), [
					table(__("Season"), __("State"), __("Cached Schedules"), __("Memory"), ""),
					empty,
				])}
				${card("latency", __("Latency"), [
					table(__("Last Hour"), __("Calls"), __("Median"), __("99th Percentile")),
					empty,
					chart,
				])}
				${card("discrepancies", __("Differences between Cache and Database"), [empty, chart])}
				${card("jobs", __("Jobs"), [
					table(__("Job"), __("Season"), __("Status"), __("Result"), __("When"), ""),
					empty,
				])}
			</div>`;
	}

	// -- asking ---------------------------------------------------------------------------------
	show() {
		memora.jobs.subscribe();
		this.ask_soon();
	}

	ask_soon() {
		this.asked_at = 0;
		this.look();
	}

	// Asks when it is time to, if anybody can see the answer.
	look() {
		if (this.is_asking || document.hidden || !this.root.getClientRects().length) return;
		const is_waiting = this.monitor?.jobs.some(memora.jobs.is_running);
		const is_quiet = Date.now() - this.heard_at > memora.jobs.ASK_AFTER_MS;
		const { PAUSE_MS, SHORT_PAUSE_MS } = memora.SRSMonitor;
		if (Date.now() - this.asked_at >= (is_waiting && is_quiet ? SHORT_PAUSE_MS : PAUSE_MS))
			this.ask();
	}

	async ask() {
		this.is_asking = true;
		this.asked_at = Date.now();
		try {
			this.monitor = await memora.jobs.ask("memora.api.srs.get_monitor");
			this.show_all();
			this.show_failure("");
		} catch (error) {
			this.show_failure(error.message);
		} finally {
			this.is_asking = false;
		}
	}

	// News of one job. When it is over, all else may have changed, too.
	heard(news) {
		if (!this.monitor) return;
		this.heard_at = Date.now();
		const { jobs } = this.monitor;
		const known = jobs.find((job) => job.name === news.name);
		if (known) Object.assign(known, news);
		else jobs.unshift(news);
		this.show_seasons();
		this.show_jobs();
		if (!memora.jobs.is_running(news)) this.ask_soon();
	}

	clicked(event) {
		const { action, season, job } = event.target.closest("[data-action]")?.dataset ?? {};
		if (action === "rebuild") memora.jobs.ask_to_rebuild(season, () => this.ask_soon());
		if (action === "reconcile") memora.jobs.ask_to_reconcile(season, () => this.ask_soon());
		if (action === "cancel") memora.jobs.cancel(job, (news) => this.heard(news));
	}

	// -- showing --------------------------------------------------------------------------------
	show_all() {
		this.find(".srs-loading").hidden = true;
		this.find(".srs-content").hidden = false;
		this.show_health();
		this.show_seasons();
		this.show_latency();
		this.show_discrepancies();
		this.show_jobs();
	}

	// What was seen last stays below.
	show_failure(message) {
		this.put_or_hide(".srs-message.red", message && __("{0} Trying again.", [message]));
		this.find(".srs-loading").hidden = Boolean(message || this.monitor);
		if (message) this.page.set_indicator(__("Not up to date"), "orange");
		else this.page.clear_indicator();
	}

	show_health() {
		const { status } = this.monitor;
		const { journal } = status;
		const count = (number, is_known) => (is_known ? memora.jobs.count(number) : "–");
		const tile = (label, value, note, colour) => memora.html`
			<div class="srs-label">${label}</div>
			<div class="srs-value"><span class="${colour ? `indicator ${colour}` : ""}">${value}</span></div>
			<div class="srs-note text-muted">${note}</div>`;
		const tiles = [
			status.redis_connected
				? tile(__("Cache"), __("Connected"), this.memory_used(status), "green")
				: tile(__("Cache"), __("Out of Reach"), status.cause, "red"),
			journal.reachable
				? tile(
						__("Journal"),
						journal.durable ? __("Durable") : __("Not Durable"),
						journal.appendonly
							? `appendfsync ${journal.appendfsync}, ${journal.maxmemory_policy}`
							: "appendonly no",
						journal.durable ? "green" : "orange"
					)
				: tile(__("Journal"), __("Out of Reach"), __("Answers are saved at once"), "red"),
			status.is_safe_mode
				? tile(__("Safe Mode"), __("On"), __("At most 10 questions, from the database"), "red")
				: tile(__("Safe Mode"), __("Off"), __("Reads come from the cache"), "green"),
			tile(
				__("Waiting to Be Saved"),
				count(status.backlog, journal.reachable),
				status.backlog
					? __("The oldest for {0}", [this.duration(status.backlog_age_seconds)])
					: __("Submissions in the journal")
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
		for (const [index, text] of tiles.entries()) this.put(places[index], text);
		const warnings = [journal.warning, status.cache_warning, this.monitor.scheduler.warning];
		this.put_or_hide(".srs-message.orange", warnings.filter(Boolean).join(" "));
	}

	poison_link(count) {
		const filter = encodeURIComponent(JSON.stringify(["is", "not set"]));
		const label = count ? __("Look and replay") : __("Open the list");
		return memora.html`<a href="/app/poison-review?replayed_at=${filter}&dismissed_at=${filter}">${label}</a>`;
	}

	show_seasons() {
		const { status, seasons, jobs } = this.monitor;
		const button = (action, season, label, kind) => {
			const is_busy = jobs.some(
				(job) => job.season === season.name && job.kind === kind && memora.jobs.is_running(job)
			);
			return memora.html`<button class="btn btn-default btn-xs" data-action="${action}"
				data-season="${season.name}" ${is_busy ? "disabled" : ""}>${label}</button>`;
		};
		const present = seasons.filter(({ archive_status }) => archive_status !== "Archived");
		this.fill(
			".srs-seasons",
			present.map((season) => ({
				key: season.name,
				cells: [
					this.link("game-subscription-season", season.name, season.name),
					this.season_state(season),
					memora.jobs.count(status.keys_by_season[season.name]),
					this.megabytes(status.memory_mb_by_season[season.name] ?? 0),
					season.enable_redis && !season.archive_status
						? [
								button("rebuild", season, __("Rebuild Cache"), "Rebuild"),
								button("reconcile", season, __("Reconcile"), "Reconciliation"),
							]
						: "",
				],
			})),
			seasons.length ? __("All seasons are archived") : __("No season yet")
		);
	}

	season_state({ archive_status, is_active, is_seen, enable_redis }) {
		if (archive_status) return this.pill(__(archive_status), "gray");
		const active = is_seen
			? this.pill(__("Seen by Students"), "green")
			: this.pill(__("Active, but Not Seen"), "orange");
		const pill = is_active ? active : this.pill(__("Not Active"), "gray");
		return enable_redis ? pill : [pill, " ", this.pill(__("Not Cached"), "orange")];
	}

	show_latency() {
		const { calls, series } = this.monitor.latency;
		const { CALLS } = memora.SRSMonitor;
		const label = (call) => CALLS[call] || call;
		this.fill(
			".srs-latency",
			calls.map(({ call, count, p50_ms, p99_ms }) => ({
				key: call,
				cells: [
					label(call),
					memora.jobs.count(count),
					this.milliseconds(p50_ms),
					this.milliseconds(p99_ms),
				],
			})),
			series.length ? __("No calls in the last hour") : __("No calls in the last 24 hours")
		);
		const seen = new Set(series.flatMap((slot) => Object.keys(slot.calls)));
		const known = Object.keys(CALLS).filter((call) => seen.has(call));
		const options = known.map((name) => [name, label(name)]);
		const chosen = this.chosen(".srs-latency", options);
		this.draw_latency(chosen, label(chosen));
	}

	// Two bars on each other for each ten minutes; none where nobody called.
	draw_latency(call, label) {
		const slots = call ? this.slots(call) : [];
		const values = slots.map(({ found }) => found ?? { count: 0, p50_ms: 0, p99_ms: 0 });
		const told = ({ count, p50_ms, p99_ms }) =>
			count
				? __("{0} calls, median {1}, 99th percentile {2}", [
						memora.jobs.count(count),
						this.milliseconds(p50_ms),
						this.milliseconds(p99_ms),
					])
				: __("no calls");
		this.told = new Map(
			slots.map(({ label }, index) => [label, `${label}: ${told(values[index])}`])
		);
		this.put(
			this.find(".srs-latency .srs-summary"),
			call
				? __("{0}, last 24 hours, in milliseconds: median, and above it the 99th percentile", [
						label,
					])
				: ""
		);
		const above = values.map(({ p50_ms, p99_ms }) => p99_ms - p50_ms);
		const options = {
			type: "bar",
			height: 220,
			colors: ["#318AD8", "#BFDDF7"],
			barOptions: { stacked: 1, spaceRatio: 0.2 },
			tooltipOptions: { formatTooltipX: (label) => frappe.utils.escape_html(this.told.get(label)) },
			data: {
				labels: slots.map(({ label }) => label),
				datasets: [
					{ name: __("Median"), values: values.map(({ p50_ms }) => p50_ms) },
					{ name: __("99th Percentile"), values: above },
				],
			},
		};
		this.draw("latency", call && options);
	}

	// The last 24 hours, oldest first, with what was found of a call.
	slots(call) {
		const { SLOTS, SLOT_MINUTES } = memora.SRSMonitor;
		const { time, latency } = this.monitor;
		const minute = (text) => Date.parse(`${text.slice(0, 16).replace(" ", "T")}Z`) / 60000;
		const found = new Map(latency.series.map((slot) => [minute(slot.at), slot.calls[call]]));
		const newest = minute(latency.series.at(-1).at);
		const last =
			newest + Math.max(0, Math.floor((minute(time) - newest) / SLOT_MINUTES)) * SLOT_MINUTES;
		return Array.from({ length: SLOTS }, (_, index) => {
			const began = last - (SLOTS - 1 - index) * SLOT_MINUTES;
			const text = new Date(began * 60000).toISOString().slice(0, 19).replace("T", " ");
			return { label: this.time(text, "HH:mm"), found: found.get(began) };
		});
	}

	show_discrepancies() {
		const { discrepancies, seasons } = this.monitor;
		const names = seasons.map(({ name }) => name);
		const known = names.filter((name) => discrepancies.some(({ season }) => season === name));
		const chosen = this.chosen(
			".srs-discrepancies",
			known.map((name) => [name, name])
		);
		const found = discrepancies.filter(({ season }) => season === chosen);
		this.put_or_hide(
			".srs-discrepancies .srs-empty",
			found.length ? "" : __("No reconciliation yet")
		);
		const last = found.at(-1);
		this.put(this.find(".srs-discrepancies .srs-summary"), last ? this.discrepancy(last) : "");
		// One point is no line.
		this.draw("discrepancies", found.length > 1 && this.discrepancy_chart(found));
	}

	discrepancy_chart(found) {
		const { ALARMING_PERCENT } = memora.SRSMonitor;
		return {
			type: "line",
			height: 300,
			colors: ["#A6B1B9", "#318AD8", "#A6B1B9"],
			lineOptions: { dotSize: 3, showDots: 1 },
			axisOptions: { yAxisRange: { min: 0 } },
			tooltipOptions: { formatTooltipY: (value) => this.percent(value) },
			data: {
				labels: found.map(({ at }) => this.time(at, "D MMM HH:mm")),
				datasets: [
					{ name: __("At Most"), values: found.map(({ high_percent }) => high_percent) },
					{ name: __("Differing"), values: found.map(({ percent }) => percent) },
					{ name: __("At Least"), values: found.map(({ low_percent }) => low_percent) },
				],
				yMarkers: [{ label: __("Alarm"), value: ALARMING_PERCENT, options: { labelPos: "left" } }],
			},
		};
	}

	discrepancy({ at, percent, low_percent, high_percent, records, is_sample }) {
		const { ALARMING_PERCENT } = memora.SRSMonitor;
		const of = is_sample
			? __("of a sample of {0} records; of all, between {1} and {2} (95% confidence)", [
					memora.jobs.count(records),
					this.percent(low_percent),
					this.percent(high_percent),
				])
			: __("of {0} records, all that were cached", [memora.jobs.count(records)]);
		const colour = percent > ALARMING_PERCENT ? "red" : "green";
		const value = memora.html`<span class="indicator ${colour}"><b>${this.percent(percent)}</b></span>`;
		return memora.html`${value} ${of}, ${this.when(at)}`;
	}

	show_jobs() {
		this.fill(
			".srs-jobs",
			this.monitor.jobs.map((job) => ({
				key: job.name,
				cells: [
					this.link("srs-job", job.name, __(job.kind)),
					job.season || __("All Seasons"),
					this.pill(__(job.status), memora.jobs.colour(job)),
					memora.jobs.is_running(job) ? this.progress(job) : job.message,
					this.when(job.finished_at || job.started_at),
					memora.jobs.can_be_cancelled(job) ? this.cancel_button(job) : "",
				],
			})),
			__("No job yet. Rebuild or reconcile a season, and it is shown here.")
		);
	}

	progress(job) {
		return memora.html`
			<div class="progress"><div class="progress-bar" role="progressbar" aria-valuenow="${job.percent}"
				aria-valuemin="0" aria-valuemax="100" style="width: ${Number(job.percent)}%"></div></div>
			<div class="srs-note text-muted">${memora.jobs.progress(job)}</div>`;
	}

	cancel_button({ name, cancel_requested }) {
		return memora.html`<button class="btn btn-default btn-xs" data-action="cancel" data-job="${name}"
			${cancel_requested ? "disabled" : ""}>${cancel_requested ? __("Cancelling") : __("Cancel")}</button>`;
	}

	// -- pieces -----------------------------------------------------------------------------------
	find(selector) {
		return this.root.querySelector(selector);
	}

	// Write only what changed: a button stays under the pointer, a choice stays open.
	put(element, value) {
		const text = memora.HTML.of(value);
		if (element.srs_text === text) return;
		element.srs_text = text;
		element.innerHTML = text;
	}

	put_or_hide(selector, value) {
		const element = this.find(selector);
		this.put(element, value);
		element.hidden = !value;
	}

	// The rows of a card's table, or a friendly word when there are none.
	fill(card, rows, when_empty) {
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
				this.put(place, cell);
			});
			if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
		});
		for (const row of gone.values()) row.remove();
		this.find(`${card} .srs-table`).hidden = !rows.length;
		this.put_or_hide(`${card} .srs-empty`, rows.length ? "" : when_empty);
	}

	// What a card's select has chosen; it is shown when there is a choice.
	chosen(card, options) {
		const select = this.find(`${card} select`);
		const before = select.value;
		this.put(
			select,
			options.map(([value, label]) => memora.html`<option value="${value}">${label}</option>`)
		);
		if (options.some(([value]) => value === before)) select.value = before;
		select.hidden = options.length < 2;
		return select.value;
	}

	// A card's chart; without options there is nothing to draw.
	draw(card, options) {
		const place = this.find(`.srs-${card} .srs-chart`);
		place.hidden = !options;
		if (!options) return;
		const text = JSON.stringify(options.data);
		const drawn = this.charts[card];
		if (drawn?.text === text) return;
		if (drawn) drawn.chart.update(options.data);
		const axisOptions = { xIsSeries: 1, xAxisMode: "tick", ...options.axisOptions };
		const still = { animate: 0, disableEntryAnimation: 1 };
		const chart = drawn?.chart ?? new frappe.Chart(place, { ...still, ...options, axisOptions });
		this.charts[card] = { chart, text };
	}

	pill(label, colour) {
		return memora.html`<span class="indicator-pill ${colour} no-indicator-dot">${label}</span>`;
	}

	link(doctype, name, label) {
		return memora.html`<a href="/app/${doctype}/${encodeURIComponent(name)}">${label}</a>`;
	}

	when(at) {
		if (!at) return "";
		const { str_to_user, prettyDate } = frappe.datetime;
		return memora.html`<span title="${str_to_user(at)}">${prettyDate(at)}</span>`;
	}

	time(at, format) {
		return frappe.datetime.convert_to_user_tz(at, false).format(format);
	}

	number(value, digits) {
		return Number(value ?? 0).toLocaleString(undefined, { maximumFractionDigits: digits });
	}

	percent(value) {
		return `${this.number(value, 3)}%`;
	}

	milliseconds(value) {
		return __("{0} ms", [this.number(value, value < 10 ? 2 : 0)]);
	}

	megabytes(value) {
		if (value < 1024) return __("{0} MB", [this.number(value, 1)]);
		return __("{0} GB", [this.number(value / 1024, 2)]);
	}

	memory_used({ memory_used_mb, memory_limit_mb }) {
		const used = this.megabytes(memory_used_mb);
		return memory_limit_mb
			? __("{0} of {1} used", [used, this.megabytes(memory_limit_mb)])
			: __("{0} used, no limit", [used]);
	}

	duration(seconds) {
		if (seconds < 120) return __("{0} s", [this.number(seconds, 1)]);
		if (seconds < 7200) return __("{0} minutes", [this.number(seconds / 60, 0)]);
		return __("{0} hours", [this.number(seconds / 3600, 0)]);
	}
};
