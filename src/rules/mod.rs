//! Rules that touch no server: the ladder, lineage, when the cache is believed.

pub mod acknowledgement;
pub mod alarm;
pub mod answer;
pub mod answer_log;
pub mod answered_at;
pub mod archive_step;
pub mod belief;
pub mod by_subject;
pub mod clock;
pub mod diff;
pub mod entry;
pub mod experience;
pub mod focus;
pub mod head;
pub mod ladder;
pub mod latency;
pub mod lineage;
pub mod names;
pub mod plan;
pub mod registration;
pub mod retention;
pub mod review;
pub mod safe_mode;
pub mod sample;
pub mod shard;
pub mod submission;
