//! What the process writes: answers to standard output, everything else to standard
//! error. A closed pipe is not an error: `trefoil query … | head` ends quietly.

use std::io::Write;

/// Writes a line of the answer to standard output; false once nobody reads it.
pub(crate) fn out_line(line: std::fmt::Arguments<'_>) -> bool {
    writeln!(std::io::stdout().lock(), "{line}").is_ok()
}

/// Writes a line for the person at the terminal to standard error.
pub(crate) fn say_line(line: std::fmt::Arguments<'_>) {
    // Nowhere to report a closed standard error to.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Like `println!`, without the panic on a closed pipe.
macro_rules! out {
    ($($arg:tt)*) => {{ let _ = $crate::console::out_line(format_args!($($arg)*)); }};
}

/// Like `eprintln!`, without the panic on a closed pipe.
macro_rules! say {
    ($($arg:tt)*) => { $crate::console::say_line(format_args!($($arg)*)) };
}

pub(crate) use {out, say};
