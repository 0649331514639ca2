"""The stand-in for `frappe` outside a bench: only what memora uses.

Everything has the name and does the work of its original in Frappe 15, only smaller: the database
is a real MariaDB, jobs are recorded. `make_present` connects this thread to a site and replaces
`frappe` by this module; do that before memora's modules are imported.
"""

from __future__ import annotations

import csv
import functools
import importlib
import inspect
import json
import logging
import secrets
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click
import pymysql
import pymysql.cursors
import redis
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from werkzeug.wrappers import Request, Response
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])

PLACES: Final = (
    "frappe",
    "frappe.app",
    "frappe.client",
    "frappe.commands",
    "frappe.core.doctype.server_script.server_script_utils",
    "frappe.desk.doctype.notification_log.notification_log",
    "frappe.model.document",
    "frappe.model.rename_doc",
    "frappe.sessions",
    "frappe.translate",
    "frappe.utils",
    "frappe.utils.background_jobs",
    "frappe.utils.response",
    "frappe.utils.scheduler",
    "frappe.utils.synchronization",
    "frappe.utils.user",
)
DOCTYPES: Final = Path(__file__).parents[1] / "python/memora/memora/doctype"

MANAGER: Final = "manager@school.example"

local: Final = threading.local()
__version__: Final = "15.0.0"


class _dict(dict[str, Any]):
    """A dict whose keys are attributes; a missing one is None."""

    __getattr__ = dict.get
    __setattr__ = dict.__setitem__


def __getattr__(name: str) -> Any:
    """`frappe.conf`, `db`, `flags` and `session` are those of this thread's site."""
    if name in ("conf", "db", "flags", "session"):
        return getattr(local, name)
    if name == "cache":
        return _cache(local.conf.redis_cache)
    raise AttributeError(f"the stand-in for frappe has no {name}")


# -- of the stand-in itself ---------------------------------------------------------------------


@dataclass
class Job:
    """A job as passed to `enqueue`, with the part of RQ's job that memora uses."""

    method: str | Callable[..., Any]
    queue: str
    arguments: dict[str, Any]
    job_id: str | None = None
    status: str = "queued"
    started_at: datetime | None = None

    def get_status(self) -> str:
        return self.status

    def delete(self) -> None:
        for jobs in (recorded.jobs, recorded.taken):
            if self in jobs:
                jobs.remove(self)

    def perform(self) -> None:
        """Do it, as `execute_job` does."""
        method = get_attr(self.method) if isinstance(self.method, str) else self.method
        method(**self.arguments)
        local.db.commit()


@dataclass
class Recorded:
    """What the app asked Frappe to do, and the users' roles and languages.

    `at_once` runs jobs as they come. `jobs` wait, `taken` are with a worker: RQ calls those
    started, even if the worker was killed. `sites` has the configuration of each connected site,
    `installed_apps` the apps of a site with other apps than the rest. `settings` are System
    Settings, `server_scripts` is what Frappe has as its map of them.
    """

    at_once: bool = False
    jobs: list[Job] = field(default_factory=list)
    taken: list[Job] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    server_scripts: dict[str, dict[str, str]] = field(default_factory=dict)
    sites: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    installed_apps: dict[str, list[str]] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(
        default_factory=lambda: {"manager@school.example": ["System Manager"]}
    )

    def run_jobs(self) -> None:
        """Run the jobs that wait, also those that they add."""
        while self.jobs:
            job = self.take()
            try:
                job.perform()
            finally:
                job.delete()

    def take(self) -> Job:
        """Give the next job to a worker."""
        job = self.jobs.pop(0)
        job.status, job.started_at = "started", datetime.now(timezone.utc).replace(tzinfo=None)
        self.taken.append(job)
        return job


recorded: Final = Recorded()


def make_present(
    site_config: Mapping[str, Any], user: str = "Administrator", time_zone: str = "UTC"
) -> None:
    """Make a site the present one in this thread.

    Args:
        site_config: as in site_config.json: db_name, db_password, db_host, db_port, redis_cache,
            redis_queue.
        user: the session's user.
        time_zone: of the site.
    """
    for place in PLACES:
        sys.modules[place] = sys.modules[__name__]
    local.conf = _dict(site_config)
    local.site = local.conf.db_name
    local.sites_path = local.conf.sites_path or "."
    local.site_path = str(Path(local.sites_path) / local.site)
    local.initialised = True
    recorded.sites[local.site] = site_config
    local.time_zone = time_zone
    local.db = Database()
    local.flags = _dict()
    local.response = _dict(docs=[])
    local.message_log = []
    local.session = _dict()
    set_user(user)


def create_tables(connection: pymysql.Connection[Any]) -> None:
    """Create the tables of memora's DocTypes as a new site has them
    (frappe.database.mariadb.schema)."""
    found = [json.loads(path.read_text()) for path in sorted(DOCTYPES.glob("*/*.json"))]
    doctypes = [doctype for doctype in found if not doctype.get("is_virtual")]
    with connection.cursor() as cursor:
        for doctype in [*doctypes, NOTIFICATION_LOG, USER, SCHEDULED_JOB_TYPE, ACTIVITY_LOG]:
            cursor.execute(create_statement(doctype))


def create_statement(doctype: Mapping[str, Any]) -> str:
    """CREATE TABLE of a DocType (MariaDBTable.create)."""
    fields = [field for field in doctype["fields"] if field["fieldtype"] in COLUMN_TYPES]
    indexed = [field["fieldname"] for field in fields if field.get("search_index")]
    definitions = [
        "name varchar(140) primary key",
        "creation datetime(6)",
        "modified datetime(6)",
        "modified_by varchar(140)",
        "owner varchar(140)",
        "docstatus int(1) not null default '0'",
        "idx int(8) not null default '0'",
        *(
            f"{name} varchar(140)"
            for name in ("parent", "parentfield", "parenttype")
            if doctype.get("istable")
        ),
        *(f"`{field['fieldname']}` {column_definition(field)}" for field in fields),
        *(f"`{name}` text" for name in ("_user_tags", "_comments", "_assign", "_liked_by")),
        *(f"index `{name}`(`{name}`)" for name in indexed),
        "index modified(modified)",
    ]
    return (
        f"create table `tab{doctype['name']}` ({', '.join(definitions)}) "
        "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
    )


# The columns of Frappe's own DocType that memora writes.
NOTIFICATION_LOG: Final = {
    "name": "Notification Log",
    "fields": [
        {"fieldname": "for_user", "fieldtype": "Link"},
        {"fieldname": "type", "fieldtype": "Data"},
        {"fieldname": "subject", "fieldtype": "Small Text"},
        {"fieldname": "email_content", "fieldtype": "Long Text"},
        {"fieldname": "link", "fieldtype": "Data"},
    ],
}
# The columns of a user that memora reads.
USER: Final = {"name": "User", "fields": [{"fieldname": "email", "fieldtype": "Data"}]}
# What memora reads and writes of the scheduler's jobs.
SCHEDULED_JOB_TYPE: Final = {
    "name": "Scheduled Job Type",
    "fields": [
        {"fieldname": "method", "fieldtype": "Data"},
        {"fieldname": "last_execution", "fieldtype": "Datetime"},
    ],
}
# Every action in the Desk leaves a row.
ACTIVITY_LOG: Final[dict[str, Any]] = {"name": "Activity Log", "fields": []}
COLUMN_TYPES: Final = {
    "Check": "int(1)",
    "Code": "longtext",
    "Data": "varchar(140)",
    "Date": "date",
    "Datetime": "datetime(6)",
    "Float": "decimal(21,9)",
    "Int": "int(11)",
    "Link": "varchar(140)",
    "Long Text": "longtext",
    "Percent": "decimal(21,9)",
    "Select": "varchar(140)",
    "Small Text": "text",
}


def column_definition(docfield: Mapping[str, Any]) -> str:
    """A field's column (DbColumn.get_definition)."""
    fieldtype = docfield["fieldtype"]
    definition = COLUMN_TYPES[fieldtype]
    if fieldtype == "Int" and docfield.get("length", 0) > 11:
        definition = "bigint(20)"
    if fieldtype in ("Check", "Int", "Percent", "Float"):
        definition += f" not null default {float(docfield.get('default') or 0):g}"
    elif docfield.get("default"):
        definition += f" default '{docfield['default']}'"
    return definition + (" unique" if docfield.get("unique") else "")


# -- frappe ---------------------------------------------------------------------------------------


class ValidationError(Exception):
    http_status_code = 417


class AuthenticationError(Exception):
    http_status_code = 401


class PermissionError(Exception):
    http_status_code = 403


class DoesNotExistError(ValidationError):
    http_status_code = 404


class NameError(Exception):
    http_status_code = 409


class NotFound(Exception):
    http_status_code = 404


class IncorrectSitePath(NotFound):
    pass


class DuplicateEntryError(NameError):
    pass


class LinkExistsError(ValidationError):
    pass


class TimestampMismatchError(ValidationError):
    pass


class CannotChangeConstantError(ValidationError):
    pass


class TooManyRequestsError(Exception):
    http_status_code = 429


def _(message: str) -> str:
    return get_translations_from_csv(getattr(local, "lang", "en"), "memora").get(message, message)


def get_translations_from_csv(lang: str, app: str) -> dict[str, str]:
    path = Path(str(importlib.import_module(app).__file__)).parent / "translations" / f"{lang}.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            f"{row[0]}:{row[2]}" if row[2:] and row[2] else row[0]: row[1].strip()
            for row in csv.reader(file)
        }


def get_user_lang(user: str) -> str:
    return recorded.languages.get(user, "en")


@contextmanager
def print_language(language: str) -> Iterator[None]:
    before = getattr(local, "lang", "en")
    local.lang = language
    yield
    local.lang = before


def throw(message: str, exc: type[Exception] = ValidationError) -> None:
    local.message_log.append(_dict(message=message))
    raise exc(message)


def msgprint(msg: str, title: str | None = None, *, indicator: str | None = None) -> None:
    local.message_log.append(_dict(message=msg, title=title, indicator=indicator))


def set_user(username: str) -> None:
    local.session.user = username


def whitelist(methods: Sequence[str] | None = None) -> Callable[[AnyCallable], AnyCallable]:
    def mark(function: AnyCallable) -> AnyCallable:
        allowed_http_methods_for_whitelisted_func[function] = methods or [
            "GET",
            "POST",
            "PUT",
            "DELETE",
        ]
        return function

    return mark


allowed_http_methods_for_whitelisted_func: Final[dict[Callable[..., Any], Sequence[str]]] = {}


@whitelist()
def ping() -> str:
    return "pong"


def enqueue(
    method: str | Callable[..., Any],
    queue: str = "default",
    timeout: int | None = None,
    enqueue_after_commit: bool = False,
    job_id: str | None = None,
    deduplicate: bool = False,
    **arguments: Any,
) -> None:
    if deduplicate and job_id and is_job_enqueued(job_id):
        return

    def add() -> None:
        recorded.jobs.append(Job(method, queue, arguments, job_id))
        if recorded.at_once:
            recorded.run_jobs()

    if enqueue_after_commit:
        local.db.after_commit.add(add)
    else:
        add()


def is_job_enqueued(job_id: str) -> bool:
    return get_job_status(job_id) in ("queued", "started")


def get_job_status(job_id: str) -> str | None:
    job = get_job(job_id)
    return job.get_status() if job else None


def get_job(job_id: str) -> Job | None:
    """Jobs that have ended are forgotten at once here."""
    return next((job for job in [*recorded.jobs, *recorded.taken] if job.job_id == job_id), None)


_locks: Final[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)


@contextmanager
def filelock(lock_name: str, *, timeout: float = 30) -> Iterator[None]:
    """For threads; Frappe's is for processes, too."""
    if not _locks[lock_name].acquire(timeout=timeout):
        raise RuntimeError(f"Failed to aquire lock: {lock_name}")
    try:
        yield
    finally:
        _locks[lock_name].release()


def get_app_path(app: str, *joins: str) -> str:
    return str(Path(str(importlib.import_module(app).__file__)).parent.joinpath(*joins))


class Cache(redis.Redis):  # type: ignore[type-arg]
    """The part of frappe.utils.redis_wrapper.RedisWrapper that memora uses."""

    def make_key(self, key: str) -> bytes:
        return f"{local.conf.db_name}|{key}".encode()


@functools.cache
def _cache(url: str) -> Cache:
    client: Any = Cache.from_url(url)
    return client  # type: ignore[no-any-return]


def get_system_settings(key: str) -> Any:
    return recorded.settings.get(key)


def get_server_script_map() -> dict[str, dict[str, str]]:
    return recorded.server_scripts


def get_expiry_in_seconds() -> int:
    return 240 * 3600


def get_hooks(hook: str | None = None) -> Any:
    if hook is None:
        return recorded.hooks
    return recorded.hooks.get(hook, [])


def get_attr(method_string: str) -> Any:
    module, _dot, name = method_string.rpartition(".")
    return getattr(importlib.import_module(module), name)


def get_all(
    doctype: str,
    filters: Mapping[str, Any],
    fields: Sequence[str] = ("name",),
    pluck: str | None = None,
    order_by: str = "modified desc",
    limit_start: int = 0,
    limit: int = 10**9,
) -> list[Any]:
    more = f" order by {order_by} limit {limit_start}, {limit}"
    rows = local.db.sql(*select(doctype, [pluck] if pluck else fields, filters, more))
    return [row[pluck] for row in rows] if pluck else rows


def only_for(roles: Sequence[str] | str) -> None:
    wanted = {roles} if isinstance(roles, str) else set(roles)
    if local.session.user != "Administrator" and wanted.isdisjoint(get_roles()):
        raise PermissionError


def get_roles() -> list[str]:
    """Those of the session's user."""
    return recorded.roles.get(local.session.user, [])


def has_permission(doctype: str, ptype: str, throw: bool = False) -> bool:
    """By the permissions of memora's DocType for the user's roles."""
    place = doctype.lower().replace(" ", "_")
    rules = json.loads((DOCTYPES / place / f"{place}.json").read_text())["permissions"]
    roles = recorded.roles.get(local.session.user, ())
    is_allowed = local.session.user == "Administrator" or any(
        rule["role"] in roles and rule.get(ptype) for rule in rules
    )
    if throw and not is_allowed:
        raise PermissionError
    return is_allowed


def get_count(doctype: str, filters: Any = None, debug: bool = False, cache: bool = False) -> int:
    """frappe.client's, which asks for no permission."""
    return int(local.db.count(doctype, filters or {}))


def publish_realtime(
    event: str,
    message: dict[str, Any],
    room: str | None = None,
    *,
    doctype: str | None = None,
    docname: str | None = None,
) -> None:
    recorded.published.append((event, message))


def clear_document_cache(doctype: str, name: str) -> None:
    """No document is cached here."""


def init(site: str) -> None:
    """Only a site that was present before is known."""
    if site not in recorded.sites:
        raise IncorrectSitePath(f"{site} does not exist")
    if local.site != site:
        make_present(recorded.sites[site])


def get_installed_apps() -> list[str]:
    return recorded.installed_apps.get(local.site, ["frappe", "memora"])


def destroy() -> None:
    if hasattr(local, "db"):
        local.db.close()


def get_doc(doctype: str | Mapping[str, Any], name: str | None = None) -> Document:
    if isinstance(doctype, str):
        document = get_controller(doctype)({"doctype": doctype, "name": name})
        return document.load_from_db()
    return get_controller(doctype["doctype"])(doctype)


def get_controller(doctype: str) -> type[Document]:
    """The class that a DocType of memora's has for its documents."""
    place = doctype.lower().replace(" ", "_")
    module = importlib.import_module(f"memora.memora.doctype.{place}.{place}")
    return getattr(module, doctype.replace(" ", ""))  # type: ignore[no-any-return]


def get_meta(doctype: str) -> list[dict[str, Any]]:
    """The fields of a DocType of memora's that have columns."""
    return [field for field in fields_of(doctype) if field["fieldtype"] in COLUMN_TYPES]


def get_tables(doctype: str) -> list[tuple[str, str]]:
    """The tables in a DocType's form: each field, and the DocType of its rows."""
    fields = fields_of(doctype)
    tables = [field for field in fields if field["fieldtype"] == "Table"]
    return [(field["fieldname"], field["options"]) for field in tables]


def fields_of(doctype: str) -> list[dict[str, Any]]:
    place = doctype.lower().replace(" ", "_")
    found: list[dict[str, Any]] = json.loads((DOCTYPES / place / f"{place}.json").read_text())[
        "fields"
    ]
    return found


def delete_doc(
    doctype: str,
    name: str,
    force: bool = False,
    ignore_missing: bool = False,
    ignore_on_trash: bool = False,
    ignore_permissions: bool = False,
) -> None:
    """Frappe's own DocTypes have no controller here, only memora's hooks."""
    if ignore_on_trash:
        pass
    elif doctype == "User":
        run_hooks(Document({"doctype": doctype, "name": name}), "on_trash")
    else:
        get_doc(doctype, name).run_method("on_trash")
    local.db.delete(doctype, {"name": name})


def generate_hash(length: int) -> str:
    return secrets.token_hex(length)[:length]


def log_error(title: str, message: str) -> None:
    recorded.errors.append((title, message))


def logger(module: str) -> logging.Logger:
    return logging.getLogger(module)


class CallbackManager:
    """Functions that wait for an event, run once in the order they came."""

    def __init__(self) -> None:
        self.functions: Final[list[Callable[[], object]]] = []

    def add(self, function: Callable[[], object]) -> None:
        self.functions.append(function)

    def run(self) -> None:
        while self.functions:
            self.functions.pop(0)()


# As frappe.database.mariadb.database has it.
CONVERSION_MAP: Final = conversions | {FIELD_TYPE.NEWDECIMAL: float}


class Database:
    """frappe.db: one transaction after another, connected on first use."""

    OperationalError: Final = pymysql.OperationalError

    def __init__(self) -> None:
        self.after_commit: Final = CallbackManager()
        self.after_rollback: Final = CallbackManager()
        self.transaction_writes = 0
        self.connection: pymysql.Connection[pymysql.cursors.DictCursor] | None = None

    def sql(
        self, query: str, values: Sequence[Any] = (), as_dict: bool = True
    ) -> list[dict[str, Any]]:
        """Rows as dicts; Frappe's are tuples by default."""
        if self.connection is None:
            conf = local.conf
            self.connection = pymysql.connect(
                user=conf.db_user or conf.db_name,
                password=conf.db_password,
                host=conf.db_host,
                port=int(conf.db_port or 3306),
                database=conf.db_name,
                charset="utf8mb4",
                cursorclass=pymysql.cursors.DictCursor,
                conv=CONVERSION_MAP,
            )
        if query.split()[0] in ("commit", "rollback"):
            self.transaction_writes = 0
        elif query.split()[0] in ("insert", "update"):
            self.transaction_writes += 1
        with self.connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return list(cursor.fetchall())

    def commit(self) -> None:
        self.after_rollback.functions.clear()
        self.sql("commit")
        self.after_commit.run()

    def rollback(self) -> None:
        self.after_commit.functions.clear()
        self.sql("rollback")
        self.after_rollback.run()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get_value(
        self,
        doctype: str,
        filters: str | Mapping[str, Any],
        fieldname: str | Sequence[str] = "name",
        for_update: bool = False,
    ) -> Any:
        """One value of the first document found, or several as a tuple; None without one."""
        fields = [fieldname] if isinstance(fieldname, str) else fieldname
        more = " limit 1" + (" for update" if for_update else "")
        for row in self.sql(*select(doctype, fields, filters, more)):
            return (
                row[fieldname]
                if isinstance(fieldname, str)
                else tuple(row[name] for name in fields)
            )

    def exists(self, doctype: str, filters: str | Mapping[str, Any]) -> str | None:
        rows = self.sql(*select(doctype, ["name"], filters, " limit 1"))
        return rows[0]["name"] if rows else None

    def count(self, doctype: str, filters: Mapping[str, Any]) -> int:
        return len(self.sql(*select(doctype, ["name"], filters)))

    def bulk_insert(
        self, doctype: str, fields: Sequence[str], values: Iterable[Sequence[Any]]
    ) -> None:
        columns, marks = ", ".join(f"`{name}`" for name in fields), ", ".join(["%s"] * len(fields))
        for row in values:
            self.sql(f"insert into `tab{doctype}` ({columns}) values ({marks})", row)

    def delete(self, doctype: str, filters: Mapping[str, Any]) -> None:
        statement, values = select(doctype, ["name"], filters)
        self.sql(statement.replace("select `name` from", "delete from", 1), values)

    def table_exists(self, doctype: str) -> bool:
        return f"tab{doctype}" in self.get_tables()

    def get_tables(self, cached: bool = True) -> list[str]:
        """The tables of every database that the user may see, under their bare names."""
        found = self.sql("select table_name as name from information_schema.tables "
                         "where table_schema != 'information_schema'")  # fmt: skip
        return [row["name"] for row in found]

    def get_table_columns_description(self, table_name: str) -> list[dict[str, Any]]:
        statement = (
            "select column_name as name from information_schema.columns where table_name = %s"
        )
        return self.sql(statement, (table_name,))

    def set_value(
        self,
        doctype: str,
        name: str | Mapping[str, Any],
        field: str | Mapping[str, Any],
        val: Any = None,
        *,
        update_modified: bool = True,
    ) -> None:
        values = {field: val} if isinstance(field, str) else dict(field)
        if update_modified:
            values["modified"] = now()
        assignments = ", ".join(f"`{column}` = %s" for column in values)
        statement, found = select(doctype, ["name"], name)
        statement = statement.replace(
            f"select `name` from `tab{doctype}`", f"update `tab{doctype}` set {assignments}", 1
        )
        self.sql(statement, [*values.values(), *found])


def select(
    doctype: str, fields: Sequence[str], filters: str | Mapping[str, Any], more: str = ""
) -> tuple[str, list[Any]]:
    """A SELECT, and its values; it knows `("is", "not set")`, `("<", value)` and `("in",
    values)`."""
    wanted = {"name": filters} if isinstance(filters, str) else filters
    conditions, values = ["true"], []
    for name, value in wanted.items():
        if value == ("is", "not set"):
            conditions.append(f"ifnull(`{name}`, '') = ''")
            continue
        operator, value = value if isinstance(value, tuple) else ("=", value)
        conditions.append(f"`{name}` {operator} %s")
        values.append(value)
    columns = ", ".join("*" if name == "*" else f"`{name}`" for name in fields)
    return f"select {columns} from `tab{doctype}` where {' and '.join(conditions)}{more}", values


# -- frappe.model.document ------------------------------------------------------------------------


NAMED_BY: Final = {"Game Subscription Season": "season_name"}


class Document:
    """A document: its fields are attributes, a missing one is None. Controllers are derived from
    it."""

    def __init__(self, values: Mapping[str, Any], before: Document | None = None) -> None:
        self.__dict__.update(values)
        self.flags = _dict()
        self._doc_before_save = before

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def is_new(self) -> bool:
        return self._doc_before_save is None

    def load_from_db(self) -> Document:
        rows = local.db.sql(f"select * from `tab{self.doctype}` where name = %s", [self.name])
        if not rows:
            throw(f"{self.doctype} {self.name} not found", DoesNotExistError)
        self.__dict__.update(rows[0])
        for name, doctype in get_tables(self.doctype):
            found = local.db.sql(
                f"select * from `tab{doctype}` where parent = %s and parentfield = %s order by idx",
                [self.name, name],
            )
            setattr(self, name, [Document({"doctype": doctype, **row}) for row in found])
        return self

    def run_method(self, method: str) -> None:
        # Not by getattr on the document: a missing attribute is None there.
        if hasattr(type(self), method):
            getattr(self, method)()

    def insert(self, ignore_permissions: bool = False) -> Document:
        """Named by its field or at random."""
        for docfield in get_meta(self.doctype):
            if docfield.get("default") and docfield["fieldname"] not in self.__dict__:
                default = docfield["default"]
                is_text = docfield["fieldtype"] == "Data"
                setattr(self, docfield["fieldname"], default if is_text else cint(default))
        self.run_method("before_insert")
        named_by = NAMED_BY.get(self.doctype)
        self.name = getattr(self, named_by) if named_by else generate_hash(length=10)
        self.modified = self.creation = now()
        self.run_before_save_methods()
        values = {"name": self.name, "creation": self.creation, **self.get_valid_dict()}
        local.db.bulk_insert(self.doctype, list(values), [list(values.values())])
        self.run_method("after_insert")
        self.run_method("on_update")
        return self

    def save(self, ignore_permissions: bool = False) -> Document:
        self._doc_before_save = before = get_doc(self.doctype, self.name)
        # As of now, not of when the transaction began (check_if_latest).
        (latest,) = local.db.sql(
            f"select modified from `tab{self.doctype}` where name = %s for update", [self.name]
        )
        if str(latest["modified"]) != str(self.modified):
            throw("Document has been modified after you have opened it", TimestampMismatchError)
        self.modified = now()
        self.run_before_save_methods()
        for docfield in get_meta(self.doctype):
            name = docfield["fieldname"]
            if docfield.get("set_only_once") and getattr(self, name) != getattr(before, name):
                throw(f"Value cannot be changed for {docfield['label']}", CannotChangeConstantError)
        local.db.set_value(self.doctype, self.name, self.get_valid_dict(), update_modified=False)
        for name, doctype in get_tables(self.doctype):
            for row in getattr(self, name) or []:
                row.doctype = doctype
                values = row.get_valid_dict()
                if row.name:
                    local.db.set_value(doctype, row.name, values, update_modified=False)
                    continue
                row.name = generate_hash(length=10)
                values |= {"name": row.name, "parent": self.name, "parentfield": name}
                local.db.bulk_insert(doctype, list(values), [list(values.values())])
        self.run_method("on_update")
        return self

    def run_before_save_methods(self) -> None:
        """Then Frappe's own checks: the options of Select fields."""
        for method in ("before_validate", "validate", "before_save"):
            self.run_method(method)
        for docfield in get_meta(self.doctype):
            value = getattr(self, docfield["fieldname"])
            if (
                docfield["fieldtype"] == "Select"
                and value
                and value not in docfield["options"].split("\n")
            ):
                throw(f'{docfield["label"]} cannot be "{value}"')

    def get_valid_dict(self) -> dict[str, Any]:
        fields = get_meta(self.doctype)
        names = [field["fieldname"] for field in fields if field["fieldtype"] in COLUMN_TYPES]
        return {name: self.__dict__[name] for name in (*names, "modified") if name in self.__dict__}

    def get_doc_before_save(self) -> Document | None:
        return self._doc_before_save


# -- frappe.model.rename_doc, frappe.core.doctype.user.user
# -----------------------------------------


def rename_doc(doctype: str, old: str, new: str, merge: bool = False) -> str:
    """Only for a User; with merge, the old one is deleted in the end, as `frappe.delete_doc` does
    it."""
    user = Document({"doctype": doctype, "name": old})
    run_hooks(user, "before_rename", old, new, merge)
    if not merge:
        local.db.set_value(doctype, old, "name", new, update_modified=False)
    for link in get_link_fields(doctype):
        parent, fieldname = link["parent"], link["fieldname"]
        local.db.set_value(parent, {fieldname: old}, fieldname, new, update_modified=False)
    user = Document({"doctype": doctype, "name": new})
    after_rename(old, new)
    run_hooks(user, "after_rename", old, new, merge)
    if merge:
        delete_doc(doctype, old)
    return new


def run_hooks(document: Document, event: str, *arguments: Any) -> None:
    """Run memora's hooks of a document (Document.run_method)."""
    hooks = importlib.import_module("memora.hooks").doc_events.get(document.doctype, {})
    if event in hooks:
        get_attr(hooks[event])(document, event, *arguments)


def get_link_fields(doctype: str) -> list[_dict]:
    """The links of memora's DocTypes; read once in a request."""
    if not local.flags.link_fields:
        local.flags.link_fields = {}
    if doctype not in local.flags.link_fields:
        found = [json.loads(path.read_text()) for path in sorted(DOCTYPES.glob("*/*.json"))]
        local.flags.link_fields[doctype] = [
            _dict(parent=parent["name"], fieldname=field["fieldname"], issingle=0)
            for parent in found
            for field in parent["fields"]
            if field["fieldtype"] == "Link"
            and field["options"] == doctype
            and not parent.get("is_virtual")
        ]
    found_before: list[_dict] = local.flags.link_fields[doctype]
    return found_before


def after_rename(old_name: str, new_name: str) -> None:
    """User.after_rename: updates the owner in every table that has one."""
    for tab in dict.fromkeys(local.db.get_tables()):
        desc = local.db.get_table_columns_description(tab)
        for name in {d["name"] for d in desc if d["name"] in ["owner", "modified_by"]}:
            local.db.sql(
                f"update `{tab}` set `{name}` = %s where `{name}` = %s", (new_name, old_name)
            )
    local.db.set_value("User", new_name, "email", new_name)


# -- frappe.commands ------------------------------------------------------------------------------

pass_context: Final = click.pass_obj


def connect() -> None:
    """`init` has made the site the present one; the database is connected to on first use."""
    set_user("Administrator")


# -- frappe.utils.scheduler
# ---------------------------------------------------------------------------


def is_scheduler_inactive(verbose: bool = True) -> bool:
    """By the site's configuration; System Settings have the scheduler switched on here."""
    return any(
        local.conf.get(key) for key in ("maintenance_mode", "pause_scheduler", "disable_scheduler")
    )


def is_dormant() -> bool:
    """Whether the last Activity Log is older than four days, which System Settings can change."""
    rows = get_all("Activity Log", {}, ["modified"], limit=1)
    return not rows or (now_datetime() - rows[0]["modified"]).total_seconds() >= 4 * 86400


# -- frappe.utils, frappe.utils.user, frappe.desk
# ---------------------------------------------------


def cint(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def flt(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def getdate(value: str | date | None = None) -> date:
    if value is None:
        return now_datetime().date()
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def get_datetime(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def get_system_timezone() -> str:
    return str(local.time_zone)


def get_datetime_in_timezone(time_zone: str) -> datetime:
    return datetime.now(ZoneInfo(time_zone))


def now() -> str:
    return str(datetime.now(ZoneInfo(get_system_timezone())).replace(tzinfo=None))


def now_datetime() -> datetime:
    return datetime.now(ZoneInfo(get_system_timezone())).replace(tzinfo=None)


def get_bench_id() -> str:
    return "bench"


def get_system_managers(only_name: bool = False) -> list[str]:
    return [MANAGER] if only_name else [f"Manager <{MANAGER}>"]


def get_users_with_role(role: str) -> list[str]:
    return [user for user, roles in recorded.roles.items() if role in roles]


def enqueue_create_notification(users: Iterable[str], doc: Mapping[str, Any]) -> None:
    recorded.notifications.append({**doc, "users": list(users)})


# -- frappe.app, frappe.handler, frappe.utils.response: memora's methods over HTTP
# -------------------------


def application(
    site_config: Mapping[str, Any],
    passwords: Mapping[str, str],
    logged_in: Mapping[str, str] = MappingProxyType({}),
    api_keys: Mapping[str, str] = MappingProxyType({}),
) -> WSGIApplication:
    """A site that answers /api/method/... and /api/method/login.

    Args:
        site_config: as for `make_present`.
        passwords: of the users who may log in.
        logged_in: users who are logged in already, by the sid of their session.
        api_keys: users by their API key and its secret, as KEY:SECRET.
    """
    sessions = dict(logged_in)

    @Request.application
    def answer(request: Request) -> Response:
        make_present(site_config, sessions.get(request.cookies.get("sid", ""), "Guest"))
        local.request = request
        try:
            validate_auth_via_api_keys(request, api_keys)
            local.form_dict = make_form_dict(request)
            cmd = request.path.removeprefix("/api/method/")
            response = login(sessions, passwords) if cmd == "login" else handle(cmd, request.method)
        except Exception as error:
            local.db.rollback()
            response = report_error(error)
        else:
            if request.method == "POST":
                local.db.commit()
            else:
                local.db.rollback()
        for after_request_task in get_hooks("after_request"):
            get_attr(after_request_task)(response=response, request=request)
        local.request = None
        return response

    return lambda environ, start: ClosingIterator(answer(environ, start), [destroy])


def validate_auth_via_api_keys(request: Request, api_keys: Mapping[str, str]) -> None:
    """Of frappe.auth: `Authorization: token KEY:SECRET`."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "token":
        if token not in api_keys:
            raise AuthenticationError
        set_user(api_keys[token])


def get_request_header(key: str, default: str | None = None) -> str | None:
    value: str | None = local.request.headers.get(key, default)
    return value


def make_form_dict(request: Request) -> _dict:
    text = request.get_data(as_text=True)
    given = json.loads(text) if text and request.is_json else {**request.args, **request.form}
    if isinstance(given, list):
        return _dict(data=given)
    if not isinstance(given, dict):
        throw("Invalid request arguments")
    return _dict(given)


def login(sessions: dict[str, str], passwords: Mapping[str, str]) -> Response:
    user = local.form_dict.usr
    if user not in passwords or passwords[user] != local.form_dict.pwd:
        raise AuthenticationError
    sid = generate_hash(length=56)
    sessions[sid] = user
    local.response.message = "Logged In"
    response = as_json()
    response.set_cookie("sid", sid)
    return response


def handle(cmd: str, http_method: str) -> Response:
    data = execute_cmd(cmd, http_method)
    if isinstance(data, Response):
        return data
    if data is not None:
        local.response["message"] = data
    return as_json()


def execute_cmd(cmd: str, http_method: str) -> Any:
    try:
        method = get_attr(cmd)
    except Exception as error:
        throw(f"Failed to get method for command {cmd} with {error}")
    methods = allowed_http_methods_for_whitelisted_func.get(method)
    if methods is None or local.session.user == "Guest":
        throw(f"Function {cmd} is not whitelisted.", PermissionError)
    elif http_method not in methods:
        throw("Not permitted", PermissionError)
    names = inspect.signature(method).parameters
    return method(**{name: value for name, value in local.form_dict.items() if name in names})


def report_error(error: Exception) -> Response:
    local.response["exc_type"] = type(error).__name__
    if not local.flags.disable_traceback:
        lines = traceback.format_exception(error)
        local.response["exception"] = lines[-1].strip()
        local.response["exc"] = json.dumps(["".join(lines)])
    response = as_json()
    response.status_code = getattr(error, "http_status_code", 500)
    return response


def as_json() -> Response:
    shown = {name: value for name, value in local.response.items() if name != "docs"}
    if local.message_log:
        shown["_server_messages"] = json.dumps(
            [json.dumps(message) for message in local.message_log]
        )
    return Response(json.dumps(shown, default=json_handler), mimetype="application/json")


def json_handler(obj: Any) -> Any:
    """From frappe.utils.response: values that JSON cannot represent."""
    if isinstance(obj, date):
        return str(obj)
    if isinstance(obj, Iterable):
        return list(obj)
    raise TypeError(f"Object of type {type(obj)} with value of {obj!r} is not JSON serializable")
