//! The waiting entries of a student, and the outcome of writing them.

use std::collections::{HashMap, HashSet};

use super::audit::{audit, checksum};
use super::counted::Counted;
use crate::rules::entry::Entry;
use crate::rules::head::Head;
use crate::rules::in_order::in_order;
use crate::servers::mariadb::audits::Audit;
use crate::servers::mariadb::journal::TableEntry;
use crate::servers::redis::journal::{StreamEntry, kept_at_us, place};

/// Everything that waits of one student in a season.
pub(super) struct Waiting {
    pub player: String,
    pub season: String,
    /// In the order of the stream.
    pub stream: Vec<StreamEntry>,
    pub table: Vec<TableEntry>,
    /// The readable entries, in the order in which they count.
    pub entries: Vec<Entry>,
    /// The unreadable entries: the name for the Poison Review, the text, the reason.
    unreadable: Vec<(String, String, String)>,
    /// The token of each entry of the stream.
    pub stream_tokens: Vec<String>,
    /// What is known of each entry besides its content, by its token.
    known: HashMap<String, Known>,
}

/// What is known of an entry besides its content.
#[derive(Default)]
struct Known {
    /// Its order, if it is in the stream.
    order: Option<i64>,
    /// Its id in `memora_journal`, if it is there.
    id: Option<i64>,
    /// SHA-256 over its text.
    checksum: String,
}

/// Entries of one student that are written together: all that wait, or one.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub student: &'a Waiting,
    pub entries: &'a [Entry],
}

/// The outcome of writing a batch.
#[derive(Default)]
pub(super) struct Written {
    pub answers: usize,
    pub set_aside: usize,
    /// Tokens of submissions that are in MariaDB now.
    pub done: HashSet<String>,
    /// Tokens of entries that were computed from something that has not arrived.
    pub early: HashSet<String>,
    /// Students whose answers wait because another transaction has locked their records.
    pub locked: Vec<String>,
}

impl Written {
    /// Nothing was written of this student: another transaction has locked their records.
    pub fn locked(player: &str) -> Written {
        Written { locked: vec![player.to_owned()], ..Written::default() }
    }

    pub fn add(&mut self, other: Written) {
        self.answers += other.answers;
        self.set_aside += other.set_aside;
        self.done.extend(other.done);
        self.early.extend(other.early);
        self.locked.extend(other.locked);
    }
}

impl Waiting {
    pub fn new(
        (player, season): (String, String),
        (mut stream, table): (Vec<StreamEntry>, Vec<TableEntry>),
    ) -> Waiting {
        stream.sort_by_key(|entry| place(&entry.id));
        let mut known: HashMap<String, Known> = HashMap::new();
        let (mut of_stream, mut of_table) = (Vec::new(), Vec::new());
        let (mut unreadable, mut stream_tokens) = (Vec::new(), Vec::new());
        let is_named = !player.is_empty() && !season.is_empty();
        let read = |text: &str, id: &str| {
            if is_named {
                return Entry::read(text, id);
            }
            Err("the entry names no player or no season".to_owned())
        };
        for entry in &stream {
            match read(&entry.text, &entry.id) {
                Ok(read) => {
                    let known = known.entry(read.token.clone()).or_default();
                    (known.order, known.checksum) = (Some(read.order), checksum(&entry.text));
                    stream_tokens.push(read.token.clone());
                    of_stream.push(read.kept_at(kept_at_us(&entry.id)));
                }
                Err(reason) => {
                    stream_tokens.push(entry.id.clone());
                    unreadable.push((entry.id.clone(), entry.text.clone(), reason));
                }
            }
        }
        for entry in &table {
            match read(&entry.text, &entry.token) {
                Ok(read) => {
                    let known = known.entry(read.token.clone()).or_default();
                    (known.id, known.checksum) = (Some(entry.id), checksum(&entry.text));
                    of_table.push((entry.id, read.kept_at(entry.kept_at_us)));
                }
                Err(reason) => unreadable.push((entry.token.clone(), entry.text.clone(), reason)),
            }
        }
        let entries = in_order(of_stream, of_table);
        Waiting { player, season, stream, table, entries, unreadable, stream_tokens, known }
    }

    /// Whether each entry was computed from the one before it, as those of the stream are.
    pub fn is_chain(&self) -> bool {
        self.table.is_empty()
            && self.entries.iter().all(|entry| !entry.submission.answers.is_empty())
    }

    /// Player and season.
    pub fn name(&self) -> (&str, &str) {
        (&self.player, &self.season)
    }

    /// Whether a schedule with this head has all submissions. A later one may not know what is in
    /// `memora_journal`, so their orders alone do not tell.
    pub fn is_known_to(&self, head: Head) -> bool {
        self.entries.iter().all(|entry| self.knows(head, entry))
    }

    /// The order of the newest submission, if it was computed from all others.
    pub fn newest(&self) -> Option<i64> {
        let newest = self.entries.iter().max_by_key(|entry| entry.order)?;
        let mut others = self.entries.iter().filter(|entry| entry.token != newest.token);
        others.all(|entry| self.knows(newest.base, entry)).then_some(newest.order)
    }

    fn knows(&self, head: Head, entry: &Entry) -> bool {
        self.known.get(&entry.token).is_some_and(|known| {
            known.order.is_some_and(|order| head.journal >= order)
                || known.id.is_some_and(|id| head.table >= id)
        })
    }

    /// The audit record of an entry with this outcome.
    pub fn audit<'a>(&'a self, entry: &'a Entry, counted: Counted) -> Audit<'a> {
        let known = self.known.get(&entry.token);
        let checksum = known.map(|known| known.checksum.clone()).unwrap_or_default();
        let Counted { on, replaced, .. } = counted;
        Audit { replaced, ..audit(&entry.token, self.name(), (entry, &on), checksum) }
    }

    /// The unreadable entries: name, text, reason.
    pub fn unreadable(&self) -> &[(String, String, String)] {
        &self.unreadable
    }

    /// The ids in `memora_journal` of submissions that are done.
    pub fn ids_of<'a>(&'a self, done: &'a HashSet<String>) -> impl Iterator<Item = i64> + 'a {
        self.table.iter().filter(|entry| done.contains(&entry.token)).map(|entry| entry.id)
    }
}
