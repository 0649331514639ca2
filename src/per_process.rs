//! What belongs to one process: nothing of it survives a fork.

use std::mem::forget;
use std::process::id;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value of which each process has its own.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(ArcSwap<Own<T>>);

#[derive(Debug)]
struct Own<T> {
    process: u32,
    value: Arc<T>,
}

impl<T> Own<T> {
    fn new(value: T) -> Own<T> {
        Own { process: id(), value: Arc::new(value) }
    }
}

impl<T> PerProcess<T> {
    /// The value of the process that makes it.
    pub(crate) fn new(value: T) -> PerProcess<T> {
        PerProcess(ArcSwap::from_pointee(Own::new(value)))
    }

    /// The calling process's value; made at its first call after a fork.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let current = self.0.load();
        if current.process == id() {
            return Arc::clone(&current.value);
        }
        let own = Arc::new(Own::new(make()));
        let previous = self.0.compare_and_swap(&*current, Arc::clone(&own));
        if !Arc::ptr_eq(&previous, &current) {
            // Another thread of this process was first.
            return Arc::clone(&previous.value);
        }
        // Never dropped: that would close connections that the parent still uses.
        forget(Arc::clone(&previous));
        Arc::clone(&own.value)
    }
}

impl<T> Drop for PerProcess<T> {
    /// A child that drops an inherited value leaks its parent's part, used or not.
    fn drop(&mut self) {
        let current = self.0.load_full();
        if current.process != id() {
            forget(current);
        }
    }
}
