//! The template that a request matched, never its path.

use std::sync::{Arc, OnceLock};

use http::Extensions;

/// The template of a route, as `/users/{id}`.
///
/// Axum tells it by itself to layers within its router. For other routers, and layers outside
/// of axum's, put it into the extensions of the response:
///
/// ```
/// # #[cfg(feature = "http")] {
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(trefoil::http::Route::from("/users/{id}"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Route(Template);

#[derive(Clone, Debug)]
enum Template {
    Static(&'static str),
    Shared(Arc<str>),
    #[cfg(feature = "axum")]
    Axum(axum::extract::MatchedPath),
}

impl Route {
    /// The template.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Template::Static(template) => template,
            Template::Shared(template) => template,
            #[cfg(feature = "axum")]
            Template::Axum(matched) => matched.as_str(),
        }
    }

    /// The template as a router, or someone who knows it, left it in the extensions.
    pub(crate) fn find(extensions: &Extensions) -> Option<&str> {
        if let Some(route) = extensions.get::<Route>() {
            return Some(route.as_str());
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
            return Some(matched.as_str());
        }
        None
    }

    /// The same to keep.
    pub(crate) fn of(extensions: &Extensions) -> Option<Route> {
        if let Some(route) = extensions.get::<Route>() {
            return Some(route.clone());
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
            return Some(Route(Template::Axum(matched.clone())));
        }
        None
    }
}

impl From<&'static str> for Route {
    fn from(template: &'static str) -> Self {
        Route(Template::Static(template))
    }
}

impl From<Arc<str>> for Route {
    fn from(template: Arc<str>) -> Self {
        Route(Template::Shared(template))
    }
}

/// Tells layers within that there is a span already, and learns the route from them if it is
/// not known.
#[derive(Clone, Debug)]
pub(super) struct Marker(Option<Arc<OnceLock<Route>>>);

impl Marker {
    pub(super) fn new(learns: bool) -> Marker {
        Marker(learns.then(Arc::default))
    }

    pub(super) fn learn(&self, extensions: &Extensions) {
        if let (Some(learnt), Some(route)) = (&self.0, Route::of(extensions)) {
            let _ = learnt.set(route);
        }
    }

    pub(super) fn route(&self) -> Option<Route> {
        self.0.as_ref()?.get().cloned()
    }
}
