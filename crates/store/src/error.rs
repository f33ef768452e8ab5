//! What can go wrong, grouped by what the caller can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of the store's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The directory is in use by another process.
    Locked(PathBuf),
    /// The operating system refused; says where. Retrying may help.
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is damaged or of an unknown version; says which and why.
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A start has cut a torn end off the log and failed later. The next start finds nothing
    /// to cut, so this is the only report of it.
    AfterCut {
        /// What was cut off.
        bytes: u64,
        /// Why the start failed.
        source: Box<Error>,
    },
    /// An fsync failed or a worker panicked: nothing is accepted until a restart. Reading goes on.
    Poisoned(String),
    /// Memory or disk is short: try again later.
    Busy(&'static str),
    /// The disk is full, or so nearly that what is left is held in reserve: try again later.
    DiskFull(String),
    /// The batch breaks a named limit and can never be accepted.
    LimitExceeded {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: u64,
    },
    /// The query was cancelled.
    Cancelled,
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::Io { doing, path: path.to_owned(), source }
    }

    /// Of a start that has cut off the log's end before it failed.
    pub(crate) fn after_cut(self, bytes: u64) -> Error {
        if bytes == 0 { self } else { Error::AfterCut { bytes, source: Box::new(self) } }
    }

    /// What has gone wrong in the end, whatever was done before.
    #[must_use]
    pub fn cause(&self) -> &Error {
        match self {
            Error::AfterCut { source, .. } => source.cause(),
            error => error,
        }
    }

    /// Whether the operating system has refused for want of room.
    pub(crate) fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self.cause() {
            Error::DiskFull(_) => true,
            Error::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            _ => false,
        }
    }

    pub(crate) fn unknown_version(path: &Path, found: u32, known: u32) -> Error {
        let why = format!(
            "its format version is {found}, this program knows {known}; use the program that wrote it"
        );
        Error::Corrupt { path: path.to_owned(), why }
    }
}

/// Why a step that changes what is durable did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of it remains: another try may succeed.
    Refused(Error),
    /// What is on the disk is not known any more: nothing may be acknowledged again.
    Lost(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::Refused(error) | Failure::Lost(error) => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Locked(path) => {
                write!(f, "{} is in use by another trefoil process", path.display())
            }
            Error::Io { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", path.display())
            }
            Error::Corrupt { path, why } => write!(f, "{} cannot be used: {why}", path.display()),
            Error::AfterCut { bytes, source } => write!(
                f,
                "{source}; before that, {bytes} bytes that cannot be read were cut off the end of the \
                 log: a write that a crash tore, or damage"
            ),
            Error::Poisoned(why) => write!(f, "writing has stopped until a restart: {why}"),
            Error::Busy(what) => write!(f, "{what} is short, try again later"),
            Error::DiskFull(why) => f.write_str(why),
            Error::LimitExceeded { what, limit } => {
                write!(f, "limit of {limit} on {what} exceeded")
            }
            Error::Cancelled => f.write_str("the query was cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::AfterCut { source, .. } => Some(source),
            _ => None,
        }
    }
}
