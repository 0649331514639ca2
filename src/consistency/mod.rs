//! Cache, journal and table tell the same, whoever cannot reach whom.

pub mod drain;
pub mod outage;
pub mod overdue;
pub mod rehydrate;
pub mod restored;
pub mod season;
pub mod trust;
pub mod write;
