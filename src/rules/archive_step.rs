//! The steps of archiving a season.

/// The steps of archiving a season.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Records are copied.
    Copying,
    /// Each record is compared with its copy.
    Verifying,
    /// The season's records leave the live table.
    Freeing,
    /// Leftover records and the season's cached schedules are removed.
    Clearing,
    /// The season is archived.
    Done,
}

impl Step {
    const ALL: [Step; 5] =
        [Step::Copying, Step::Verifying, Step::Freeing, Step::Clearing, Step::Done];

    /// The step's name for tables and programs.
    pub fn name(self) -> &'static str {
        match self {
            Step::Copying => "copying",
            Step::Verifying => "verifying",
            Step::Freeing => "freeing",
            Step::Clearing => "clearing",
            Step::Done => "done",
        }
    }

    /// The step of this name.
    pub fn named(name: &str) -> Option<Step> {
        Step::ALL.into_iter().find(|step| step.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_by_their_names() {
        for step in Step::ALL {
            assert_eq!(Step::named(step.name()), Some(step));
        }
        assert_eq!(Step::named(""), None);
    }
}
