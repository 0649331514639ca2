//! A student in a season, as the cache knows them: the names of their keys, and what each script
//! that asks for their schedule needs.

use ::redis::{Script, ScriptInvocation};

use super::keys::Keys;
use crate::rules::hidden::Retired;

/// What is added to the generation to mark a schedule whose details have memories: generations are
/// lower. An older memora cannot read such details, and takes the schedule for one of another
/// generation. A schedule that an older memora marked is read as it is.
const HAS_MEMORIES: u64 = 1 << 52;

/// The generation that a schedule's marker names.
pub fn generation_of(marker: f64) -> u64 {
    // A marker is a generation, with or without the mark.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let marker = marker as u64;
    marker % HAS_MEMORIES
}

/// One student in one season, as the cache of one generation knows them.
#[derive(Clone, Copy)]
pub struct Student<'a> {
    /// The names of the keys.
    pub keys: &'a Keys,
    /// The student.
    pub player: &'a str,
    /// The season.
    pub season: &'a str,
    /// What `srs-season` holds while the caller's idea of the active season is right.
    pub season_token: &'a str,
    /// The generation in which a cached schedule can be believed.
    pub generation: u64,
    /// The questions that are retired.
    pub retired: &'a Retired,
}

impl Student<'_> {
    pub(super) fn schedule(&self) -> String {
        self.keys.schedule(self.player, self.season)
    }

    pub(super) fn details(&self) -> String {
        self.keys.details(self.player, self.season)
    }

    pub(super) fn by_subject(&self) -> String {
        self.keys.by_subject(self.player, self.season)
    }

    pub(super) fn fence(&self) -> String {
        self.keys.fence(self.player, self.season)
    }

    /// The marker of a schedule that is complete.
    pub(super) fn marker(&self) -> f64 {
        (self.generation + HAS_MEMORIES) as f64
    }

    /// A script's call with what `believed.lua` needs; the rest is the script's own.
    pub(super) fn ask<'s>(&self, script: &'s Script) -> ScriptInvocation<'s> {
        let mut call = script.key(&[
            self.keys.active_season(),
            self.schedule(),
            self.details(),
            self.keys.confirmation(),
        ]);
        call.arg(self.season_token).arg(self.believed_in());
        call
    }

    /// The generation and, if any question was ever retired, the version, as scripts take them.
    pub(super) fn believed_in(&self) -> String {
        match self.retired.version {
            0 => self.generation.to_string(),
            version => format!("{},{version}", self.generation),
        }
    }
}
