//! Work on a season piece by piece: while one piece waits for MariaDB, others wait for Redis.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Pieces that are worked on at a time: one more than keep two servers busy.
const WORKERS: usize = 3;

/// Works on one piece after another until `next` has none, and tells of each. The first error ends
/// it all: of `next`, of `work`, or of whoever is told.
///
/// The threads are of this call alone, so there is none for a fork to lose; `told` runs on the
/// caller's.
pub fn in_parallel<P: Send, R: Send>(
    next: impl FnMut() -> Result<Option<P>> + Send,
    work: impl Fn(P) -> Result<R> + Sync,
    mut told: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let next = Mutex::new(next);
    let is_over = AtomicBool::new(false);
    let piece = || -> Result<Option<P>> {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over.load(Ordering::Relaxed) { Ok(None) } else { next() }
    };
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (sender, piece, work, is_over) = (sender.clone(), &piece, &work, &is_over);
                scope.spawn(move || {
                    while let Some(outcome) =
                        piece().and_then(|piece| piece.map(work).transpose()).transpose()
                    {
                        let failed = outcome.is_err();
                        is_over.fetch_or(failed, Ordering::Relaxed);
                        if sender.send(outcome).is_err() || failed {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut outcome = Ok(());
        for result in results {
            if outcome.is_ok() {
                outcome = result.and_then(&mut told);
                is_over.fetch_or(outcome.is_err(), Ordering::Relaxed);
            }
        }
        for worker in workers {
            if worker.join().is_err() && outcome.is_ok() {
                outcome = Err(Error::Fault("a worker panicked: see the log".to_owned()));
            }
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_to(last: u32) -> impl FnMut() -> Result<Option<u32>> {
        let mut numbers = 1..=last;
        move || Ok(numbers.next())
    }

    fn fault(text: &str) -> Error {
        Error::Fault(text.to_owned())
    }

    #[test]
    fn every_piece_is_worked_on_once() {
        let mut sum = 0;
        let done = in_parallel(
            count_to(1_000),
            |number| Ok(2 * number),
            |doubled| {
                sum += doubled;
                Ok(())
            },
        );
        assert!(done.is_ok());
        assert_eq!(sum, 1_001_000);
    }

    #[test]
    fn the_first_error_ends_it() {
        let of_work = |number| if number == 5 { Err(fault("work")) } else { Ok(number) };
        let mut told = 0;
        let failed = in_parallel(count_to(u32::MAX), of_work, |_| {
            told += 1;
            Ok(())
        });
        assert!(matches!(failed, Err(Error::Fault(text)) if text == "work"));
        assert!(told < u32::MAX);
        let failed = in_parallel(count_to(u32::MAX), Ok, |_| Err(fault("told")));
        assert!(matches!(failed, Err(Error::Fault(text)) if text == "told"));
        let failed = in_parallel(|| Err::<Option<u32>, _>(fault("next")), Ok, |_| Ok(()));
        assert!(matches!(failed, Err(Error::Fault(text)) if text == "next"));
    }

    #[test]
    fn a_panic_is_an_error() {
        let failed = in_parallel(
            count_to(3),
            |number| if number == 2 { panic!("on purpose") } else { Ok(()) },
            Ok,
        );
        assert!(failed.is_err());
    }
}
