// The SRS Monitor's warnings, and how to fix their causes. hooks.py adds this file to it.
frappe.provide("memora.warnings");

// All warnings; 0 if there is none.
memora.warnings.html = ({ status, scheduler, seasons }) => {
	const { journal, cache_warning } = status;
	const has_none_seen = seasons.length && !seasons.some(({ is_seen }) => is_seen);
	const warnings = [
		[journal.warning, memora.warnings.steps_to_durability(journal)],
		[cache_warning],
		[scheduler.warning],
		[has_none_seen && __("No season is active: students see no questions.")],
	];
	const shown = warnings.filter(([warning]) => warning);
	return (
		shown.length &&
		shown.map(([warning, steps]) => memora.html`<p dir="auto">${warning}</p>${steps}`)
	);
};

// The steps that fix the journal's settings on a stock bench, if they are unsafe.
memora.warnings.steps_to_durability = ({
	reachable,
	appendonly,
	appendfsync,
	maxmemory_policy,
}) => {
	const evicts = !["noeviction", ""].includes(maxmemory_policy);
	const is_safe = appendonly && ["always", ""].includes(appendfsync) && !evicts;
	if (!reachable || is_safe) return "";
	const settings = ["appendonly yes", "appendfsync always"];
	if (evicts) settings.push("maxmemory-policy noeviction");
	const code = (text) => memora.html`<code>${text}</code>`;
	const steps = [
		[
			__("In a terminal, in the bench's folder. It asks, and does all that follows:"),
			code(`bench --site ${frappe.boot.sitename} memora make-durable`),
		],
		[
			__(
				"Or by hand: set it in the running Redis. 11000 is its port on a stock bench; see redis_queue in sites/common_site_config.json. It needs no restart."
			),
			settings.map((setting) => code(`redis-cli -p 11000 CONFIG SET ${setting}`)),
		],
		[
			__(
				"Then write these lines into config/redis_queue.conf, so that they count after its next start, too. Do not restart it with the lines alone: it would start empty and lose the waiting answers."
			),
			settings.map(code),
		],
		[
			__(
				"Write the lines again after bench setup redis, and after an upgrade to another version of Frappe: they write the file as it was."
			),
		],
	];
	return memora.html`
		<details>
			<summary>${__("How to fix it, step by step")}</summary>
			<ol>${steps.map(([text, codes = ""]) => memora.html`<li>${text}${codes}</li>`)}</ol>
		</details>`;
};
