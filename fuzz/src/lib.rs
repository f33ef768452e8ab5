//! What the fuzz targets share: seeds, and walks that look at every byte of a view.

pub mod part;
pub mod seeds;
pub mod store;
pub mod walk;

/// An error of a query says something, and its place lies within the text.
pub fn check_query_error(error: &trefoil_query::Error, text: &str) {
    assert!(!error.message.is_empty());
    assert!(error.span.start <= error.span.end && error.span.end <= text.len(), "{error:?}");
    let boundaries =
        text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end);
    assert!(boundaries, "{error:?} in {text:?}");
    let (line, column) = error.position(text);
    assert!(line > 0 && column > 0);
}
