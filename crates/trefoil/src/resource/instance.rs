//! An id for this instance of the service that no other one has, and that stays the same
//! when the service is restarted.
//!
//! The host's name alone is what people expect to read, but two instances on a host would be
//! one to every store; a random id makes new series of all metrics at every restart. So the
//! first instance on a host takes the host's name, the second `name-2`, and so on: each holds
//! a lock on a file for as long as it runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Instances of one service on one host that are told apart by small numbers.
const SLOTS: u32 = 64;

/// The id, and the lock that keeps it ours.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    _lock: Option<File>,
}

impl Instance {
    /// Takes the first number that is free on this host.
    pub(crate) fn claim(service: &str, host: &str) -> Instance {
        Instance::claim_in(&std::env::temp_dir(), service, host)
    }

    fn claim_in(folder: &Path, service: &str, host: &str) -> Instance {
        let service = file_name(service);
        for slot in 1..=SLOTS {
            let path = folder.join(format!("trefoil-{service}-{slot}.lock"));
            // Never truncated and never written: whatever lies there stays as it is.
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            // Another user's file is another user's instance.
            let Ok(file) = options.open(&path) else { continue };
            match file.try_lock() {
                Ok(()) => {
                    let id = if slot == 1 { host.to_owned() } else { format!("{host}-{slot}") };
                    return Instance { id, _lock: Some(file) };
                }
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks tells nobody apart.
                Err(TryLockError::Error(_)) => break,
            }
        }
        Instance { id: format!("{host}-{}", std::process::id()), _lock: None }
    }
}

fn file_name(service: &str) -> String {
    const CHARS_MAX: usize = 64;
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    service.chars().map(clean).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_on_a_host_are_told_apart_and_keep_their_id_over_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claim = |service| Instance::claim_in(folder.path(), service, "host");
        let (first, second) = (claim("api"), claim("api"));
        assert_eq!((first.id.as_str(), second.id.as_str()), ("host", "host-2"));
        assert_eq!(claim("other/service").id, "host");
        drop(first);
        assert_eq!(claim("api").id, "host");
    }

    #[test]
    fn without_a_folder_to_write_to_the_process_tells_them_apart() {
        let nowhere = Path::new("/proc/nowhere");
        let id = Instance::claim_in(nowhere, "api", "host").id;
        assert_eq!(id, format!("host-{}", std::process::id()));
    }
}
