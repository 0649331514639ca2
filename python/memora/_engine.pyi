"""Types of the native module: the engine of memora, written in Rust.

All methods release the GIL while they wait for a server. Times are Unix time in UTC seconds unless
a name says otherwise; dates in answers are text in the site's own time zone, as Frappe writes them.
"""

from collections.abc import Callable
from typing import Final, Literal, TypedDict, final, type_check_only

__all__ = [
    "ALARMING_PERCENT",
    "Engine",
    "EngineFault",
    "InvalidInput",
    "MemoraError",
    "OutcomeUnknown",
    "RateLimited",
    "SeasonUnavailable",
    "ServiceUnavailable",
    "Settings",
    "__version__",
]

__version__: Final[str]
# Administrators are notified of a reconciliation if a larger share of records differs.
ALARMING_PERCENT: Final[float]

@type_check_only
class Question(TypedDict):
    """A question that a student has. Dates are `YYYY-MM-DD HH:MM:SS` in the site's time zone."""

    question_id: str
    stability: int
    next_review_date: str
    last_review_date: str | None
    subject: str | None
    topic: str | None

@type_check_only
class DueAnswer(TypedDict):
    """What `Engine.due` returns. `season` is None when no season is active.

    `is_whole` is false if answers may be missing that wait in a journal that cannot be reached.
    `is_degraded`: the read was in Safe Mode, which limits it, or is not whole.
    """

    questions: list[Question]
    total_due: int
    is_degraded: bool
    is_whole: bool
    season: str | None
    source: Literal["cache", "database", "safe_mode", "none"]

@type_check_only
class DueOnDay(TypedDict):
    """A day of the site's time zone, as YYYY-MM-DD, and how many questions are due on it."""

    date: str
    due: int

@type_check_only
class FrappeSession(TypedDict):
    """What Frappe's cache has of a session, its user and its site: pickles; None: nothing.

    `record`: the session. `last_update`: when Frappe 15 last wrote it to the database. `user`: the
    document of the user. `redirect`: where they are sent after the login. `recorder`: whether the
    site's recorder is on. `hooks_length`: the bytes of the site's hooks.

    `due`: of the user who was named, not necessarily the session's; None: `Engine.due` must be
    asked.
    """

    record: bytes | None
    last_update: bytes | None
    user: bytes | None
    redirect: bytes | None
    recorder: bytes | None
    hooks_length: int
    due: DueAnswer | None

@type_check_only
class Forecast(TypedDict):
    """What `Engine.forecast` returns. `season` is None when no season is active.

    `days` begins with today, whose questions include the overdue ones; `total` is the sum of all
    days. `overdue`: due since an earlier day. `due_now`: the overdue ones, and those of today until
    now.
    `is_degraded`: answers may be missing that wait in a journal that cannot be reached.
    """

    season: str | None
    days: list[DueOnDay]
    total: int
    overdue: int
    due_now: int
    is_degraded: bool

@type_check_only
class SeasonForecast(TypedDict):
    """What `Engine.season_forecast` returns: estimates for all `students` of the season.

    If `students` is None (more than 1,000), the estimates are for the `cached_students`. They are
    made from `sampled_students` of the cached ones; without any, all are 0. `days`, `total` and
    `overdue` are as in `Forecast`.
    """

    days: list[DueOnDay]
    total: int
    overdue: int
    sampled_students: int
    cached_students: int
    students: int | None

@type_check_only
class SubmitAnswer(TypedDict):
    """What `Engine.submit` returns once every answer is durable.

    `correct` counts the questions that were answered right, each once. `xp_earned` is what a review
    session earns; the site's own code decides what a lesson earns. `drain_wanted` is true for the
    one submission that should queue the drain job. `new_stability_counts` has a key for
    each rung: "1" to "4", or up to "6" where the season's ladders have more. `leeches`: the
    questions whose wrong answers reached `leech_lapses` with it, in the order of their ids.
    `is_first` is false if the submission was taken before, and this repeats the first answer.
    """

    persistence_job_id: str
    season: str
    processed: int
    correct: int
    xp_earned: int
    remaining_items: int
    new_stability_counts: dict[str, int]
    leeches: list[str]
    drain_wanted: bool
    is_first: bool

@type_check_only
class UndoAnswer(TypedDict):
    """What `Engine.undo` returns once a submission is undone.

    `persistence_job_id` names the undoing until it is in MariaDB and after. `undone`: how many
    answers. `xp_taken_back`: what the review session had earned; 0 for a lesson.
    """

    persistence_job_id: str
    season: str
    undone: int
    xp_taken_back: int
    remaining_items: int
    drain_wanted: bool

@type_check_only
class LoggedAnswer(TypedDict):
    """One answer of `Engine.answers`.

    `job_id`: the submission's `persistence_job_id`. `is_correct`: with a `quality`, it is 3 or
    more; in a lesson, the first attempt was right. `quality` (0 to 5): None if the client gave
    none; `attempts`: in a lesson only. `stability_before`: of the record that the answer counted
    on; None if there was no record. `memory_stability_before` (days), `memory_difficulty_before`
    (1 to 10) and `lapses_before`: of the same record; None if its memory is not known, or if an
    earlier answer of the same submission is to the same question. `is_counted` is false for an
    answer that a later edit overrides, and for one that the student has undone.
    """

    job_id: str
    season: str
    question_id: str
    answered_at: int
    is_correct: bool
    duration_ms: int
    quality: int | None
    attempts: int | None
    stability_before: int | None
    memory_stability_before: float | None
    memory_difficulty_before: float | None
    lapses_before: int | None
    is_counted: bool

@type_check_only
class TrainingProgress(TypedDict):
    """The progress of `Engine.train`, in submissions read, or thousandths of a computation."""

    step: Literal["reading", "computing"]
    done: int
    total: int

@type_check_only
class Training(TypedDict):
    """What `Engine.train` found for a subject; `subject` None: for all others.

    `answers`: those in histories that begin with a first answer. `predicted`: those on a later day
    than the question's previous answer. `held_out`: the newest fifth of these. `parameters` (21
    numbers) predict the held-out answers as `after` says, those in use as `before` says; all three
    are None if there are too few answers. `is_better`: `after` has the lower log loss.
    """

    subject: str | None
    answers: int
    predicted: int
    held_out: int
    parameters: list[float] | None
    before: FitOfAnswers | None
    after: FitOfAnswers | None
    is_better: bool

@type_check_only
class FitOfAnswers(TypedDict):
    """How well answers were predicted: a lower log loss and RMSE and a higher AUC are better."""

    log_loss: float
    rmse_of_bins: float
    auc: float

@type_check_only
class SchedulerReport(TypedDict):
    """What `Engine.scheduler_report` returns; shares are from 0 to 1.

    `answers`: how many of the newest were read. `right`: the share that is right; `fast` and
    `slow`: shares of the right ones. `is_assumed`: there are too few answers, so an ordinary
    student is assumed. `questions`: how many a student has, the median of some students.
    `students`: how many were simulated.
    """

    answers: int
    is_assumed: bool
    right: float
    fast: float
    slow: float
    questions: int
    days: int
    students: int
    ways: list[ReportedWay]

@type_check_only
class ReportedWay(TypedDict):
    """What a scheduler would do to a student; `retention` None: the ladder.

    `weeks`: the mean reviews a day in each week. `known`: how many questions are known on the day
    after the last.
    """

    retention: float | None
    weeks: list[float]
    reviews_a_day: float
    busiest_day: float
    right: float
    known: float

@type_check_only
class DrainReport(TypedDict):
    """What one `Engine.drain` did. `remaining` counts the submissions still in the journal.

    `written_again`: submissions that had been written before, but that the database had lost.
    """

    submissions: int
    answers: int
    set_aside: int
    written_again: int
    remaining: int

@type_check_only
class Forgotten(TypedDict):
    """What one `Engine.forget` has erased. `waiting_submissions` were not in MariaDB yet."""

    records: int
    archived_records: int
    audit_records: int
    poison_reviews: int
    waiting_submissions: int

@type_check_only
class RetiredQuestion(TypedDict):
    """A question that the site has retired. `retired_at` is in the site's time zone."""

    question_id: str
    retired_by: str
    retired_at: str

@type_check_only
class RetiredQuestions(TypedDict):
    """A page of retired questions, and their total number."""

    questions: list[RetiredQuestion]
    total: int

@type_check_only
class SuspendedQuestion(TypedDict):
    """A question that a student has suspended. `suspended_at` is in the site's time zone."""

    question_id: str
    suspended_at: str

@type_check_only
class CacheStats(TypedDict):
    """One student's cache of one season."""

    complete: bool
    records: int
    due: int
    memory_bytes: int

@type_check_only
class Replica(TypedDict):
    """A replica that is connected to the journal's Redis, `host:port`.

    `is_online`: it follows; otherwise it is still being copied to. `lag_bytes`: what it has not
    confirmed yet. `lag_seconds`: since it last confirmed anything.
    """

    address: str
    is_online: bool
    lag_bytes: int
    lag_seconds: int

@type_check_only
class JournalStatus(TypedDict):
    """The backlog of unsaved reviews, and how durable the journal's Redis is.

    `role`: "master" or "slave", in Redis' words; empty if memora's user may not ask.
    `replicas_asked`: how many replicas must have an answer (srs_journal_replicas). `durable`: no
    setting puts unsaved answers at risk. `kept_in_database`: submissions that redis_queue, or a
    required replica, did not take: they wait in MariaDB, and count in the backlog. `saved_lately`:
    saved submissions that redis_queue keeps for some minutes, in case an older database takes over.
    `is_clock_ahead`: the order of some answers is ahead of the clock: see `Engine.mend_clock`.
    """

    reachable: bool
    backlog: int
    oldest_age_seconds: float
    appendonly: bool
    appendfsync: str
    maxmemory_policy: str
    role: str
    replicas: list[Replica]
    replicas_asked: int
    durable: bool
    kept_in_database: int
    saved_lately: int
    is_clock_ahead: bool
    warning: str | None

@type_check_only
class SeasonCache(TypedDict):
    """A season's cached students, and the memory of their schedules (estimates)."""

    students: int
    memory_bytes: int

@type_check_only
class CacheStatus(TypedDict):
    """The cache's Redis, and this site's part of it by season; empty if it cannot be reached.

    `is_safe_mode`: reads come from MariaDB, because of `cause`. `memory_limit_bytes` 0: there is
    none.
    """

    reachable: bool
    is_safe_mode: bool
    cause: str | None
    memory_bytes: int
    memory_limit_bytes: int
    maxmemory_policy: str
    warning: str | None
    seasons: dict[str, SeasonCache]

@type_check_only
class Latency(TypedDict):
    """How long calls of one kind took.

    `buckets`: (milliseconds, how many took at most this long, and longer than the previous bucket).
    Quantiles are as exact as the buckets.
    """

    count: int
    sum_ms: float
    p50_ms: float
    p99_ms: float
    buckets: list[tuple[float, int]]

@type_check_only
class LatencySlot(TypedDict):
    """Calls of ten minutes that began at a Unix time, by kind."""

    began_at: int
    calls: dict[str, Latency]

@type_check_only
class LatencyReport(TypedDict):
    """How long students' calls took, over all processes.

    Kinds: "warm read", "cold read", "database read", "safe mode read", "submit", and "persistence",
    which is not a call: how long each submission waited from the journal to the commit in MariaDB,
    in buckets of up to ten minutes. `series` covers a day, oldest first; `all` covers the time
    since the cache was empty.
    """

    series: list[LatencySlot]
    last_hour: dict[str, Latency]
    all: dict[str, Latency]

@type_check_only
class RebuildProgress(TypedDict):
    """A rebuild's progress, in records: while it runs, `total` is MariaDB's estimate.

    `dropped`: schedules without records, and those of students who answered each time they were
    loaded, which the next read loads.
    """

    season: str
    students: int
    done: int
    total: int
    dropped: int

@type_check_only
class Reconciliation(TypedDict):
    """A reconciliation's progress (`done` of about `total` records), and what it found.

    Of the compared students' records in cache or database: `missing` in the cache, `ghost` (in the
    cache only), `wrong_date`, `wrong_state` (the date is right; the stability, subject, topic, last
    review or memory is not). `half_filled` schedules are not marked as complete, so no process
    believes them; their records are not counted. `corrected` schedules were loaded again;
    `unsettled` ones, which changed each time they were compared, were dropped. `void` ones have not
    counted since an outage of the cache; the next read loads them, and they are not compared.
    `percent_differing` of all cached records, with 95% confidence from `percent_low` to
    `percent_high`, which are the same if all were compared. `is_alarming`: more than
    ALARMING_PERCENT of the records differ, or of the schedules are half filled.
    """

    season: str
    done: int
    total: int
    students: int
    records: int
    missing: int
    ghost: int
    wrong_date: int
    wrong_state: int
    half_filled: int
    corrected: int
    unsettled: int
    void: int
    offered: int
    percent_differing: float
    percent_low: float
    percent_high: float
    is_alarming: bool

@type_check_only
class ReplayReport(TypedDict):
    """What one `Engine.replay` did. `unknown`: not Poison Reviews, or replayed before.

    `done` is the sum of these, and `total` their number at the beginning.
    """

    replayed: int
    failed: int
    unknown: int
    done: int
    total: int

@type_check_only
class OutageNews(TypedDict):
    """News for administrators.

    cache or journal, began or ended: an outage, and its seconds. cache or journal, several: hosts
    use different servers. journal, restarted or replaced: it may have lost answers, or certainly
    has. clock, ahead: how many seconds an answer is ahead of the clock. backlog, old: for how many
    seconds answers have waited to be written. drain, overdue: answers have waited for a minute, and
    this process must queue a drain. database, older: how many submissions it had lost; they are
    written again.
    """

    server: Literal["cache", "journal", "clock", "backlog", "drain", "database"]
    event: Literal[
        "began", "ended", "restarted", "replaced", "several", "ahead", "old", "overdue", "older"
    ]
    seconds: int
    submissions: int

@type_check_only
class Partition(TypedDict):
    """A partition of the live table, named after its season. `rows` is MariaDB's estimate."""

    name: str
    rows: int
    bytes: int

@type_check_only
class SeasonSize(TypedDict):
    """The size of a season's records in the live table, found without reading all of them.

    Up to 10,000 records and up to 1,000 students are counted. Beyond that, `records` are MariaDB's
    estimate, and `students` are estimated from the records of some. `bytes` of the partition are
    MariaDB's estimate.
    """

    records: int
    are_records_estimated: bool
    students: int
    are_students_estimated: bool
    bytes: int

@type_check_only
class ArchiveProgress(TypedDict):
    """An archive's progress: `done` of `total` records of the present step.

    While it copies, `total` is MariaDB's estimate. At the end `done` is how many records were
    archived.
    """

    season: str
    step: Literal["copying", "verifying", "freeing", "clearing", "done"]
    done: int
    total: int

@type_check_only
class DeletionProgress(TypedDict):
    """How many of the archived records were checked, of an estimated total."""

    done: int
    total: int

@type_check_only
class ArchiveStatus(ArchiveProgress):
    """The state of a season's archive.

    If it is neither running nor finished, it must be continued.
    """

    is_running: bool
    started_at: float
    finished_at: float | None

class MemoraError(Exception):
    """Base of everything the engine raises. `args[0]` says what happened and what to do.

    Attributes:
        code: names the error, the same in every version; docs/operating.md lists all.
        server: the server that failed; None if none did.
        is_transient: whether trying again later may work.
    """

    code: str
    server: Literal["cache", "journal", "database"] | None
    is_transient: bool

class InvalidInput(MemoraError):
    """The caller's data cannot be accepted; nothing was saved."""

class SeasonUnavailable(MemoraError):
    """No season is active, or the season no longer takes answers; nothing was saved."""

class RateLimited(MemoraError):
    """Safe Mode has no room for this read.

    Attributes:
        retry_after: the number of seconds to wait; also `args[1]`.
    """

    retry_after: int

class ServiceUnavailable(MemoraError):
    """A server that this call needs is down; nothing was acknowledged."""

class OutcomeUnknown(ServiceUnavailable):
    """A server failed while answers were being saved: they may be there already."""

class EngineFault(MemoraError):
    """A defect or a wrong configuration, which an administrator must correct.

    The message has the cause.
    """

@type_check_only
class SentinelAddress(TypedDict):
    """The sentinels' addresses (`host:port` each), and what to ask them, by Frappe's names."""

    sentinels: list[str]
    master_service: str
    sentinel_username: str | None
    sentinel_password: str | None
    master_username: str | None
    master_password: str | None

@final
class Settings:
    """Where one site's servers are, and its limits.

    Args:
        site: prefix of every Redis key; Frappe's db_name.
        cache_url: the Redis with cached schedules (srs_cache_url), as URLs here are:
            `redis://[user:password@]host:port[/db]`, `rediss://` with TLS or `unix://path`; they
            mean what they mean to redis-py. Without it, schedules are in database 13 of
            frappe_cache_url, or 12 where Frappe uses 13.
        cache_cluster_nodes: nodes of the Redis Cluster that has the schedules in place of it
            (srs_cache_cluster_nodes), as `host:port` or URLs.
        frappe_cache_url: Frappe's redis_cache.
        frappe_cache_sentinel: the sentinels that know where it is; takes precedence over the URL.
        journal_url: the Redis with the journal, Frappe's redis_queue.
        journal_sentinel: the sentinels that know where it is, if there is no URL.
        journal_replicas: how many of its replicas must have an answer (srs_journal_replicas);
            answers that they lack are kept in MariaDB too.
        database_name, database_user, database_password: of the site's MariaDB.
        database_host, database_port, database_socket: where it is. A socket takes precedence.
        database_ssl_ca, database_ssl_cert, database_ssl_key: files of TLS to it (db_ssl_*): the CA
            of its certificate, our certificate and its key. All three, or none.
        time_zone: IANA name of the site's time zone (System Settings).
        max_questions: most questions a student may track in a season (srs_max_questions).
        leech_lapses: how many wrong answers to a question make it a leech, which is reported
            (srs_leech_lapses); 0: none is reported.
        redis_timeout_ms, database_timeout_ms: longest wait for one reply.
        cache_ttl_seconds: a student's cache expires after this long without an answer.
        trust_lease_ms: how long the cache is believed after a process has checked whether it lacks
            an answer.
        connection_idle_seconds: MariaDB closes a connection that was idle for this long.

    Raises:
        InvalidInput: a URL, file, time zone or limit that cannot be used.
    """

    def __new__(
        cls,
        *,
        site: str,
        cache_url: str | None = None,
        cache_cluster_nodes: list[str] | None = None,
        frappe_cache_url: str | None = None,
        frappe_cache_sentinel: SentinelAddress | None = None,
        journal_url: str | None = None,
        journal_sentinel: SentinelAddress | None = None,
        journal_replicas: int = 0,
        database_name: str,
        database_user: str,
        database_password: str,
        database_host: str = "127.0.0.1",
        database_port: int = 3306,
        database_socket: str | None = None,
        database_ssl_ca: str | None = None,
        database_ssl_cert: str | None = None,
        database_ssl_key: str | None = None,
        time_zone: str = "UTC",
        max_questions: int = 20000,
        leech_lapses: int = 8,
        redis_timeout_ms: int = 150,
        database_timeout_ms: int = 700,
        cache_ttl_seconds: int = 604800,
        trust_lease_ms: int = 320,
        connection_idle_seconds: int = 60,
    ) -> Settings: ...

@final
class Engine:
    """One site's engine. It connects on first use, and is safe to use across threads and forks.

    Methods raise ServiceUnavailable if a server that they need is down, and EngineFault for a
    defect, unless they say otherwise. The sections are the files of src/binding.
    """

    def __new__(cls, settings: Settings) -> Engine: ...
    def close(self) -> None:
        """Close this process's connections that are not in use; the next call makes new ones."""

    # -- students ---------------------------------------------------------------------------------
    def due(
        self, player: str, limit: int = 20, subject: str | None = None, topic: str | None = None
    ) -> DueAnswer:
        """The student's due questions of the active season, most overdue first.

        Args:
            player: the session's user.
            limit: 1 to 50.
            subject: only this subject, filtered before the limit.
            topic: focus mode: that topic only; its size, not the limit, decides how many.

        Raises:
            InvalidInput: limit, subject or topic cannot be used.
            RateLimited: Safe Mode has no room.
            ServiceUnavailable: neither the cache nor MariaDB can be read.
        """

    def forecast(self, player: str, days: int = 30) -> Forecast:
        """How many questions of the active season are due on each of the next days.

        Args:
            player: the session's user.
            days: 1 to 365; the first is today.

        Raises:
            InvalidInput: days is out of range.
            ServiceUnavailable: the cache, or what it must be filled from, cannot be read. There is
                no forecast in Safe Mode.
        """

    def frappe_session(self, session_id: str, user: str, limit: int | None = None) -> FrappeSession:
        """What Frappe's cache has of a session, in one round trip: for the door (docs/door.md).

        Args:
            session_id: of the cookie.
            user: whose document is read. They need not be the session's.
            limit: with it, their due questions are read at the same time, as `due` returns them,
                if one answer of the cache is enough.

        Raises:
            ServiceUnavailable: it does not answer within `redis_timeout_ms`, or has not lately.
            MemoraError: it refuses to, because a key is of another type, or its user has no right.
        """

    def submit(
        self,
        player: str,
        session_data: str | None = None,
        responses: str | None = None,
        submission_id: str | None = None,
    ) -> SubmitAnswer:
        """Take a review session's answers: exactly one of the two JSON texts of docs/api.md.

        Args:
            player: the session's user.
            session_data: JSON text of an object with a list of answers.
            responses: JSON text of a list of answers.
            submission_id: the client's own name for it, at most 64 characters. Sent again within
                30 days, it is answered as the first time, and counts once. The engine looks for it
                in the journal and MariaDB, so such a submission needs both.

        Returns: once the answers are durable and the next read shows them.

        Raises:
            InvalidInput, SeasonUnavailable, ServiceUnavailable: nothing was saved.
            OutcomeUnknown: the answers may have been saved.
        """

    def rate(
        self,
        player: str,
        interactions: str,
        subject: str | None = None,
        topic: str | None = None,
        submission_id: str | None = None,
    ) -> SubmitAnswer:
        """Take a lesson's interactions, for process_srs_batch, through the journal as `submit`.

        Args:
            player: a User, in upper or lower case; the answers count for Frappe's own spelling.
            interactions: JSON text of the list that process_srs_batch takes.
            subject: the subject of questions that have none yet.
            topic: the topic of questions that have none yet.
            submission_id: as for `submit`.

        Raises: as `submit`.
        """

    def undo(self, player: str, submission_id: str) -> UndoAnswer:
        """Undo a submission of the last ten minutes that has a key.

        Each of its questions is as it was before, and its answers do not count in the log. A
        question that the student was asked for the first time keeps a record, with stability 0 and
        due in the year 2200: as before, it is not due.

        Args:
            player: the session's user.
            submission_id: the key, as `submit` and `rate` had it.

        Returns: once this is durable and the next read shows it. A repeated call returns what the
            first one did.

        Raises:
            InvalidInput: nothing was undone. Its code says why: memora.unknown_submission,
                too_late_to_undo, changed_since or cannot_be_undone.
            SeasonUnavailable: the season is archived.
            ServiceUnavailable: the journal or MariaDB is down, or other answers of the student are
                being saved.
            OutcomeUnknown: it may have been undone. Call it again.
        """

    def is_undone(self, player: str, job_id: str) -> bool:
        """Whether a submission was undone.

        Args:
            player: the session's user.
            job_id: its `persistence_job_id`.
        """

    def set_states(
        self,
        player: str,
        season: str,
        states: list[tuple[str, int, float, str | None, str | None]],
    ) -> int:
        """Give questions states that the caller has computed, through the journal as `submit`.

        They count as answers given now: after everything that is known of the student, and before
        every later answer.

        Args:
            player: a User, in upper or lower case.
            season: a season that is not archived, active or not.
            states: (question_id, stability from 0 to the highest rung of the season's ladders, Unix
                time of the next review, subject, topic); None keeps the subject or the topic. Of
                several states of one question the last counts.

        Returns: how many questions.

        Raises: as `submit`. Some of more than 50 may be saved then; repeating the call is safe.
        """

    def may_read_in_safe_mode(self, player: str) -> bool:
        """Whether a student may read in Safe Mode now; if so, it counts as such a read."""

    def due_as_in_safe_mode(
        self, player: str, season: str, limit: int = 10, subject: str | None = None
    ) -> DueAnswer:
        """What a read in Safe Mode shows of a season, at most 10; it does not count as one.

        Args:
            player: the student.
            season: its name.
            limit: 1 to 50.
            subject: only questions of this subject.
        """

    def persistence_status(
        self, player: str, job_id: str
    ) -> Literal["pending", "persisted", "failed"] | None:
        """Whether a submission is in MariaDB. None: the player has no such submission.

        Args:
            player: the session's user.
            job_id: the `persistence_job_id` of the submission.
        """

    # -- answers ----------------------------------------------------------------------------------
    def answers(
        self,
        player: str,
        season: str | None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 1000,
        after: str | None = None,
    ) -> list[LoggedAnswer]:
        """A page of the student's answers from the log, oldest first.

        Submissions come in the order in which they were taken; a page never splits one. To read
        all, call again with `after` set to the last answer's `job_id`, until a page is empty.

        The log does not have answers that still wait in the journal (call `drain` first), answers
        whose audit records Log Settings have cleared, submissions from before the log, or states
        that were set.

        Args:
            player: the student, exactly as named.
            season: its name, archived or not; None: all.
            since: only answers given at this Unix time or later.
            until: only answers given before this Unix time.
            limit: at most this many answers in a page, 50 to 10,000.
            after: only submissions after the one with this job id.

        Raises:
            InvalidInput: limit, since or until cannot be used.
            EngineFault: a newer memora has written a log, or it is damaged.
        """

    # -- FSRS -------------------------------------------------------------------------------------
    def train(
        self,
        season: str,
        progress: Callable[[TrainingProgress], object] | None = None,
        share: float = 1.0,
    ) -> list[Training]:
        """Find parameters of FSRS that predict a season's answers better than those in use.

        The first result is for the season, the others for each subject with a row of its own.
        Changes nothing. Of a season with more than 1,000,000 answers, only a share of the students
        is used. One thread computes.

        Args:
            season: its name, archived or not.
            progress: called after each piece of work; an exception from it ends the work.
            share: of the time in which MariaDB is read.

        Raises:
            InvalidInput: there is no such season, or another process is training.
            EngineFault: no parameters can be found.
        """

    def scheduler_report(self, season: str, days: int, until: str) -> SchedulerReport:
        """What the ladder as it is set, and FSRS, would do to a student of a season.

        Args:
            season: its name, archived or not.
            days: its length; more than 730 count as 730.
            until: only answers before this date and time, in the site's time zone, are read.

        Raises:
            InvalidInput: there is no such season.
        """

    # -- journal ----------------------------------------------------------------------------------
    def drain(self, seconds: float = 60.0) -> DrainReport:
        """Write what waits in the journal to MariaDB, until it is empty or the time is over.

        Args:
            seconds: after this time no further batch of 1,000 submissions begins; at least one is
                written.
        """

    def replay(
        self,
        names: list[str] | None = None,
        progress: Callable[[ReplayReport], object] | None = None,
    ) -> ReplayReport:
        """Write Poison Reviews to the table.

        A newer state of a record stays. A review that still cannot be written keeps waiting, with
        its new reason: its student or its season does not exist, its payload cannot be read, or
        MariaDB refuses it.

        Args:
            names: only these; None: all that wait.
            progress: called after every 500 reviews if all are replayed; an exception from it ends
                the work.

        Raises:
            InvalidInput: another process is replaying all.
        """

    def retire(self, player: str, season: str, question_ids: set[str]) -> int:
        """Postpone a student's next review of retired questions to the year 2200.

        The records stay, and an answer gives the question a date again.

        Args:
            player: the student.
            season: its name.
            question_ids: the questions.

        Returns: how many were postponed.
        """

    def retire_questions(self, question_ids: list[str], user: str) -> int:
        """Retire questions: once this returns, no read of any process shows them.

        Records and cached schedules stay: a schedule's next read hides the questions.

        Args:
            question_ids: 1 to 1,000 questions, whether students have them or not.
            user: who retires them.

        Returns: how many were not retired before.

        Raises:
            InvalidInput: an invalid id, none, or too many; nothing was changed.
            ServiceUnavailable: MariaDB is down. Calling it again continues.
        """
    def restore_questions(self, question_ids: list[str], user: str) -> int:
        """Restore retired questions: each student's are due when they were due before.

        Returns: how many were retired.

        Raises:
            As `retire_questions`.
        """
    def retired_questions(self, start: int = 0, limit: int = 20) -> RetiredQuestions:
        """The questions that are retired, the latest first, and how many there are."""
    def suspend_question(self, player: str, question_id: str) -> bool:
        """Suspend a question of a student: once this returns, no read of this student shows it.

        Args:
            player: the student.
            question_id: a question that the student has in the active season. It is suspended in
                all seasons.

        Returns: whether it was not suspended before.

        Raises:
            InvalidInput: the student has no such question, or has suspended 10,000.
            SeasonUnavailable: no season is active.
            ServiceUnavailable: MariaDB is down. Calling it again continues.
        """
    def resume_question(self, player: str, question_id: str) -> bool:
        """Resume a suspended question: it is due when it was due before.

        Returns: whether it was suspended.
        """
    def suspended_questions(self, player: str) -> list[SuspendedQuestion]:
        """The questions that a student has suspended, in the order of their ids."""
    def has_waiting_answers(self, player: str, seasons: list[str]) -> bool:
        """Whether answers of a student in these seasons wait in the journal, not yet in MariaDB."""

    # -- status -----------------------------------------------------------------------------------
    def journal_status(self) -> JournalStatus:
        """The backlog, and how durable the journal is. A journal that is down is not an error."""

    def cache_status(self, seasons: list[str]) -> CacheStatus:
        """The cache's health, at the same cost whatever its size; one that is down is not an error.

        Args:
            seasons: names of the seasons to report on.
        """

    def cache_available(self) -> bool:
        """Whether the cache's Redis answers now. Raises nothing."""

    def latency(self) -> LatencyReport:
        """How long students' calls took, and how long submissions waited to be in MariaDB.

        Each process reports what it counted every five seconds, and at the end of a drain.
        """

    def check_outages(self) -> None:
        """Check whether cache and journal answer, and note it for all processes. Raises nothing."""

    def outage_news(self) -> list[OutageNews]:
        """News that this process must tell administrators, each once."""

    # -- student_cache ----------------------------------------------------------------------------
    def rehydrate(self, player: str, season: str) -> int:
        """Load a student's records from MariaDB and the journal into the cache.

        Args:
            player: the student.
            season: name of a season that uses the cache.

        Returns: how many records there are.
        """

    def due_in_season(self, player: str, season: str, limit: int = 20) -> list[Question]:
        """Due questions of a season by name; loads the cache first if it is not complete.

        Args:
            player: the student.
            season: its name.
            limit: 1 to 50.
        """

    def due_ids_in_season(self, player: str, season: str, limit: int) -> tuple[list[str], bool]:
        """The ids of `due_in_season`, and whether MariaDB was read for them."""

    def cache_add(
        self,
        player: str,
        season: str,
        items: list[tuple[str, float]],
        seconds_to_live: int | None = None,
    ) -> int:
        """Set dates in the cache only. The rest of a question's cached state stays.

        Args:
            player: the student.
            season: its name.
            items: (question_id, Unix time of the next review in seconds).
            seconds_to_live: the student's whole cache expires after this long without an answer;
                None: as after an answer.

        Returns: how many were set.

        Raises:
            InvalidInput: a question_id, a time or seconds_to_live cannot be used; nothing was set.
        """

    def cache_remove(self, player: str, season: str, question_id: str) -> bool:
        """Remove a question from the cache only. False: it was not there."""

    def cache_due(self, player: str, season: str, limit: int = 20) -> list[tuple[str, float]]:
        """(question_id, Unix time) of the due questions in the cache, most overdue first."""

    def cache_scores(self, player: str, season: str) -> dict[str, float]:
        """The Unix time of the next review of every cached question, by question_id."""

    def cache_count_due(self, player: str, season: str) -> int:
        """How many questions in the cache are due."""

    def cache_clear(self, player: str, season: str) -> bool:
        """Drop a student's cache; the next read loads it again. False: there was none."""

    def cache_stats(self, player: str, season: str) -> CacheStats:
        """A student's cache in numbers."""

    # -- season_cache -----------------------------------------------------------------------------
    def season_forecast(self, season: str, days: int = 30) -> SeasonForecast:
        """About how many questions of a season are due on each of the next days.

        It takes milliseconds however large the season is: it reads the cached schedules of at most
        400 random students.

        Args:
            season: its name.
            days: 1 to 365; the first is today.

        Raises:
            InvalidInput: days is out of range.
            ServiceUnavailable: the cache or MariaDB cannot be read.
        """

    # `progress` and `share` as for the archive.
    def rebuild(
        self,
        season: str,
        progress: Callable[[RebuildProgress], object] | None = None,
        share: float = 1.0,
    ) -> RebuildProgress:
        """Load all schedules of a season into the cache again; the old ones serve until then.

        Students can read and answer meanwhile, and no answer is undone. After a run that was
        killed, the next one starts over.

        Raises:
            InvalidInput: there is no such season, it does not use the cache, or another process is
                rebuilding it.
            SeasonUnavailable: it is archived.
        """

    def reconcile(
        self,
        season: str,
        sample: int | None = None,
        progress: Callable[[Reconciliation], object] | None = None,
        share: float = 1.0,
    ) -> Reconciliation:
        """Compare cached schedules with the database and correct them.

        Answers that are not in the database yet are not errors.

        Args:
            season: its name.
            sample: compare random students who together have about this many records, at least ten
                students; None: all that are cached.
            progress: see above.
            share: see above.

        Raises:
            InvalidInput: there is no such season, it does not use the cache, or another process is
                reconciling it.
            SeasonUnavailable: it is archived.
        """

    def estimated_records(self, season: str) -> int:
        """How many records a season has, as MariaDB estimates; 0 while it has no partition."""

    def is_running(
        self,
        kind: Literal["Rebuild", "Reconciliation", "Archive", "Deletion", "Replay", "Training"],
        season: str,
    ) -> bool:
        """Whether a process is doing this kind of work now; an empty season: all seasons."""

    def check_cache(self) -> bool:
        """Make cached schedules void if the database was restored since the last check.

        Returns: whether no cached schedule counts, because the database was restored or the cache
            was emptied.

        Raises:
            ServiceUnavailable: a server is down; the next check notices it.
        """

    def load_recent_students(self, share: float = 1.0) -> int:
        """Cache the schedules of students who answered in the last 24 hours, the latest first.

        Args:
            share: of the time in which it works, more than 0 and at most 1.

        Returns: how many were loaded; 0 if another process is loading them, or the season does not
            use the cache.

        Raises:
            ServiceUnavailable: a server is down; what was loaded by then stays.
        """

    def season_changed(self, cache_is_void: bool = False) -> None:
        """Forget which season is active. Call after a season was saved or deleted.

        Args:
            cache_is_void: make all schedules void too, for all processes. Needed when a season's
                enable_redis changes: its old schedules would be believed.
        """

    def links_changed(self) -> None:
        """Forget which subjects, topics and users exist. Call after one was deleted."""

    def player_changed(self, player: str) -> None:
        """Forget that a User exists. Call after it was renamed or deleted."""

    # -- archive ----------------------------------------------------------------------------------
    # `progress` is called after each piece of work, several times a second; an exception from it
    # ends the work, as Ctrl-C does. `share`, more than 0 and at most 1, is the share of the time in
    # which MariaDB works on it.
    def archive(
        self,
        season: str,
        progress: Callable[[ArchiveProgress], object] | None = None,
        share: float = 0.5,
    ) -> ArchiveProgress:
        """Move a season's records to the archive, empty its partition, remove its cached schedules.

        Running it again continues a killed run. An archived season stays as it is.

        Raises:
            InvalidInput: there is no such season, it is active, another process is archiving it, or
                the archive lacks fields.
        """

    def archive_status(self, season: str) -> ArchiveStatus | None:
        """The state of a season's archive. None: it was never archived."""

    def drop_left_partitions(self) -> list[str]:
        """Drop the empty partitions of seasons archived a week ago. Returns their seasons."""

    def forget_archive(self, season: str) -> None:
        """Let the name of a deleted season without archived records be used again."""

    def flag_for_deletion(
        self, archived_before: float | None, seconds: float, share: float = 0.5
    ) -> int:
        """Flag archived records as eligible for deletion, from where the last call stopped.

        Each season is processed once, when all of it is old enough; a flag that was removed by hand
        stays removed.

        Args:
            archived_before: only records archived before this Unix time; None: three years ago.
            seconds: after this time no further piece of 500 records begins; at least one is
                checked.
            share: see above.

        Returns: how many were flagged.
        """

    def delete_flagged(
        self,
        season: str | None = None,
        progress: Callable[[DeletionProgress], object] | None = None,
        share: float = 0.5,
    ) -> int:
        """Delete flagged archived records of one season or of all.

        Returns how many. Running it again continues a killed run.

        Raises:
            InvalidInput: another process is deleting.
        """

    # -- personal_data ----------------------------------------------------------------------------
    def forget(self, player: str) -> Forgotten:
        """Erase a student: all records, Poison Reviews, waiting answers, schedules.

        Raises:
            InvalidInput: a season is being archived now.
            ServiceUnavailable: a server is down. Running it again continues.
        """

    def note_rename(self, old: str, new: str) -> None:
        """Note that a User is about to be renamed, for `carry_renamed`."""

    def carry_renamed(self) -> int:
        """Give renamed students the records written under their old names. Drain first.

        Returns: how many records.
        """

    # -- storage ----------------------------------------------------------------------------------
    def prepare_storage(self) -> list[str]:
        """Give the tables their keys, collation, partitions and index. Safe to run twice.

        Returns: one line for each change made; empty if nothing was needed.

        Raises:
            EngineFault: DocTypes or fields are missing (docs/adopting.md), or the records do not
                allow it; the tables stay as they are.
        """

    def create_partition(self, season: str) -> bool:
        """Make the season's partition. False: it exists already.

        Raises:
            InvalidInput: there is no such season.
            SeasonUnavailable: the season is archived.
        """

    def partitions(self) -> list[Partition]:
        """The live table's partitions by name; p_default is for seasons without one."""

    def season_size(self, season: str) -> SeasonSize | None:
        """The size of a season, in milliseconds however large it is. None: it has no partition."""

    def partition_exists(self, season: str) -> bool:
        """Whether a season has its partition."""

    def has_records_without_season(self) -> bool:
        """Whether there are records for `give_season`."""

    def give_season(self, season: str, progress: Callable[[int], object] | None = None) -> int:
        """Give records without a season this one. Returns how many. Running it again continues."""

    def remove_duplicates(self, progress: Callable[[int], object] | None = None) -> int:
        """Remove all but the newest record of each student, season and question.

        Returns how many. The newest is the one answered last, or, if equal, changed last. Running
        it again continues.
        """

    def mend_clock(self) -> int:
        """Correct states whose order is over a minute ahead of the clock: it becomes the present.

        A host whose clock was ahead wrote them. Reads the whole table, and locks only those
        records. Running it again continues.

        Returns: how many records were changed.
        """

    def free_old_cache(self) -> None:
        """Remove older versions' keys from the database of Frappe's cache, a part at a time.

        Raises:
            ServiceUnavailable: redis_cache is down; running it again continues.
        """

    def uninstall(self) -> None:
        """Remove the tables that are not DocTypes, and the site's keys in both Redis servers.

        Also removes answers that wait in the journal. Running it again continues.
        """
