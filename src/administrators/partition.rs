//! The table's shape on disk: keys, collation, a partition for each season (spec section 5).

use crate::administrators::upgrade::take_over_blind_answers;
use crate::engine::{Engine, Process};
use crate::error::{Error, Result};
use crate::servers::mariadb::storage::Partition;
use crate::servers::mariadb::{archive, doctypes, storage};
use crate::servers::pool::Connect;

impl Engine {
    /// Gives the tables their keys, collation, partitions and index. Returns a line for each
    /// change.
    ///
    /// # Errors
    /// When a DocType or a field is missing, the table has records that fit no primary key, or
    /// MariaDB is down.
    pub fn prepare_storage(&self) -> Result<Vec<String>> {
        let server = &self.settings.background;
        let mut connection = server.connect(false)?;
        // Checked before anything is created.
        doctypes::check(&mut connection)?;
        let _held = storage::lock(server, &mut connection)?;
        let mut changes = storage::prepare(&mut connection)?;
        self.put_back_moved(&self.process())?;
        let taken_over = take_over_blind_answers(&mut connection, self.settings.writing())?;
        changes.extend(taken_over.map(|count| {
            format!("took over {count} answers of memora_blind_answer into memora_journal")
        }));
        if let Err(error) = self.notice_restored() {
            log::debug!(
                "the check whether the database was restored is repeated within a minute: \
                 {error}"
            );
        }
        Ok(changes)
    }

    /// Creates a season's partition. Returns false if it existed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a name that no season can have, [`Error::SeasonArchived`] for
    /// one that is archived or being archived.
    pub fn create_partition(&self, season: &str) -> Result<bool> {
        let process = self.process();
        if process.background.with(|database| archive::is_archived(database, season))? {
            return Err(Error::SeasonArchived(season.to_owned()));
        }
        self.give_partition(&process, season)
    }

    /// As [`Engine::create_partition`], but also for a season that is being archived.
    pub(crate) fn give_partition(&self, process: &Process, season: &str) -> Result<bool> {
        let is_new =
            process.background.with(|database| storage::create_partition(database, season))?;
        self.put_back_moved(process)?;
        Ok(is_new)
    }

    /// The live table's partitions sorted by name: one for each season, and the default one.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        self.process().background.with(storage::partitions)
    }

    /// Whether a season has its partition.
    ///
    /// # Errors
    /// When MariaDB is down.
    pub fn partition_exists(&self, season: &str) -> Result<bool> {
        self.process().database.with(|database| storage::partition_exists(database, season))
    }
}
