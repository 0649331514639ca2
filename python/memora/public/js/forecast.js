// The SRS Monitor's forecast: about how many reviews of a season are due on each of the next days.
// hooks.py adds this file to it.
frappe.provide("memora.forecast");

memora.forecast.Card = class {
	// How long an estimate is shown: the next one would be from other students.
	static PAUSE_MS = 5 * 60000;
	static SELECTOR = ".srs-forecast";

	constructor(monitor) {
		this.monitor = monitor;
		this.asked_at = 0;
	}

	// Show the chosen season. Ask again if the season has changed or the answer is old, and with each
	// poll while there is no forecast.
	show() {
		const { SELECTOR, PAUSE_MS } = memora.forecast.Card;
		const { seasons } = this.monitor.monitor;
		const cached = seasons.filter((each) => each.enable_redis && !each.archive_status);
		// The season that students see is the first choice.
		cached.sort((one, other) => other.is_seen - one.is_seen);
		const season = this.monitor.fill_select(
			SELECTOR,
			cached.map(({ name }) => [name, name])
		);
		const is_other = season !== this.season;
		const pause = this.found?.days.length ? PAUSE_MS : 0;
		this.season = season;
		if (!season) this.draw(null, __("No season uses the cache."));
		else if (is_other || Date.now() - this.asked_at >= pause) this.ask(season, is_other);
	}

	async ask(season, is_other) {
		if (this.is_asking === season) return;
		this.is_asking = season;
		this.asked_at = Date.now();
		if (is_other) this.draw(null, __("Loading..."));
		let [found, message] = [null, ""];
		try {
			found = await memora.jobs.get("memora.api.srs.get_season_forecast", { season });
			message = found.days.length ? "" : found.message;
		} catch (error) {
			message = error.message;
		}
		if (this.is_asking === season) this.is_asking = null;
		// Another season may have been chosen meanwhile.
		if (this.season === season) this.draw(found, message);
	}

	// A forecast, or a message in its place.
	draw(found, message) {
		const { SELECTOR } = memora.forecast.Card;
		this.found = found;
		this.monitor.set_html_or_hide(`${SELECTOR} .srs-empty`, message);
		const summary = message ? "" : memora.forecast.summary(found);
		memora.set_html(this.monitor.find(`${SELECTOR} .srs-summary`), summary);
		const has_chart = !message && found.total > 0;
		this.monitor.draw_chart(SELECTOR, has_chart ? memora.forecast.chart(found) : null);
	}
};

memora.forecast.summary = ({ days, total, overdue, message }) => {
	const count = memora.seasons.rounded;
	const text = __("About {0} reviews in {1} days, {2} of them overdue.", [
		count(total),
		days.length,
		count(overdue),
	]);
	return memora.html`${text} <span class="text-muted">${message}</span>`;
};

// A bar for each day, as options of frappe.Chart; today's bar shows the overdue part separately.
memora.forecast.chart = ({ days, overdue }) => ({
	type: "bar",
	height: 220,
	colors: ["#CB8A14", "#318AD8"],
	barOptions: { stacked: 1, spaceRatio: 0.2 },
	data: {
		labels: days.map(({ date }) => memora.format.day(date)),
		datasets: [
			{
				name: __("Overdue"),
				values: days.map((_, index) => (index ? 0 : overdue)),
			},
			{
				name: __("Due on This Day"),
				values: days.map(({ due }, index) => (index ? due : due - overdue)),
			},
		],
	},
});
