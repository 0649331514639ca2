//! Keeps cache, journals and table consistent, whichever servers fail.

pub mod backlog;
pub mod cache_access;
pub mod documents;
pub mod drain;
pub mod drain_request;
pub mod moment;
pub mod outage;
pub mod overdue;
pub mod registration;
pub mod rehydrate;
pub mod restored;
pub mod season;
pub mod trust;
