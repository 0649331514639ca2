//! Which rules the processes of a model follow: memora's, or others that the checker must refuse.

/// Each switch breaks one rule. None is set in memora itself.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules of the commit before: a process that reaches the journal trusts it, and never
    /// looks at MariaDB.
    pub journal_is_enough: bool,
    /// The rules of the commit before: an answer that the journal does not take is written into the
    /// table of records at once, and the newer of two states wins.
    pub writes_at_once: bool,
    /// The rules of the commit before: a drain reads the answers that were written past it from the
    /// snapshot of its transaction. Only with `writes_at_once`.
    pub reads_old_snapshot: bool,
    /// Clocks say which of two entries came first.
    pub goes_by_clocks: bool,
    /// A load fills the cache whatever came in between.
    pub has_no_fence: bool,
    /// A dropped schedule does not remove the fence of a load.
    pub drop_keeps_fence: bool,
    /// A student is marked without waiting until all processes know it.
    pub does_not_wait: bool,
    /// A process that cannot tell the journal waits as if it had.
    pub waits_for_a_lease_only: bool,
    /// The journal is not told that its look at MariaDB is over.
    pub does_not_revoke: bool,
    /// A confirmation lives for a lease from its end, however long ago its look was claimed.
    pub confirmation_outlives_claim: bool,
    /// A confirmation is noted even if its claim is no longer valid.
    pub confirms_without_claim: bool,
    /// Marks may come in while others are settled.
    pub settles_without_lock: bool,
    /// A schedule that was read before it was repaired is still shown.
    pub shows_what_it_read_before: bool,
    /// A look does not ask which run of the cache counts.
    pub believes_any_run: bool,
    /// The registered run is replaced although a process may believe it.
    pub takes_without_waiting: bool,
    /// The registered run is replaced at once, even if a process believes it.
    pub takes_what_is_believed: bool,
    /// A look through the registered run does not refuse a challenge.
    pub does_not_defend: bool,
    /// A newly registered run keeps its schedules.
    pub takes_with_old_schedules: bool,
    /// A confirmation of one run of the cache confirms another that has a copy of it.
    pub confirms_any_run: bool,
    /// A look that the journal shares serves every run of the cache.
    pub shares_looks_of_any_run: bool,
    /// An answer that the cache was shown is acknowledged without a look whether the run is
    /// registered.
    pub shows_without_looking: bool,
    /// A process removes its mark once its schedule was dropped in any run of the cache.
    pub unmarks_for_any_run: bool,
    /// Marked schedules are dropped in whichever run of the cache is reached then.
    pub repairs_any_run: bool,
    /// The cache is shown an answer whatever it was computed from.
    pub ignores_cached_head: bool,
    /// An entry computed without the journal is still appended to it.
    pub appends_blindly: bool,
    /// The journal takes an entry whatever its head.
    pub has_no_conflicts: bool,
    /// A drain counts entries that have an audit record.
    pub ignores_audits: bool,
    /// A drain applies entries that came before their predecessors.
    pub ignores_early: bool,
    /// An entry of the stream counts before those of `memora_journal` that it knows.
    pub ignores_known_table: bool,
    /// A drain takes entries out of the journal before they are in the table.
    pub acknowledges_first: bool,
    /// A drain leaves the cached schedules that lack what it writes.
    pub drain_leaves_schedules: bool,
    /// A drain leaves a load that is under way, although it may lack what is written.
    pub drain_leaves_loads: bool,
    /// A drain that cannot check the cached schedule marks no student.
    pub drain_leaves_unseen: bool,
    /// A drain drops the cached schedules that lack what it writes only after writing it.
    pub drops_after_commit: bool,
    /// A drain reads the journal, and then `memora_journal`, once each.
    pub drains_stream_first: bool,
    /// A drain reads `memora_journal`, and then the journal, once each.
    pub drains_table_first: bool,
    /// Written entries are not kept, although the database may turn out to be an older one.
    pub forgets_what_is_written: bool,
    /// A load does not apply entries that an older database lacks.
    pub loads_without_written: bool,
    /// A load counts entries of `memora_journal` that have an audit record.
    pub loads_written_rows: bool,
    /// A drain counts an entry's predecessor as lost, although it was written lately.
    pub takes_written_for_lost: bool,
    /// The journal's reply is enough, whatever its replica has.
    pub asks_no_replica: bool,
    /// A load takes what the journal has, whatever its replica has.
    pub believes_journal: bool,
    /// A drain writes what the journal has, whatever its replica has.
    pub drains_what_lacks: bool,
    /// An undo counts although its question was answered otherwise.
    pub undoes_in_any_case: bool,
    /// A submission is undone although its question was answered since.
    pub undoes_what_was_answered_since: bool,
    /// An undo that was kept is acknowledged without a look whether it counts.
    pub undoes_without_looking: bool,
    /// An undo is acknowledged although a failover of the journal may still change its place.
    pub undoes_in_one_journal: bool,
    /// An undo is acknowledged although it does not know what waits in `memora_journal`.
    pub undoes_beside_others: bool,
    /// A submission is undone by a process that cannot ask the journal.
    pub undoes_without_journal: bool,
    /// A submission is undone to what it was computed from, although it was written to something
    /// else.
    pub undoes_to_what_it_knew: bool,
    /// The journal was told that its look at MariaDB is over, though its replica does not know.
    pub tells_one_journal: bool,
}
