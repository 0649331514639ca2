use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{scope, sleep};

use super::*;

/// What an in-memory server has seen.
#[derive(Default)]
struct Seen {
    made: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    pings: AtomicUsize,
    /// Connections up to this number are broken.
    broken: AtomicUsize,
}

struct TestServer(Arc<Seen>, Duration);

struct TestConnection {
    number: usize,
    seen: Arc<Seen>,
}

impl Drop for TestConnection {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TestConnection {
    fn ask(&self) -> Result<usize> {
        if self.number <= self.seen.broken.load(Ordering::SeqCst) {
            return Err(lost());
        }
        Ok(self.number)
    }
}

impl Connect for TestServer {
    type Connection = TestConnection;

    fn connect(&self, _probe: bool) -> Result<TestConnection> {
        let open = 1 + self.0.open.fetch_add(1, Ordering::SeqCst);
        self.0.most_open.fetch_max(open, Ordering::SeqCst);
        let number = 1 + self.0.made.fetch_add(1, Ordering::SeqCst);
        Ok(TestConnection { number, seen: Arc::clone(&self.0) })
    }

    fn test(&self, connection: TestConnection) -> Option<TestConnection> {
        connection.seen.pings.fetch_add(1, Ordering::SeqCst);
        connection.ask().is_ok().then_some(connection)
    }

    fn patience(&self) -> Duration {
        self.1
    }
}

fn lost() -> Error {
    Error::Unavailable { server: Server::Cache, cause: "it is down".to_owned(), answered: false }
}

/// A pool whose calls wait as long as the test takes, by default.
fn pool(options: PoolOptions) -> (Pool<TestServer>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let server = TestServer(Arc::clone(&seen), Duration::from_secs(600));
    let options = PoolOptions { acquire_timeout: Duration::from_secs(600), ..options };
    (Pool { options, ..Pool::new(Server::Cache, server) }, seen)
}

fn count(number: &AtomicUsize) -> usize {
    number.load(Ordering::SeqCst)
}

/// The number of the connection that a call gets.
fn number(pool: &Pool<TestServer>) -> Result<usize> {
    pool.with(|connection| connection.ask())
}

#[test]
fn a_hundred_threads_share_what_there_is() {
    let (pool, seen) = pool(PoolOptions { max_connections: 3, ..OPTIONS });
    let served = AtomicUsize::new(0);
    let work = |connection: &mut TestConnection| {
        sleep(Duration::from_micros(100));
        connection.ask()
    };
    scope(|threads| {
        for _ in 0..100 {
            threads.spawn(|| {
                for _ in 0..10 {
                    served.fetch_add(usize::from(pool.with(work).is_ok()), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(count(&served), 1_000);
    assert!(count(&seen.most_open) <= 3);
    assert_eq!(pool.lock().in_use, 0);
}

#[test]
fn a_call_that_waits_for_too_long_is_told_why() {
    let (mut pool, seen) = pool(PoolOptions { max_connections: 1, ..OPTIONS });
    pool.connector.1 = Duration::from_millis(1);
    let inner = pool.with(|_| Ok(number(&pool))).unwrap_or_else(Err);
    assert!(matches!(&inner, Err(Error::Exhausted { most: 1, .. })), "{inner:?}");
    // The server is healthy: no outage is reported.
    assert!(inner.is_err_and(|error| error.is_transient() && !error.is_failure_of(Server::Cache)));
    assert!(!pool.is_down());
    assert!(matches!(number(&pool), Ok(1)));
    assert_eq!(count(&seen.made), 1);
}

#[test]
fn nobody_waits_for_a_server_that_is_down() {
    let (pool, _) = pool(PoolOptions { max_connections: 1, ..OPTIONS });
    let (has_one, begins) = mpsc::channel();
    scope(|threads| {
        threads.spawn(|| {
            let failed = pool.with(|_| {
                has_one.send(()).ok();
                while pool.lock().waiting < 10 {
                    sleep(Duration::from_millis(1));
                }
                Err::<(), _>(lost())
            });
            assert!(failed.is_err());
        });
        begins.recv().ok();
        for _ in 0..10 {
            threads.spawn(|| assert!(number(&pool).is_err()));
        }
    });
    assert!(pool.is_down());
}

#[test]
fn a_panic_gives_its_connection_back() {
    let (pool, _) = pool(PoolOptions { max_connections: 1, ..OPTIONS });
    let panicked = scope(|threads| {
        threads.spawn(|| pool.with(|_| -> Result<()> { panic!("on purpose") })).join()
    });
    assert!(panicked.is_err());
    assert!(matches!(number(&pool), Ok(2)));
}

#[test]
fn a_connection_in_use_a_moment_ago_is_not_tested() {
    let (pool, seen) = pool(OPTIONS);
    for _ in 0..3 {
        assert!(matches!(number(&pool), Ok(1)));
    }
    assert_eq!(count(&seen.pings), 0);
}

#[test]
fn a_connection_that_was_idle_for_long_is_tested() {
    let (pool, seen) = pool(PoolOptions { test_after: Duration::ZERO, ..OPTIONS });
    for _ in 0..3 {
        assert!(matches!(number(&pool), Ok(1)));
    }
    assert_eq!(count(&seen.pings), 2);
    // The server has closed it meanwhile: the work is done once, on a new one.
    seen.broken.store(1, Ordering::SeqCst);
    let mut runs = 0;
    let second = pool.with(|connection| {
        runs += 1;
        connection.ask()
    });
    assert!(matches!(second, Ok(2)));
    assert_eq!((runs, count(&seen.open)), (1, 1));
    assert!(!pool.is_down());
}

#[test]
fn a_kept_connection_that_is_silent_is_no_outage() {
    let (pool, seen) = pool(OPTIONS);
    assert!(matches!(number(&pool), Ok(1)));
    let silent_up_to = |last: usize| {
        pool.with(
            |connection| {
                if connection.number <= last { Err(lost()) } else { connection.ask() }
            },
        )
    };
    assert!(matches!(silent_up_to(1), Ok(2)));
    assert!(!pool.is_down());
    // A new one is silent, too.
    assert!(silent_up_to(3).is_err());
    assert!(pool.is_down());
    assert_eq!(count(&seen.made), 3);
}

#[test]
fn a_connection_that_is_too_old_is_closed() {
    for options in [
        PoolOptions { idle_timeout: Duration::ZERO, ..OPTIONS },
        PoolOptions { max_lifetime: Duration::ZERO, ..OPTIONS },
    ] {
        let (pool, seen) = pool(options);
        assert!(matches!(number(&pool), Ok(1)));
        assert!(matches!(number(&pool), Ok(2)));
        assert!(count(&seen.open) <= 1);
    }
}

#[test]
fn the_last_one_used_is_used_again() {
    let (pool, _) = pool(OPTIONS);
    let both = pool.with(|first| Ok((first.ask()?, number(&pool)?)));
    assert!(matches!(both, Ok((1, 2))));
    for _ in 0..3 {
        // The inner call was done first.
        assert!(matches!(number(&pool), Ok(1)));
    }
}
