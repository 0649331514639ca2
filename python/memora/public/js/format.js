// Figures and times as the SRS Monitor shows them. hooks.py adds this file to it.
frappe.provide("memora.format");

// Digits as Frappe writes them, in every language: 0 to 9.
memora.format.number = (value, digits) =>
	Number(value ?? 0).toLocaleString(undefined, {
		maximumFractionDigits: digits,
		numberingSystem: "latn",
	});

memora.format.percent = (value) => `${memora.format.number(value, 3)}%`;

memora.format.milliseconds = (value) =>
	__("{0} ms", [memora.format.number(value, value < 10 ? 2 : 0)]);

memora.format.megabytes = (value) => {
	if (value < 1024) return __("{0} MB", [memora.format.number(value, 1)]);
	return __("{0} GB", [memora.format.number(value / 1024, 2)]);
};

memora.format.memory_used = ({ memory_used_mb, memory_limit_mb }) => {
	const used = memora.format.megabytes(memory_used_mb);
	return memory_limit_mb
		? __("{0} of {1} used", [used, memora.format.megabytes(memory_limit_mb)])
		: __("{0} used, no limit", [used]);
};

memora.format.duration = (seconds) => {
	if (seconds < 120) return __("{0} s", [memora.format.number(seconds, 1)]);
	if (seconds < 7200) return __("{0} minutes", [memora.format.number(seconds / 60, 0)]);
	return __("{0} hours", [memora.format.number(seconds / 3600, 0)]);
};

// How safe the journal is: a word, its settings, and a colour.
memora.format.journal = ({ reachable, durable, appendonly, appendfsync, maxmemory_policy }) => {
	if (!reachable) return [__("Out of Reach"), __("New answers are kept in MariaDB"), "red"];
	const settings = appendonly
		? `appendfsync ${appendfsync}, ${maxmemory_policy}`
		: "appendonly no";
	const word = durable ? __("Durable") : __("Not Durable");
	return [word, memora.html`<bdi>${settings}</bdi>`, durable ? "green" : "orange"];
};

// The note on the number of submissions that wait to be saved, and its colour.
memora.format.saving = ({ backlog, backlog_age_seconds }, { saved_in_time_percent }) => {
	const percent = saved_in_time_percent ?? 100;
	const colour = percent < memora.format.IN_TIME_PERCENT ? "red" : "";
	if (backlog) {
		return [__("The oldest for {0}", [memora.format.duration(backlog_age_seconds)]), colour];
	}
	if (saved_in_time_percent === null) return [__("Submissions in the journal"), colour];
	const saved = __("{0} of the last hour's were saved within five minutes", [
		memora.format.percent(percent),
	]);
	return [saved, colour];
};

// This share of the submissions should be saved within five minutes.
memora.format.IN_TIME_PERCENT = 99;

// A time of the server in the user's time zone; `format` is moment's.
memora.format.time = (at, format) => frappe.datetime.convert_to_user_tz(at, false).format(format);

// A day of the site, YYYY-MM-DD, in short.
memora.format.day = (date) =>
	new Date(`${date}T00:00:00Z`).toLocaleDateString(undefined, {
		day: "numeric",
		month: "short",
		timeZone: "UTC",
		numberingSystem: "latn",
	});

memora.format.relative_time = (at) => {
	if (!at) return "";
	const { str_to_user, prettyDate } = frappe.datetime;
	return memora.html`<span title="${str_to_user(at)}">${prettyDate(at)}</span>`;
};
