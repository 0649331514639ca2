//! Cache, journal and table tell the same, whoever cannot reach whom.

pub mod cache_access;
pub mod documents;
pub mod drain;
pub mod drain_request;
pub mod outage;
pub mod overdue;
pub mod rehydrate;
pub mod restored;
pub mod season;
pub mod trust;
