//! The one switch that stops writing for good.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Set once, with the reason; never unset. Reading goes on.
#[derive(Debug, Default)]
pub(super) struct Poison {
    why: OnceLock<String>,
}

impl Poison {
    /// # Errors
    /// [`Error::Poisoned`] with the reason.
    pub(super) fn check(&self) -> Result<()> {
        self.why().map_or(Ok(()), |why| Err(Error::Poisoned(why)))
    }

    pub(super) fn set(&self, why: String) {
        // The first reason is the cause; later ones follow from it.
        let _ = self.why.set(why);
    }

    pub(super) fn why(&self) -> Option<String> {
        self.why.get().cloned()
    }

    /// Poisons if the thread panics before the guard is dropped.
    pub(super) fn on_panic(&self, what: &'static str) -> PanicGuard<'_> {
        PanicGuard { poison: self, what }
    }
}

/// See [`Poison::on_panic`].
#[derive(Debug)]
pub(super) struct PanicGuard<'a> {
    poison: &'a Poison,
    what: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poison.set(format!("{} panicked", self.what));
        }
    }
}
