// HTML in which every value is escaped. hooks.py adds this file to the SRS Monitor.
frappe.provide("memora");

// HTML text. memora.html`...` makes it and escapes each value, except values that are memora.HTML.
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

// Set an element's HTML only if it changed: focus, hover and an open select survive.
memora.set_html = (element, value) => {
	const text = memora.HTML.of(value);
	if (element.memora_html === text) return;
	element.memora_html = text;
	element.innerHTML = text;
};
