//! One test, run against the store in every state its data can be in.

use std::cell::RefCell;

use tempfile::TempDir;
use trefoil_store::{Batch, Result, Settings, Snapshot, Store};

/// Where the data of a test is when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In the head.
    Head,
    /// In a part for each append.
    Flushed,
    /// The first appends in parts, the last in the head.
    Mixed,
    /// In as few parts as may be.
    Merged,
    /// On disk, read back from the WAL.
    Replayed,
    /// On disk, read back from parts.
    Reopened,
}

/// A store that moves its data to where the state says.
pub(crate) struct Harness {
    state: State,
    dir: TempDir,
    store: RefCell<Option<Store>>,
}

/// Settings without retention: tests use small times.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.retention.metrics = None;
    settings.retention.logs = None;
    settings.retention.traces = None;
    settings
}

pub(crate) fn in_every_state(test: impl Fn(&Harness)) {
    use State::{Flushed, Head, Merged, Mixed, Reopened, Replayed};
    for state in [Head, Flushed, Mixed, Merged, Replayed, Reopened] {
        eprintln!("state: {state:?}");
        let dir = TempDir::new().unwrap();
        let store = match state {
            Replayed | Reopened => Store::open(dir.path(), settings()).unwrap(),
            _ => Store::in_memory(settings()),
        };
        test(&Harness { state, dir, store: RefCell::new(Some(store)) });
    }
}

impl Harness {
    pub(crate) fn append(&self, batch: &Batch) -> Result<()> {
        let store = self.store.borrow();
        let store = store.as_ref().unwrap();
        if self.state == State::Mixed {
            store.flush()?;
        }
        store.append(batch)?;
        match self.state {
            State::Flushed | State::Merged => store.flush(),
            _ => Ok(()),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        match self.state {
            State::Merged => self.store.borrow().as_ref().unwrap().merge().unwrap(),
            State::Replayed => {
                drop(self.store.borrow_mut().take());
                *self.store.borrow_mut() = Some(Store::open(self.dir.path(), settings()).unwrap());
            }
            State::Reopened => {
                self.store.borrow_mut().take().unwrap().close().unwrap();
                *self.store.borrow_mut() = Some(Store::open(self.dir.path(), settings()).unwrap());
            }
            State::Head | State::Flushed | State::Mixed => {}
        }
        self.store.borrow().as_ref().unwrap().snapshot()
    }
}
