//! Preparing the tables, and cleaning records from before memora's keys.

use pyo3::prelude::*;

use super::Engine;
use super::progress::with_progress;
use crate::administrators::season_size;
use crate::servers::mariadb::storage;

#[pymethods]
impl Engine {
    fn prepare_storage(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(py.detach(|| self.0.prepare_storage())?)
    }

    fn create_partition(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.create_partition(season))?)
    }

    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<Partition>> {
        let partitions = py.detach(|| self.0.partitions())?;
        Ok(partitions.into_iter().map(Partition::from).collect())
    }

    fn season_size(&self, py: Python<'_>, season: &str) -> PyResult<Option<SeasonSize>> {
        Ok(py.detach(|| self.0.season_size(season))?.map(SeasonSize::from))
    }

    fn partition_exists(&self, py: Python<'_>, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.partition_exists(season))?)
    }

    fn has_records_without_season(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.has_records_without_season())?)
    }

    #[pyo3(signature = (season, progress=None))]
    fn give_season(
        &self,
        py: Python<'_>,
        season: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        with_progress(py, progress, u64::clone, |on_progress| {
            self.0.give_season(season, on_progress)
        })
    }

    #[pyo3(signature = (progress=None))]
    fn remove_duplicates(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        with_progress(py, progress, u64::clone, |on_progress| self.0.remove_duplicates(on_progress))
    }

    fn mend_clock(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.mend_clock())?)
    }

    fn free_old_cache(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.free_old_cache())?)
    }

    fn uninstall(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.uninstall())?)
    }
}

#[derive(IntoPyObject)]
struct Partition {
    name: String,
    rows: u64,
    bytes: u64,
}

impl From<storage::Partition> for Partition {
    fn from(partition: storage::Partition) -> Partition {
        Partition { name: partition.name, rows: partition.rows, bytes: partition.bytes }
    }
}

#[derive(IntoPyObject)]
struct SeasonSize {
    records: u64,
    are_records_estimated: bool,
    students: u64,
    are_students_estimated: bool,
    bytes: u64,
}

impl From<season_size::SeasonSize> for SeasonSize {
    fn from(size: season_size::SeasonSize) -> SeasonSize {
        SeasonSize {
            records: size.records,
            are_records_estimated: size.are_records_estimated,
            students: size.students,
            are_students_estimated: size.are_students_estimated,
            bytes: size.bytes,
        }
    }
}
