//! Work on a season piece by piece: while one piece waits for MariaDB, others wait for Redis.

use std::sync::{Mutex, mpsc};

use crate::engine::threads::with_threads;
use crate::error::Result;
use crate::lock::lock;

/// How many pieces are worked on at a time: one more than is needed to keep two servers busy.
const WORKERS: usize = 3;

/// Works on pieces in parallel, and reports the result of each to `told`. Each worker asks `next`
/// until it returns `None`. The first error of `next`, `work` or `told` ends the work.
///
/// `next` and `work` run on threads of this call, `told` on the caller's.
pub fn in_parallel<P: Send, R: Send>(
    next: impl FnMut() -> Result<Option<P>> + Send,
    work: impl Fn(P) -> Result<R> + Sync,
    mut told: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let next = Mutex::new(next);
    let piece = || lock(&next)();
    let work_on_next = &|| piece()?.map(&work).transpose();
    with_threads(WORKERS, |threads| {
        let (sender, results) = mpsc::channel();
        threads.in_place_scope(|scope| {
            scope.spawn_broadcast(move |_, _| {
                while let Some(done) = work_on_next().transpose() {
                    let failed = done.is_err();
                    // Results after the first error are not reported.
                    if sender.send(done).is_err() || failed {
                        break;
                    }
                }
            });
            results.into_iter().try_for_each(|done| told(done?))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::Error;

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
    fn a_piece_that_another_one_gives_rise_to_is_worked_on() {
        let (mut given, done, mut told) = (0, AtomicU32::new(0), 0);
        let next = || {
            let is_there = given < 5 || (given < 10 && done.load(Ordering::SeqCst) >= 5);
            given += u32::from(is_there);
            Ok(is_there.then_some(()))
        };
        let work = |()| {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let outcome = in_parallel(next, work, |()| {
            told += 1;
            Ok(())
        });
        assert!(outcome.is_ok());
        assert_eq!(told, 10);
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
