//! Copies of a store: taken while it runs, put back where there is none.

use std::path::Path;
use std::sync::Arc;

use super::open::{PARTS_DIR, WAL_DIR};
use super::{Store, hold};
use crate::error::{Error, Failure, Result};
use crate::manifest::Manifest;
use crate::stats::Copied;
use crate::vfs::{Disk, Vfs};

impl Store {
    /// Makes a backup of everything acknowledged so far in a directory that is new or
    /// empty. Parts are hard links where the file system allows it, so it takes hardly any
    /// time and room; it is a directory of data of its own, and complete once it has a
    /// manifest.
    ///
    /// # Errors
    /// The directory holds something, or the disk refused.
    pub fn backup(&self, to: &Path) -> Result<Copied> {
        self.flush()?;
        // Files of the parts in hand stay until they are let go.
        let (mut manifest, _parts) = {
            let maintenance = hold(&self.maintenance);
            (maintenance.manifest.clone(), Arc::clone(&hold(&self.view).parts))
        };
        let vfs = &*self.vfs;
        let parts_dir = prepare(vfs, to)?;
        let mut copied = Copied::default();
        let mut gone = Vec::new();
        for part in &manifest.parts {
            let name = part.file_name();
            let (from, place) = (self.dir.join(PARTS_DIR).join(&name), parts_dir.join(&name));
            match vfs.link(&from, &place) {
                Ok(()) => {
                    copied.files += 1;
                    copied.bytes += part.bytes;
                }
                // It could not be opened, so nobody has kept it from expiring.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => gone.push(part.id),
                Err(e) => return Err(Error::io("link to", &place, e)),
            }
        }
        manifest.parts.retain(|part| !gone.contains(&part.id));
        seal(vfs, to, &manifest)?;
        Ok(copied)
    }
}

/// Copies a backup to a directory that is new or empty, and checks that it opens there.
/// The backup stays as it is.
///
/// # Errors
/// There is no complete backup, the directory holds something, or the disk refused.
pub fn restore(from: &Path, to: &Path) -> Result<Copied> {
    let vfs = Disk { fsync: true };
    let Some(manifest) = Manifest::load(&vfs, from)? else {
        let why = "it has no manifest, so it is no complete backup".to_owned();
        return Err(Error::Corrupt { path: from.to_owned(), why });
    };
    let segments = vfs.list(&from.join(WAL_DIR)).unwrap_or_default();
    if segments.iter().any(|name| name.ends_with(".wal")) {
        let why = "it is a directory of data in use, not a backup; copying it would lose what \
                   its log holds"
            .to_owned();
        return Err(Error::Corrupt { path: from.to_owned(), why });
    }
    let parts_dir = prepare(&vfs, to)?;
    let mut copied = Copied::default();
    for part in &manifest.parts {
        let name = part.file_name();
        let (source, place) = (from.join(PARTS_DIR).join(&name), parts_dir.join(&name));
        copied.bytes +=
            std::fs::copy(&source, &place).map_err(|e| Error::io("copy", &source, e))?;
        let file = std::fs::File::open(&place).and_then(|file| file.sync_all());
        file.map_err(|e| Error::io("sync", &place, e))?;
        copied.files += 1;
    }
    seal(&vfs, to, &manifest)?;
    Ok(copied)
}

/// Makes the directories; what is there already must not be touched.
fn prepare(vfs: &dyn Vfs, to: &Path) -> Result<std::path::PathBuf> {
    let parts_dir = to.join(PARTS_DIR);
    for dir in [to, &parts_dir, &to.join(WAL_DIR)] {
        let is_empty = match vfs.list(dir) {
            Ok(names) => names.iter().all(|name| dir == to && is_ours(name)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
            Err(e) => return Err(Error::io("list", dir, e)),
        };
        if !is_empty {
            let why = "it is not empty".to_owned();
            return Err(Error::Corrupt { path: dir.to_owned(), why });
        }
    }
    vfs.create_dir(&parts_dir).map_err(|e| Error::io("create", &parts_dir, e))?;
    Ok(parts_dir)
}

/// Left by a try that failed: empty directories.
fn is_ours(name: &str) -> bool {
    name == PARTS_DIR || name == WAL_DIR
}

/// The manifest comes last: with it the copy is complete.
fn seal(vfs: &dyn Vfs, to: &Path, manifest: &Manifest) -> Result<()> {
    let parts_dir = to.join(PARTS_DIR);
    vfs.sync_dir(&parts_dir).map_err(|e| Error::io("sync", &parts_dir, e))?;
    manifest.save(vfs, to).map_err(Failure::into_error)?;
    if let Some(parent) = to.parent().filter(|p| !p.as_os_str().is_empty()) {
        vfs.sync_dir(parent).map_err(|e| Error::io("sync", parent, e))?;
    }
    Ok(())
}
