//! Keys of attributes, with the types of their values.

mod encoded;

#[cfg(feature = "http")]
pub(crate) use encoded::encodes;
pub(crate) use encoded::{ATTRIBUTES_MAX, Encoded};

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::value::Value;

/// Text as a value.
pub type Text = Cow<'static, str>;

/// A key and the type of its value, so that `http.status_code` is never text.
///
/// ```
/// use trefoil::attribute::{self, Key, Text};
///
/// const TENANT_ID: Key<Text> = Key::new("tenant.id");
/// assert_eq!(TENANT_ID.of("acme").0, "tenant.id");
/// assert_eq!(attribute::HTTP_STATUS.of(404_u16).1, 404.into());
/// ```
pub struct Key<T> {
    name: &'static str,
    of: PhantomData<fn(T)>,
}

impl<T> Key<T> {
    /// A key of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Key<T> {
        Key { name, of: PhantomData }
    }

    /// Its name, as it is exported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl<T: Into<Value>> Key<T> {
    /// The attribute with this value.
    pub fn of(self, value: impl Into<T>) -> (&'static str, Value) {
        (self.name, value.into().into())
    }
}

impl<T> Copy for Key<T> {}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// A job's identifier.
pub const JOB_ID: Key<Text> = Key::new("job.id");
/// A job's name.
pub const JOB_NAME: Key<Text> = Key::new("job.name");
/// A job's status.
pub const JOB_STATUS: Key<Text> = Key::new("job.status");
/// A virtual machine's name.
pub const VM_NAME: Key<Text> = Key::new("vm.name");
/// A virtual machine's path.
pub const VM_PATH: Key<Text> = Key::new("vm.path");
/// A cloud provider's name.
pub const PROVIDER: Key<Text> = Key::new("provider");
/// What is done.
pub const OPERATION: Key<Text> = Key::new("operation");
/// A user's identifier.
pub const USER_ID: Key<Text> = Key::new("user.id");
/// A user's name.
pub const USER_NAME: Key<Text> = Key::new("user.name");
/// An HTTP request's method.
pub const HTTP_METHOD: Key<Text> = Key::new("http.method");
/// An HTTP request's path.
pub const HTTP_PATH: Key<Text> = Key::new("http.path");
/// An HTTP response's status code.
pub const HTTP_STATUS: Key<i64> = Key::new("http.status_code");
/// What kind of error it was: few different values.
pub const ERROR_TYPE: Key<Text> = Key::new("error.type");
/// What the error said.
pub const ERROR_MESSAGE: Key<Text> = Key::new("error.message");
