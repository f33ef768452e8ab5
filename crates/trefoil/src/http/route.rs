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
pub(super) struct Marker(Option<Learnt>);

type Learnt = Arc<OnceLock<Route>>;

/// Lies in the extensions of a request that has a span. It has no size, which extensions hold
/// without an allocation; what layers within may tell lies beside it.
#[derive(Clone, Copy)]
struct HasSpan;

impl Marker {
    pub(super) fn put(extensions: &mut Extensions, learns: bool) -> Marker {
        extensions.insert(HasSpan);
        let learnt = learns.then(Learnt::default);
        if let Some(learnt) = &learnt {
            extensions.insert(Arc::clone(learnt));
        }
        Marker(learnt)
    }

    /// Whether there is a span already. Who made it is told the route.
    pub(super) fn found(extensions: &Extensions) -> bool {
        let found = extensions.get::<HasSpan>().is_some();
        if found
            && let Some(learnt) = extensions.get::<Learnt>()
            && let Some(route) = Route::of(extensions)
        {
            let _ = learnt.set(route);
        }
        found
    }

    pub(super) fn route(&self) -> Option<Route> {
        self.0.as_ref()?.get().cloned()
    }
}
