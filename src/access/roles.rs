//! Which request needs which role. What is not in the list is read by viewers and written by admins.

use axum::http::Method;

use super::Role;

/// Requests that need another role than their method says: method, path of the route, role.
const OTHERWISE: &[(&str, &str, Role)] = &[
    ("POST", "/v1/retry", Role::Operator),
    ("POST", "/v1/skip", Role::Operator),
    ("POST", "/v1/dead-letters/retry", Role::Operator),
    ("POST", "/v1/dead-letters/drop", Role::Operator),
    ("POST", "/v1/dead-letters/{id}/retry", Role::Operator),
    ("POST", "/v1/dead-letters/{id}/edit", Role::Operator),
    ("POST", "/v1/dead-letters/{id}/drop", Role::Operator),
    // These compute and change nothing.
    ("POST", "/v1/mappings/{target}/preview", Role::Viewer),
    ("POST", "/v1/mappings/{target}/compare", Role::Viewer),
    ("POST", "/v1/mappings/{target}/condition", Role::Viewer),
    ("POST", "/v1/mappings/{target}/chips", Role::Viewer),
    ("POST", "/v1/mappings/{target}/tests/run", Role::Viewer),
    ("POST", "/v1/dialects/{name}/preview", Role::Viewer),
    // What is looked for must stand in no address. It changes nothing.
    ("POST", "/v1/search", Role::Viewer),
    // Forms of the console: what they ask of `/v1` is judged there once more.
    ("POST", "/search", Role::Viewer),
    ("POST", "/conversations/{key}/unmask", Role::Viewer),
    ("POST", "/parked/ask", Role::Operator),
    ("POST", "/parked/do", Role::Operator),
    ("POST", "/dead-letters/{id}", Role::Operator),
    // A right of its own, which its handler asks for.
    ("POST", "/v1/sessions/{id}/unmask", Role::Viewer),
    ("DELETE", "/v1/sessions/{id}/unmask", Role::Viewer),
];

/// The least role for a request. `path` is the route's, such as `/v1/sessions/{id}`.
#[must_use]
pub fn needed(method: &Method, path: &str) -> Role {
    let listed = OTHERWISE
        .iter()
        .find(|(listed, at, _)| method.as_str() == *listed && path == *at);
    match listed {
        Some((_, _, role)) => *role,
        None if method.is_safe() => Role::Viewer,
        None => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_thought_of_is_for_admins() {
        assert_eq!(needed(&Method::GET, "/v1/lanes"), Role::Viewer);
        assert_eq!(needed(&Method::POST, "/v1/retry"), Role::Operator);
        assert_eq!(needed(&Method::POST, "/v1/new"), Role::Admin);
        assert_eq!(needed(&Method::DELETE, "/v1/tokens/{id}"), Role::Admin);
        assert_eq!(needed(&Method::PUT, "/v1/retry"), Role::Admin);
    }
}
