//! Which colour a service has: its place in the order services were first seen in. The order
//! is kept beside the data, so a service looks the same to every viewer and after a restart.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use crate::api::AppState;

/// Services that get a place of their own; later ones share the last. A bound for the file.
const SERVICES_MAX: usize = 10_000;

/// The order in which services were first seen.
#[derive(Debug)]
pub(crate) struct ColorBook {
    /// One name per line, written as a JSON string.
    file: Option<PathBuf>,
    places: Mutex<HashMap<String, usize>>,
}

impl ColorBook {
    /// Reads the order from a file, or starts without one.
    pub(crate) fn open(file: Option<PathBuf>) -> Self {
        let mut places = HashMap::new();
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        for line in text.unwrap_or_default().lines().take(SERVICES_MAX) {
            if let Ok(name) = serde_json::from_str::<String>(line) {
                let next = places.len();
                places.entry(name).or_insert(next);
            }
        }
        ColorBook { file, places: Mutex::new(places) }
    }

    /// The place of a service; a new one gets the next.
    pub(crate) fn place(&self, service: &str) -> usize {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(service) {
            return *place;
        }
        let next = places.len();
        if next >= SERVICES_MAX {
            return SERVICES_MAX;
        }
        places.insert(service.to_owned(), next);
        self.keep(service);
        next
    }

    /// Appends a name to the file. A colour lost with a full disk is no reason to fail.
    fn keep(&self, service: &str) {
        let Some(file) = &self.file else { return };
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
        if let (Ok(mut file), Ok(line)) = (opened, serde_json::to_string(service)) {
            let _ = writeln!(file, "{line}");
        }
    }

    fn all(&self) -> Vec<Service> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let service =
            |(name, color): (&String, &usize)| Service { name: name.clone(), color: *color };
        let mut all: Vec<Service> = places.iter().map(service).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[derive(Serialize)]
struct Service {
    name: String,
    color: usize,
}

#[derive(Serialize)]
struct Services {
    services: Vec<Service>,
}

/// Every service known by colour.
pub(super) async fn get(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    super::answer(&headers, Ok(Services { services: state.colors.all() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_last_and_odd_names_do_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("service-colors");
        let book = ColorBook::open(Some(file.clone()));
        let names = ["checkout", "payment", "two\nlines", "", "\"quoted\"", "checkout"];
        assert_eq!(names.map(|name| book.place(name)), [0, 1, 2, 3, 4, 0]);
        let again = ColorBook::open(Some(file));
        assert_eq!(names.map(|name| again.place(name)), [0, 1, 2, 3, 4, 0]);
        assert_eq!(again.place("new"), 5);
    }
}
