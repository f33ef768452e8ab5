//! Which traces leave, and what their spans say about it.
