//! The few things the store asks of a file system, so that tests can answer in its place.
//!
//! Files are only ever appended to, read at an offset, renamed and removed.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod disk;
mod memory;

#[cfg(test)]
pub(crate) mod faulty;

pub(crate) use disk::Disk;
pub(crate) use memory::Memory;

/// A file system.
pub(crate) trait Vfs: Debug + Send + Sync {
    /// Creates a directory and its parents.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock on a directory until the answer is dropped; `None` if another
    /// process has it.
    fn lock(&self, dir: &Path) -> io::Result<Option<Lock>>;

    /// Names of the files in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a file or empties it.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>>;

    /// Opens a file to read.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>>;

    /// Cuts a file and makes the new length durable.
    fn cut(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Renames a file over another. Durable after [`sync_dir`](Self::sync_dir).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, or copies it where that cannot be; the content of a copy
    /// is durable. Durable after [`sync_dir`](Self::sync_dir).
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Durable after [`sync_dir`](Self::sync_dir).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that can still be written on the file system of a directory.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// A held lock; dropping it lets go.
pub(crate) type Lock = Box<dyn Debug + Send + Sync>;

/// A file being written.
pub(crate) trait Append: Debug + Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts back to a length, after a write that failed half way.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

/// A file being read.
pub(crate) trait ReadAt: Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Fills `out` from an offset, or fails.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Reads a whole file of at most `bytes_max` bytes.
pub(crate) fn read_all(vfs: &dyn Vfs, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = vfs.open(path)?;
    let len = file.len()?;
    if len > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes")));
    }
    let mut out = vec![0; len as usize];
    file.read_at(0, &mut out)?;
    Ok(out)
}
