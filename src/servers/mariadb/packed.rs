//! Rows of records as one text. To take a thousand rows of a protocol apart costs a client as much as
//! it costs MariaDB to find them.

use mysql::Value;

/// A record: question, stability, dates of the next and the last review, order, subject and topic.
pub type Row = (String, i64, Value, Value, Option<i64>, Option<String>, Option<String>);

/// How long a text may become, in bytes: less than any server takes in a packet by default. MariaDB
/// cuts off what is longer.
pub const LONGEST: usize = 1 << 20;

/// All rows as one text: of each its numbers and dates, how long the names are, the names.
pub const PACKED: &str = "GROUP_CONCAT(stability, ',', COALESCE(next_review_date, ''), ',', \
    COALESCE(last_review_date, ''), ',', COALESCE(answered_at_us, 0), ',', LENGTH(question_id), \
    ',', LENGTH(COALESCE(subject, '')), ',', LENGTH(COALESCE(topic, '')), ',', question_id, \
    COALESCE(subject, ''), COALESCE(topic, '') SEPARATOR '')";

/// The rows of [`PACKED`], as far as it is whole.
pub fn unpacked(text: &[u8]) -> impl Iterator<Item = Row> {
    let mut rest = text;
    std::iter::from_fn(move || unpack_row(&mut rest))
}

fn unpack_row(rest: &mut &[u8]) -> Option<Row> {
    let stability = number(until_comma(rest)?)?;
    let (next_review, last_review) = (date(until_comma(rest)?), date(until_comma(rest)?));
    let answered_at_us = number(until_comma(rest)?)?;
    let mut length = || usize::try_from(number(until_comma(rest)?)?).ok();
    let (of_id, of_subject, of_topic) = (length()?, length()?, length()?);
    let mut name = |length: usize| {
        let (name, others) = rest.split_at_checked(length)?;
        *rest = others;
        String::from_utf8(name.to_vec()).ok()
    };
    let (question_id, subject, topic) = (name(of_id)?, name(of_subject)?, name(of_topic)?);
    let (answered_at_us, subject, topic) = (Some(answered_at_us), Some(subject), Some(topic));
    Some((question_id, stability, next_review, last_review, answered_at_us, subject, topic))
}

/// What comes before the next comma.
fn until_comma<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b',')?;
    let part = &rest[..end];
    *rest = &rest[end + 1..];
    Some(part)
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A date as MariaDB writes it, `YYYY-MM-DD HH:MM:SS` and perhaps a fraction, which nobody reads;
/// NULL for anything else.
fn date(text: &[u8]) -> Value {
    let part = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let digit = |value: Option<u16>, byte: &u8| {
            byte.is_ascii_digit().then(|| value.map(|value| 10 * value + u16::from(byte - b'0')))?
        };
        digits.iter().fold(Some(0), digit)
    };
    let short = |from: usize| u8::try_from(part(from, from + 2)?).ok();
    let read = || {
        Some(Value::Date(part(0, 4)?, short(5)?, short(8)?, short(11)?, short(14)?, short(17)?, 0))
    };
    read().unwrap_or(Value::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "4,2026-12-10 05:59:12.000000,,17,6,0,4,q,1\u{e9}\u{e9}Tree0,0000-00-00 00:00:00,\
        2026-01-02 03:04:05.678901,0,1,3,0,qArt";

    #[test]
    fn rows_are_read_from_their_text() {
        let date = Value::Date(2026, 12, 10, 5, 59, 12, 0);
        let (no_name, tree) = (Some(String::new()), Some("Tree".to_owned()));
        let no_date = Value::Date(0, 0, 0, 0, 0, 0, 0);
        let last = Value::Date(2026, 1, 2, 3, 4, 5, 0);
        let found: Vec<Row> = unpacked(TEXT.as_bytes()).collect();
        let id = "q,1\u{e9}\u{e9}".to_owned();
        assert_eq!(found[0], (id, 4, date, Value::NULL, Some(17), no_name.clone(), tree));
        assert_eq!(
            found[1],
            ("q".to_owned(), 0, no_date, last, Some(0), Some("Art".to_owned()), no_name)
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_text_that_was_cut_off_lacks_rows() {
        for end in 0..TEXT.len() {
            assert!(unpacked(&TEXT.as_bytes()[..end]).count() < 2, "{end}");
        }
    }
}
