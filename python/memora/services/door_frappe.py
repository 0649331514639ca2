"""Whether this process runs a Frappe whose steps the door (`memora.wsgi`) follows.

The door stands for a part of Frappe's code. So it answers only if that code is the one with which
it was compared, by the text of each function that a student's call runs through. A later Frappe, or
an app that patches one of them, makes everything fall through.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
from types import CodeType
from typing import Any, Final

from memora.services.door_rules import VERSION_15, VERSION_16, Version

# What a student's call runs through, in docs/door.md step by step.
FOLLOWED: Final = """
frappe init connect get_hooks is_whitelisted call get_newargs get_cached_doc get_cached_value
frappe.app application init_request make_form_dict sync_database run_after_request_hooks
frappe.app process_response set_cors_headers log_request after_response_wrapper
frappe.auth HTTPRequest.__init__ HTTPRequest.set_request_ip HTTPRequest.set_cookies
frappe.auth HTTPRequest.set_session HTTPRequest.set_lang HTTPRequest.validate_csrf_token
frappe.auth LoginManager.__init__ LoginManager.get_user_info LoginManager.set_user_info
frappe.auth LoginManager.make_session LoginManager.clear_active_sessions
frappe.auth CookieManager.init_cookies CookieManager.set_cookie CookieManager.flush_cookies
frappe.auth validate_ip_address validate_auth validate_auth_via_hooks
frappe.sessions Session.__init__ Session.resume Session.validate_user Session.get_session_record
frappe.sessions Session.get_session_data Session.get_session_data_from_cache Session.update
frappe.sessions get_expiry_in_seconds get_expiry_period
frappe.translate get_language get_user_lang
frappe.recorder record dump
frappe.monitor start stop get_trace_id
frappe.rate_limiter apply update
frappe.integrations.oauth2 set_cors_for_privileged_requests
frappe.api handle
frappe.api.v1 handle_rpc_call
frappe.handler handle execute_cmd is_valid_http_method
frappe.core.doctype.server_script.server_script_utils get_server_script_map
frappe.core.doctype.user.user get_restricted_ip_list
frappe.utils.response build_response as_json make_logs _make_logs_v1 json_handler
frappe.utils.redis_wrapper RedisWrapper.make_key RedisWrapper.get_value RedisWrapper.hget
"""
# The fingerprints of the versions that tests/app/door_differential.py was run against.
COMPARED: Final[dict[str, Version]] = {
    # Frappe 15.55.1
    "128e918649b822dd85684590b9a2f644": VERSION_15,
    # Frappe 16.17
    "11f5d528e9cb0d6224a42278fca91c62": VERSION_16,
}
# Of a site's configuration: a fingerprint with which an operator has compared the door, and the
# version whose rules it has: "15:fingerprint".
COMPARED_HERE: Final = "memora_door_frappe"
VERSIONS: Final = {str(version.major): version for version in (VERSION_15, VERSION_16)}

Codes = tuple[CodeType | None, ...]
_fingerprints: Final[dict[Codes, str]] = {}


def followed_version(conf: Any) -> Version | None:
    """The rules of the Frappe that this process runs, None if the door does not know it.

    Args:
        conf: of the present site.
    """
    if os.environ.get("FRAPPE_SENTRY_DSN"):
        # Sentry wraps Frappe's application.
        return None
    fingerprint = fingerprint_of_frappe()
    major, _, compared = str(conf.get(COMPARED_HERE) or "").partition(":")
    if compared and compared == fingerprint:
        return VERSIONS.get(major)
    return COMPARED.get(fingerprint)


def fingerprint_of_frappe() -> str:
    """A name for the code that a student's call runs through in Frappe, as it is now."""
    codes = _codes()
    if codes not in _fingerprints:
        _fingerprints[codes] = _fingerprint(codes)
    return _fingerprints[codes]


def _codes() -> Codes:
    found: list[CodeType | None] = []
    for line in FOLLOWED.split("\n"):
        place, *names = line.split() or [""]
        if not names:
            continue
        try:
            module: Any = importlib.import_module(place)
        except ImportError:
            module = None
        for name in names:
            value: Any = module
            for part in name.split("."):
                value = getattr(value, part, None)
            # Frappe's own wrappers, of werkzeug and for after_response. Any other function that
            # wraps one of these is somebody's patch, and has another text.
            value = inspect.unwrap(value) if name == "application" else value
            found.append(getattr(value, "__code__", None))
    return tuple(found)


def _fingerprint(codes: Codes) -> str:
    text = hashlib.sha256()
    for code in codes:
        text.update(b"\0" if code is None else inspect.getsource(code).encode())
    return text.hexdigest()[:32]
