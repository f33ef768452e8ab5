//! Tests of what is global, or ends the process, each in a process of its own: this binary
//! again, told which part to play.

use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Names the part.
const PART: &str = "TREFOIL_TEST_PART";

/// How long a child may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this process plays the part. Every part is a test of the same name, which does
/// nothing in a run of all tests.
pub(crate) fn plays(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|played| played == part)
}

/// How a child ended, and what it said on standard error.
pub(crate) struct Played {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// Runs the test `part` in a process of its own with these variables and no other `OTEL_*`.
pub(crate) fn play(part: &str, variables: &[(&str, &str)]) -> Played {
    let program = std::env::current_exe().expect("this test's own path");
    let stderr = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut command = Command::new(program);
    command.args([part, "--exact", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.env(PART, part).envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(stderr.reopen().expect("the file again"));
    let mut child = command.spawn().expect("this test starts again");
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("`{part}` did not end within {PATIENCE:?}");
        }
        // Nothing waits for a child with a limit.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(Duration::from_millis(5));
    };
    let stderr = std::fs::read_to_string(stderr.path()).unwrap_or_default();
    Played { status, stderr }
}
