//! The cache of one student, for `memora.services.srs_redis_manager`.

use pyo3::prelude::*;

use super::Engine;
use super::students::{Question, questions};
use super::values::{Ordered, whole_seconds};
use crate::administrators::student_cache;
use crate::error::Result;
use crate::students::due::Source;

#[pymethods]
impl Engine {
    fn rehydrate(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<usize> {
        Ok(py.detach(|| self.0.rehydrate(player, season))?)
    }

    #[pyo3(signature = (player, season, limit=20))]
    fn due_in_season(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        limit: u32,
    ) -> PyResult<Vec<Question>> {
        let (reviews, _) = py.detach(|| self.0.due_in_season(player, season, limit))?;
        Ok(questions(&self.0.settings.zone, reviews))
    }

    fn due_ids_in_season(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        limit: u32,
    ) -> PyResult<(Vec<String>, bool)> {
        let (reviews, source) = py.detach(|| self.0.due_in_season(player, season, limit))?;
        let ids = reviews.into_iter().map(|review| review.question_id).collect();
        Ok((ids, matches!(source, Source::Loaded | Source::Database)))
    }

    #[pyo3(signature = (player, season, items, seconds_to_live=None))]
    fn cache_add(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        items: Vec<(String, f64)>,
        seconds_to_live: Option<i64>,
    ) -> PyResult<usize> {
        let seconds_to_live = seconds_to_live.map(|life| u64::try_from(life).unwrap_or(0));
        let whole = |(id, seconds): (String, f64)| Ok((id, whole_seconds(seconds)?));
        let dates = items.into_iter().map(whole).collect::<Result<Vec<_>>>()?;
        Ok(py.detach(|| self.0.cache_add(player, season, &dates, seconds_to_live))?)
    }

    fn cache_remove(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        question_id: &str,
    ) -> PyResult<bool> {
        Ok(py.detach(|| self.0.cache_remove(player, season, question_id))?)
    }

    #[pyo3(signature = (player, season, limit=20))]
    fn cache_due(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
        limit: u32,
    ) -> PyResult<Vec<(String, f64)>> {
        Ok(py.detach(|| self.0.cache_due(player, season, limit))?)
    }

    fn cache_scores(
        &self,
        py: Python<'_>,
        player: &str,
        season: &str,
    ) -> PyResult<Ordered<String, f64>> {
        Ok(Ordered(py.detach(|| self.0.cache_scores(player, season))?))
    }

    fn cache_count_due(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<u64> {
        Ok(py.detach(|| self.0.cache_count_due(player, season))?)
    }

    fn cache_clear(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<bool> {
        Ok(py.detach(|| self.0.cache_clear(player, season))?)
    }

    fn cache_stats(&self, py: Python<'_>, player: &str, season: &str) -> PyResult<CacheStats> {
        Ok(py.detach(|| self.0.cache_stats(player, season))?.into())
    }
}

#[derive(IntoPyObject)]
struct CacheStats {
    complete: bool,
    records: u64,
    due: u64,
    memory_bytes: u64,
}

impl From<student_cache::CacheStats> for CacheStats {
    fn from(stats: student_cache::CacheStats) -> CacheStats {
        CacheStats {
            complete: stats.is_complete,
            records: stats.records,
            due: stats.due,
            memory_bytes: stats.memory_bytes,
        }
    }
}
