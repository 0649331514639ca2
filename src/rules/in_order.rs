//! The order in which waiting entries of both places count, and which of them count. Pure.

use std::collections::{HashMap, HashSet};

use crate::rules::acknowledgement::has_key;
use crate::rules::entry::Entry;

/// Merges the entries that wait in both places into the order in which they count. Entries of the
/// journal's stream stay in its order, those of `memora_journal` are sorted by id.
///
/// A process writes to the table only entries that the stream did not take. So an entry of the
/// stream that does not know one of the table came before it, or at the same time. A submission
/// that is in both places, because the stream's reply came too late, counts once, from the earlier
/// time. So does a submission that is in the stream twice, because it was sent again after a drain
/// had removed it. A journal that comes back may have a submission with a key that has since been
/// taken again as an entry of another order. Then the first one counts, and the other only leaves
/// its order.
pub fn in_order(mut stream: Vec<Entry>, mut table: Vec<(i64, Entry)>) -> Vec<Entry> {
    let mut seen = HashSet::with_capacity(stream.len());
    stream.retain(|entry| seen.insert((entry.token.clone(), entry.order)));
    let mut in_stream: HashMap<(String, i64), &mut Entry> =
        stream.iter_mut().map(|entry| ((entry.token.clone(), entry.order), entry)).collect();
    table.retain(|(_, entry)| match in_stream.get_mut(&(entry.token.clone(), entry.order)) {
        Some(same) => {
            same.kept_at_us = same.kept_at_us.min(entry.kept_at_us);
            false
        }
        None => true,
    });
    table.sort_by_key(|(id, _)| *id);
    let mut table = table.into_iter().peekable();
    let mut ordered = Vec::new();
    for entry in stream {
        while let Some((_, known)) = table.next_if(|(id, other)| comes_before(*id, other, &entry)) {
            ordered.push(known);
        }
        ordered.push(entry);
    }
    ordered.extend(table.map(|(_, entry)| entry));
    let mut seen = HashSet::with_capacity(ordered.len());
    let once = |entry: Entry| match seen.insert(entry.token.clone()) {
        true => entry,
        false => entry.counted(),
    };
    ordered.into_iter().map(once).collect()
}

/// The part of an entry that must still count, given the submissions that are in the table. A
/// submission with a key may be there as an entry of another order.
pub fn left_of(entry: &Entry, written: &HashSet<String>) -> Option<Entry> {
    match written.contains(&entry.token) {
        false => Some(entry.clone()),
        true => has_key(&entry.token).then(|| entry.clone().counted()),
    }
}

/// Whether an entry of the table counts before one of the stream. It does if the latter knows it.
/// The clocks of the two servers decide only if the process could not look and neither entry knows
/// the other.
fn comes_before(id: i64, of_table: &Entry, of_stream: &Entry) -> bool {
    let knows_it = of_table.base.journal >= of_stream.order;
    id <= of_stream.base.table
        || (!of_stream.is_sure && !knows_it && of_table.kept_at_us < of_stream.kept_at_us)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rules::clock::SiteZone;
    use crate::rules::head::Head;
    use crate::rules::plan::{by_question, plan};
    use crate::rules::review::Review;
    use crate::rules::submission::Submission;

    fn zone() -> SiteZone {
        SiteZone::named("UTC").unwrap_or_else(|error| panic!("{error}"))
    }

    pub(in crate::rules) fn entry(token: &str, id: &str, known: &[Review], order: i64) -> Entry {
        let given =
            Submission::from_responses(&format!(r#"[{{"question_id": "{id}", "quality": 5}}]"#));
        let given = given.unwrap_or_default();
        let known = by_question(known.to_vec());
        let planned = plan(&zone(), &given, &known, order, order / 1_000_000);
        let (token, times) = (token.to_owned(), (order, order));
        Entry::new(token, times, Head::default(), &given, &known, planned.reviews)
    }

    #[test]
    fn what_is_in_both_places_counts_once() {
        let twice = entry("a", "q", &[], 5_000_000);
        let ordered =
            in_order(vec![twice.clone()], vec![(1, twice), (2, entry("b", "q", &[], 3_000_000))]);
        let tokens: Vec<&str> = ordered.iter().map(|entry| entry.token.as_str()).collect();
        assert_eq!(tokens, ["a", "b"]);
    }

    #[test]
    fn only_clocks_of_servers_decide_where_nobody_could_look() {
        let unsure = Entry { is_sure: false, ..entry("a", "q", &[], 5_000_000) };
        let of_table = entry("b", "q", &[], 9_000_000);
        let tokens = |stream: i64, table: i64| -> Vec<String> {
            let stream = vec![unsure.clone().kept_at(stream)];
            let table = vec![(1, of_table.clone().kept_at(table))];
            in_order(stream, table).into_iter().map(|entry| entry.token).collect()
        };
        assert_eq!(tokens(1, 2), ["a", "b"]);
        assert_eq!(tokens(2, 1), ["b", "a"]);
    }
}
