use super::super::repeat::{Repeats, Verdict};
use super::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn h5_the_first_of_a_second_pass_and_the_rest_is_told_as_a_number() {
    let repeats = Repeats::new(3);
    let mut admitted = 0;
    for n in 0..1000 {
        let verdict = repeats.admit("x", b"same", 9, 5 * SECOND + n);
        admitted += u64::from(verdict == Verdict::Admitted);
        // Others are not held back with it.
        let other = format!("other {n}");
        assert_eq!(repeats.admit("x", other.as_bytes(), 9, 5 * SECOND + n), Verdict::Admitted);
    }
    assert_eq!(admitted, 3);
    assert!(!repeats.is_due(6 * SECOND - 1));
    assert!(repeats.is_due(6 * SECOND));
    // The next second lets it pass again, and what was held back is still reported.
    assert_eq!(repeats.admit("x", b"same", 9, 6 * SECOND), Verdict::Admitted);
    let due = repeats.take_due(6 * SECOND, false);
    assert_eq!(due.len(), 1);
    assert_eq!((&*due[0].line, due[0].count, due[0].scope), (&b"same"[..], 997, "x"));
    assert!(!repeats.is_due(u64::MAX - 1), "told once");
}

#[test]
fn memory_for_lines_is_bounded_and_what_is_held_back_is_never_forgotten() {
    let repeats = Repeats::new(1);
    let mut held_back = 0;
    for line in 0..10_000_u32 {
        for _ in 0..2 {
            let verdict = repeats.admit("x", &line.to_le_bytes(), 9, SECOND);
            held_back += u64::from(verdict == Verdict::HeldBack);
        }
    }
    let due = repeats.take_due(2 * SECOND, false);
    assert!(due.len() <= 512, "{} lines", due.len());
    assert_eq!(due.iter().map(|repeated| repeated.count).sum::<u64>(), held_back);
}

#[test]
fn h5_what_was_held_back_becomes_one_record() {
    let mut settings = settings();
    settings.repeat_limit = Some(2);
    let (logs, stream) = logs(&settings, Style::Json);
    tracing::subscriber::with_default(Only(Arc::clone(&logs)), || {
        for _ in 0..10 {
            tracing::warn!(target: "x", attempt = 1, "no answer");
        }
        for attempt in 10..20 {
            tracing::warn!(target: "x", attempt, "no answer");
        }
    });
    logs.flush(1_700_000_001_000_000_000, Instant::now());
    let text = stream.text();
    assert_eq!(text.lines().count(), 2 + 10 + 1, "{text}");
    let last = text.lines().last().unwrap();
    let expect = r#""level":"WARN","message":"no answer (repeated 8 times)","target":"x","attempt":1,"subsystem":"X","log.repeated":8}"#;
    let expect =
        expect.replace(r#","attempt":1,"subsystem":"X""#, r#","subsystem":"X","attempt":1"#);
    assert!(last.ends_with(&expect), "{last}");
}
