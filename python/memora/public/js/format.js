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

// A time of the server in the user's time zone; `format` is moment's.
memora.format.time = (at, format) => frappe.datetime.convert_to_user_tz(at, false).format(format);

memora.format.relative_time = (at) => {
	if (!at) return "";
	const { str_to_user, prettyDate } = frappe.datetime;
	return memora.html`<span title="${str_to_user(at)}">${prettyDate(at)}</span>`;
};
