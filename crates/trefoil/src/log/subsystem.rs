//! Which part of the service a record is from: `API`, `IMAGES`, `INSTANCES`.

use std::borrow::Cow;

use trefoil_wire::otlp::AnyValue;

/// The field of events and spans, and the attribute of records.
pub(super) const FIELD: &str = "subsystem";

/// How targets become subsystems, where neither event nor span names one.
///
/// What was declared for a target counts first. In the service's own crate it is the
/// module below the crate, `hypeman::images::pull` being of `IMAGES`; another crate is a
/// subsystem as a whole, `hyper::proto` being of `HYPER`.
#[derive(Debug)]
pub(super) struct Subsystems {
    own_crates: Vec<String>,
    /// Target and name; the longer target first.
    declared: Vec<(String, String)>,
}

impl Subsystems {
    /// The service's own crate is called like the service, in the program or in its settings.
    pub(super) fn new(service_names: &[&str], declared: &[(String, String)]) -> Subsystems {
        let mut declared = declared.to_vec();
        declared.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        let own_crates = service_names.iter().map(|name| name.replace('-', "_")).collect();
        Subsystems { own_crates, declared }
    }

    /// The subsystem of a target.
    pub(super) fn of(&self, target: &str) -> Cow<'_, str> {
        let below = |path: &str| {
            let rest = target.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        if let Some((_, name)) = self.declared.iter().find(|(path, _)| below(path)) {
            return Cow::Borrowed(name);
        }
        let mut segments = target.split("::");
        let first = segments.next().unwrap_or(target);
        let name = match segments.next() {
            Some(module) if self.own_crates.iter().any(|own| own == first) => module,
            _ => first,
        };
        Cow::Owned(name.to_uppercase())
    }
}

/// Whether two names are of one subsystem: `images` and `IMAGES`, `vm-pool` and `VM_POOL`.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    a.len() == b.len() && a.bytes().map(fold).eq(b.bytes().map(fold))
}

/// The subsystem that the current span names, or the nearest span around it.
pub(super) fn of_span() -> Option<String> {
    let mut found = None;
    crate::span::with_span_fields(&mut |key, value| {
        if let AnyValue::Str(name) = value
            && key == FIELD
            && found.is_none()
        {
            found = Some(name.to_owned());
        }
    });
    found
}
