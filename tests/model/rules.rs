//! Which rules the processes of a model follow: those of memora, or others that the checker has to
//! refuse.

/// Each switch breaks one rule. None is set in memora itself.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules of the commit before: who has the journal takes its word, and never looks at
    /// MariaDB.
    pub journal_is_enough: bool,
    /// The rules of the commit before: what the journal does not take is written into the table of
    /// records at once, and the newer of two states wins.
    pub writes_at_once: bool,
    /// The rules of the commit before: a drain reads the answers that were written past it as they
    /// stood when its transaction began. Only with `writes_at_once`.
    pub reads_old_snapshot: bool,
    /// Clocks say which of two entries came first.
    pub goes_by_clocks: bool,
    /// A load goes into the cache whatever came in between.
    pub has_no_fence: bool,
    /// A dropped schedule leaves the fence of a load where it is.
    pub drop_keeps_fence: bool,
    /// A student is marked, and nobody waits until all know it.
    pub does_not_wait: bool,
    /// A process that cannot tell the journal waits as if it had told it.
    pub waits_for_a_lease_only: bool,
    /// The journal is not told that its look at MariaDB is over.
    pub does_not_revoke: bool,
    /// A confirmation lives for a lease from its end, however long ago its look was claimed.
    pub confirmation_outlives_claim: bool,
    /// A confirmation is noted whether its claim still stands or not.
    pub confirms_without_claim: bool,
    /// Marks may come in while others are settled.
    pub settles_without_lock: bool,
    /// What was read before a schedule was repaired is shown all the same.
    pub shows_what_it_read_before: bool,
    /// A look does not ask which run of the cache counts.
    pub believes_any_run: bool,
    /// The run that counts is replaced though somebody may believe it.
    pub takes_without_waiting: bool,
    /// The run that counts is replaced at once whether somebody believes it or not.
    pub takes_what_is_believed: bool,
    /// A look for the run that counts leaves a challenge where it is.
    pub does_not_defend: bool,
    /// The run that begins to count keeps what it has.
    pub takes_with_old_schedules: bool,
    /// What confirms one run of the cache confirms another that has a copy of it.
    pub confirms_any_run: bool,
    /// A look that the journal shares serves every run of the cache.
    pub shares_looks_of_any_run: bool,
    /// What the cache was shown is acknowledged though nobody has looked whether it counts.
    pub shows_without_looking: bool,
    /// A process whose schedule was dropped in any run of the cache takes its mark back.
    pub unmarks_for_any_run: bool,
    /// What is marked is dropped in whatever run of the cache is reached then.
    pub repairs_any_run: bool,
    /// The cache is shown an answer whatever it was computed from.
    pub ignores_cached_head: bool,
    /// What was computed without the journal goes into it all the same.
    pub appends_blindly: bool,
    /// The journal takes an entry whatever it knows.
    pub has_no_conflicts: bool,
    /// A drain counts entries that have an audit record.
    pub ignores_audits: bool,
    /// A drain counts entries that came before what they were computed from.
    pub ignores_early: bool,
    /// An entry of the stream counts before those of `memora_journal` that it knows.
    pub ignores_known_table: bool,
    /// A drain takes entries out of the journal before they are in the table.
    pub acknowledges_first: bool,
    /// A drain leaves the cached schedules that lack what it writes.
    pub drain_leaves_schedules: bool,
    /// A drain leaves a load that is under way, though it may lack what is written.
    pub drain_leaves_loads: bool,
    /// A drain that cannot look at the cached schedule marks nobody.
    pub drain_leaves_unseen: bool,
    /// A drain drops the cached schedules that lack what it writes once it has written it.
    pub drops_after_commit: bool,
    /// A drain reads the journal, and then `memora_journal`, once each.
    pub drains_stream_first: bool,
    /// A drain reads `memora_journal`, and then the journal, once each.
    pub drains_table_first: bool,
    /// What was written is not kept, though the database may turn out to be an older one.
    pub forgets_what_is_written: bool,
    /// A load does not lay over the table what an older database lacks.
    pub loads_without_written: bool,
    /// A load counts entries of `memora_journal` that have an audit record.
    pub loads_written_rows: bool,
    /// A drain takes for lost what an entry was computed from, though it was written lately.
    pub takes_written_for_lost: bool,
    /// The journal's word is enough, whatever its replica has.
    pub asks_no_replica: bool,
    /// A load takes what the journal has, whatever its replica has.
    pub believes_journal: bool,
    /// A drain writes what the journal has, whatever its replica has.
    pub drains_what_lacks: bool,
    /// The journal was told that its look at MariaDB is over, though its replica does not know.
    pub tells_one_journal: bool,
}
