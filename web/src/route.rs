//! The route table: which address exists, for which method, and who may call it.
//! It must never hold a route without a declared [`Access`].

use crate::Method;

/// Who may call a route. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Anybody, without credentials.
    Public,
    /// Monitoring: reads.
    Viewer,
    /// Sees everything, drops sessions.
    Operator,
    /// Everything.
    Administrator,
}

/// One line of the table. `H` is whatever the service calls, usually a function of its context and the request.
#[derive(Clone, Debug)]
pub struct Route<H> {
    /// Method. A route for GET serves HEAD too.
    pub method: Method,
    /// Path with parameters, for example `/api/licences/{KeyNo}`; a parameter is one whole segment.
    pub pattern: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What serves it.
    pub handler: H,
}

impl<H> Route<H> {
    /// One line of the table.
    pub const fn new(method: Method, pattern: &'static str, access: Access, handler: H) -> Self {
        Self { method, pattern, access, handler }
    }
}

/// Values of the parameters of a pattern, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: Vec<(&'static str, String)>,
}

impl Params {
    /// The value of the parameter `name`; empty when the pattern has none of that name.
    pub fn get(&self, name: &str) -> &str {
        self.values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// Result of a search in the table.
#[derive(Debug)]
pub enum Found<'a, H> {
    /// The route and the values of its parameters.
    Route {
        /// Line of the table.
        route: &'a Route<H>,
        /// Values of its parameters.
        params: Params,
    },
    /// No route has this path.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed {
        /// Value of the `Allow` header.
        allow: String,
    },
}

/// The table, ready to be searched.
#[derive(Clone, Debug)]
pub struct Router<H> {
    routes: Vec<Route<H>>,
    /// Segments of the pattern of each route, in the same order.
    segments: Vec<Vec<&'static str>>,
}

impl<H> Router<H> {
    /// A table of those routes. Of two patterns that fit a path the one with the earlier literal segment wins.
    ///
    /// # Panics
    /// When the table is wrong in itself: a pattern without leading slash, with an empty segment or a broken or
    /// repeated parameter, or two routes for the same addresses. Tables are constants of the program, so any test
    /// that builds the service shows it.
    pub fn new(routes: Vec<Route<H>>) -> Self {
        let segments = routes.iter().map(|route| split(route.pattern)).collect::<Vec<_>>();
        for (index, route) in routes.iter().enumerate() {
            if let Some(fault) = fault_of(route.pattern) {
                panic!("route {}: {fault}", route.pattern);
            }
            let shape =
                |other: &Route<H>| (other.method, split(other.pattern).into_iter().map(literal).collect::<Vec<_>>());
            if routes[..index].iter().any(|earlier| shape(earlier) == shape(route)) {
                panic!("route {} {} is declared twice", route.method.name(), route.pattern);
            }
        }
        Self { routes, segments }
    }

    /// All routes, for documents and tests.
    pub fn routes(&self) -> &[Route<H>] {
        &self.routes
    }

    /// Finds the route of `method` and `path`, where `path` is [`crate::Request::path`]. One slash at the end makes no
    /// difference.
    pub fn find(&self, method: Method, path: &str) -> Found<'_, H> {
        let parts = split(path);
        let wanted = if method == Method::Head { Method::Get } else { method };
        let serves = |route: &Route<H>| route.method == method || route.method == wanted;
        let fitting = || self.routes.iter().zip(&self.segments).filter(|(_, pattern)| fits(pattern, &parts));
        let best = fitting().filter(|(route, _)| serves(route)).min_by_key(|(_, pattern)| rank(pattern));
        if let Some((route, pattern)) = best {
            let names = pattern.iter().map(|segment| parameter(segment));
            let values = names.zip(&parts).filter_map(|(name, value)| Some((name?, (*value).to_owned()))).collect();
            return Found::Route { route, params: Params { values } };
        }
        let mut allow = fitting().map(|(route, _)| route.method.name()).collect::<Vec<_>>();
        if allow.is_empty() {
            return Found::NotFound;
        }
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.sort_unstable();
        allow.dedup();
        Found::MethodNotAllowed { allow: allow.join(", ") }
    }
}

fn split(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() { Vec::new() } else { inner.split('/').collect() }
}

/// Name of the parameter that a segment of a pattern is.
fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The segment itself when it is not a parameter.
fn literal(segment: &'static str) -> Option<&'static str> {
    parameter(segment).is_none().then_some(segment)
}

fn fits(pattern: &[&'static str], parts: &[&str]) -> bool {
    pattern.len() == parts.len()
        && pattern.iter().zip(parts).all(|(expected, part)| literal(expected).is_none_or(|text| text == *part))
        && parts.iter().all(|part| !part.is_empty())
}

/// Smaller is better: literal segments before parameters, from the left.
fn rank(pattern: &[&'static str]) -> Vec<bool> {
    pattern.iter().map(|segment| parameter(segment).is_some()).collect()
}

fn fault_of(pattern: &'static str) -> Option<&'static str> {
    let parts = split(pattern);
    let mut names = parts.iter().filter_map(|part| parameter(part)).collect::<Vec<_>>();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    if !pattern.starts_with('/') {
        Some("a pattern begins with a slash")
    } else if parts.iter().any(|part| part.is_empty()) || (pattern.len() > 1 && pattern.ends_with('/')) {
        Some("a pattern has no empty segments")
    } else if names.len() != count || names.contains(&"") {
        Some("parameters have different names")
    } else if parts.iter().any(|part| parameter(part).is_none() && part.contains(['{', '}'])) {
        Some("a parameter is one whole segment")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Method::{Delete, Get, Head, Post, Put};

    fn table() -> Router<u8> {
        Router::new(vec![
            Route::new(Get, "/", Access::Public, 0),
            Route::new(Get, "/api/licences/{KeyNo}", Access::Viewer, 1),
            Route::new(Delete, "/api/licences/{KeyNo}", Access::Administrator, 2),
            Route::new(Get, "/api/licences/summary", Access::Viewer, 3),
            Route::new(Post, "/api/licences", Access::Administrator, 4),
        ])
    }

    fn found(method: Method, path: &str) -> Option<(u8, String)> {
        match table().find(method, path) {
            Found::Route { route, params } => Some((route.handler, params.get("KeyNo").to_owned())),
            _ => None,
        }
    }

    #[test]
    fn a_parameter_takes_one_whole_segment() {
        assert_eq!(found(Get, "/api/licences/7121172"), Some((1, "7121172".into())));
        assert_eq!(found(Get, "/api/licences/a b%2fя"), Some((1, "a b%2fя".into())));
        assert_eq!(found(Get, "/api/licences/1/2"), None);
        assert_eq!(found(Get, "/api/licences//"), None);
    }

    #[test]
    fn a_literal_segment_beats_a_parameter() {
        assert_eq!(found(Get, "/api/licences/summary"), Some((3, String::new())));
        assert_eq!(found(Delete, "/api/licences/summary"), Some((2, "summary".into())));
    }

    #[test]
    fn head_is_served_as_get_and_a_last_slash_makes_no_difference() {
        assert_eq!(found(Head, "/"), Some((0, String::new())));
        assert_eq!(found(Head, "/api/licences/5/"), Some((1, "5".into())));
        assert_eq!(found(Post, "/api/licences/"), Some((4, String::new())));
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        match table().find(Put, "/api/licences/5") {
            Found::MethodNotAllowed { allow } => assert_eq!(allow, "DELETE, GET, HEAD"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(table().find(Put, "/api/nothing"), Found::NotFound));
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Access::Public < Access::Viewer && Access::Viewer < Access::Operator);
        assert!(Access::Operator < Access::Administrator);
    }

    #[test]
    fn a_wrong_table_is_refused() {
        for pattern in ["api", "/api/", "//", "/a//b", "/{}", "/{a}/{a}", "/x{a}"] {
            assert!(fault_of(pattern).is_some(), "{pattern}");
        }
        let twice = || {
            Router::new(vec![Route::new(Get, "/{a}", Access::Public, 0), Route::new(Get, "/{b}", Access::Public, 0)])
        };
        assert!(std::panic::catch_unwind(twice).is_err());
    }
}
