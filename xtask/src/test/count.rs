//! How many tests passed, read from what the test runners print.

use std::fmt;
use std::ops::AddAssign;

/// Tests, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Count {
    pub(super) const PASSED: Count = Count { passed: 1, failed: 0, skipped: 0 };
    pub(super) const FAILED: Count = Count { passed: 0, failed: 1, skipped: 0 };
    pub(super) const SKIPPED: Count = Count { passed: 0, failed: 0, skipped: 1 };

    /// Adds what a line of a runner's output says, if it is one of its closing lines.
    ///
    /// - cargo: `test result: ok. 3 passed; 0 failed; 1 ignored; …`
    /// - pytest: `===== 2 failed, 3 passed, 1 skipped in 0.12s =====`; errors are failures
    /// - node: `ℹ pass 3`, `# fail 1`
    /// - our own: `3 passed, 0 failed, 1 skipped`
    pub(super) fn read(&mut self, line: &str) {
        let line = strip_colour(line);
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) {
            self.read_node(rest);
            return;
        }
        let own = line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" passed, ");
        if line.starts_with("test result: ") || line.starts_with("=====") || own {
            self.read_pairs(line);
        }
    }

    fn read_node(&mut self, line: &str) {
        let Some((word, number)) = line.split_once(' ') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        match word {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }

    fn read_pairs(&mut self, line: &str) {
        let words: Vec<&str> = line.split([' ', ',', ';', '=']).filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" | "error" | "errors" => self.failed += number,
                "ignored" | "skipped" => self.skipped += number,
                _ => {}
            }
        }
    }
}

fn strip_colour(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut in_escape = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => in_escape = true,
            'a'..='z' | 'A'..='Z' if in_escape => in_escape = false,
            c if !in_escape => out.push(c),
            _ => {}
        }
    }
    out
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// `3 passed, 0 failed`, and `, 1 skipped` if there are any.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_each_runner_are_read() {
        let check = |text: &str, passed: u64, failed: u64, skipped: u64| {
            let mut count = Count::default();
            text.lines().for_each(|line| count.read(line));
            assert_eq!(count, Count { passed, failed, skipped }, "{text}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; finished in 1s",
            12,
            0,
            2,
        );
        check("test result: \u{1b}[31mFAILED\u{1b}[0m. 1 passed; 3 failed; 0 ignored;", 1, 3, 0);
        check("======= 2 failed, 3 passed, 1 skipped, 1 error in 0.12s =======", 3, 3, 1);
        check("\u{1b}[32m===== \u{1b}[1m3 passed\u{1b}[0m in 2.1s =====", 3, 0, 0);
        check("ℹ tests 4\nℹ pass 3\nℹ fail 1\nℹ skipped 0", 3, 1, 0);
        check("# pass 3\n# fail 0", 3, 0, 0);
        check("7 passed, 1 failed, 2 skipped", 7, 1, 2);
        check("the 3 passed, others waited\ntest 1 failed", 0, 0, 0);
    }

    #[test]
    fn the_last_line_names_skipped_tests_only_if_there_are_any() {
        assert_eq!(Count { passed: 3, failed: 0, skipped: 0 }.to_string(), "3 passed, 0 failed");
        assert_eq!(
            Count { passed: 3, failed: 1, skipped: 2 }.to_string(),
            "3 passed, 1 failed, 2 skipped"
        );
    }
}
