//! memora's protocol as a state machine, checked over all interleavings of small cases: a few
//! processes, each of which reaches only some servers, one student, one question.
//!
//! The decisions are memora's own functions: ladder, plan, head, entry, lineage, belief (see
//! [`product`]). The servers and processes around them are in `look`, `load`, `submit` and `drain`,
//! one step for each round trip.

mod case;
mod cases;
mod checking;
mod drain;
mod failover;
mod load;
mod look;
mod moves;
mod outcome;
mod product;
mod reduce;
mod refuted;
mod rules;
mod season;
mod seen;
mod state;
mod step;
mod submit;
mod today;
mod undo;
