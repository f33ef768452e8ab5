//! Where damaged files go instead of being removed: `quarantine/` in the store's directory.
//!
//! What lies there is not read any more. It counts as damage until somebody has looked at
//! it and taken it away.

use std::io;
use std::path::{Path, PathBuf};

use crate::vfs::Vfs;

const NAME: &str = "quarantine";

/// The quarantine of a store's directory.
pub(crate) fn dir(store: &Path) -> PathBuf {
    store.join(NAME)
}

/// Moves a file of the store's directory `store/folder/file` to its quarantine; durable
/// there when this returns, the folder it came from is for the caller to sync. The second
/// name is durable before the first one goes: a rename across folders that a power cut
/// catches half way may leave no name at all.
pub(crate) fn take(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    keep(vfs, path)?;
    vfs.remove(path)
}

/// Puts a second name of a file of the store's directory into its quarantine, for when
/// the first one goes.
pub(crate) fn keep(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    let store = path.parent().and_then(Path::parent);
    let (Some(store), Some(name)) = (store, path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let aside = dir(store);
    vfs.create_dir(&aside)?;
    match vfs.link(path, &aside.join(name)) {
        // It is there already, from a try that failed later; or it is gone altogether.
        Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {}
        linked => linked?,
    }
    vfs.sync_dir(&aside)?;
    vfs.sync_dir(store)
}

/// The names of the files in quarantine, sorted; durable there when this returns.
pub(crate) fn files(vfs: &dyn Vfs, store: &Path) -> io::Result<Vec<String>> {
    let aside = dir(store);
    match vfs.list(&aside) {
        Ok(mut names) => {
            if !names.is_empty() {
                // A killed process may have moved one and not lived to make that durable.
                vfs.sync_dir(&aside)?;
            }
            names.sort();
            Ok(names)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}
