//! What the crate does, worked out once from the builder, the environment and a file.

mod settings;

pub(crate) use settings::*;
