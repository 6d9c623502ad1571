//! What stands around every page: navigation with its badges, who is signed in, and the headers that
//! keep foreign code and foreign frames out.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Console, Visit};
use crate::access::{Person, Role};

/// So long the numbers beside the navigation are shown as they were.
const FRESH: Duration = Duration::from_secs(5);

/// What a page may load and where it may be shown.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An entry of the navigation.
struct Entry {
    /// Its text's key, and its icon's name.
    key: &'static str,
    href: &'static str,
    /// Who sees it.
    role: Role,
}

const fn entry(key: &'static str, href: &'static str, role: Role) -> Entry {
    Entry { key, href, role }
}

/// The navigation: groups with their text's key, and their entries.
const NAVIGATION: [(&str, &[Entry]); 4] = [
    (
        "",
        &[
            entry("nav.overview", "/", Role::Viewer),
            entry("nav.conversations", "/conversations", Role::Viewer),
            entry("nav.parked", "/parked", Role::Viewer),
            entry("nav.tap", "/tap", Role::Viewer),
        ],
    ),
    (
        "nav.mappings",
        &[
            entry("nav.fields", "/mappings", Role::Viewer),
            entry("nav.dialects", "/dialects", Role::Viewer),
            entry("nav.notices", "/notices", Role::Viewer),
        ],
    ),
    (
        "nav.governance",
        &[
            entry("nav.audit", "/audit", Role::Viewer),
            entry("nav.access", "/access", Role::Viewer),
        ],
    ),
    (
        "nav.learn",
        &[
            entry("nav.playground", "/playground", Role::Viewer),
            entry("nav.api", "/v1/openapi.json", Role::Viewer),
        ],
    ),
];

/// Pages of the navigation that are there. What is not is left out, so that no link leads nowhere.
const THERE: [&str; 10] = [
    "/",
    "/conversations",
    "/parked",
    "/tap",
    "/mappings",
    "/dialects",
    "/audit",
    "/access",
    "/playground",
    "/v1/openapi.json",
];

/// Whether parts of pages change by themselves.
const LIVE: bool = true;

/// The numbers beside the navigation, and when they were read.
#[derive(Default)]
pub(super) struct Badges {
    last: Mutex<Option<(Instant, i64)>>,
}

impl Badges {
    fn fresh(&self) -> Option<i64> {
        let last = self.last.lock().ok()?;
        last.filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, count)| count)
    }

    fn keep(&self, count: i64) {
        if let Ok(mut last) = self.last.lock() {
            *last = Some((Instant::now(), count));
        }
    }
}

impl Console {
    /// The shell's part of a page's value.
    pub(super) async fn shell(&self, visit: &Visit) -> Value {
        let parked = match self.badges.fresh() {
            Some(count) => Some(count),
            None => self.count_parked(visit).await,
        };
        self.shell_with(visit, parked)
    }

    /// The same where the ledger may be away.
    pub(super) fn shell_without_badges(&self, visit: &Visit) -> Value {
        self.shell_with(visit, self.badges.fresh())
    }

    /// Parked conversations and dead letters.
    async fn count_parked(&self, visit: &Visit) -> Option<i64> {
        let parked = self.api.get(visit, "/v1/parked").await.ok()?;
        let groups = parked["groups"].as_array()?;
        let lanes: i64 = groups
            .iter()
            .filter_map(|group| group["count"].as_i64())
            .sum();
        let letters = parked["dead_letters"].as_array().map_or(0, Vec::len);
        let webhooks = parked["webhooks"].as_array().map_or(0, Vec::len);
        let count = lanes + i64::try_from(letters + webhooks).unwrap_or(i64::MAX);
        self.badges.keep(count);
        Some(count)
    }

    fn shell_with(&self, visit: &Visit, parked: Option<i64>) -> Value {
        let groups: Vec<Value> = NAVIGATION
            .iter()
            .map(|(title, entries)| {
                let shown = entries.iter().filter(|entry| self.shows(visit, entry));
                let entries: Vec<Value> = shown
                    .map(|entry| {
                        let badge = (entry.href == "/parked").then_some(parked).flatten();
                        json!({
                            "key": entry.key, "href": entry.href, "is_here": is_here(entry.href, visit.path()),
                            "badge": badge.filter(|count| *count > 0),
                        })
                    })
                    .collect();
                json!({"title": title, "entries": entries})
            })
            .filter(|group| group["entries"].as_array().is_some_and(|all| !all.is_empty()))
            .collect();
        json!({
            "groups": groups, "daemon": self.about.daemon, "theme": visit.theme(),
            "is_rail": visit.is_narrow_nav(), "address": visit.address(),
            "who": visit.person.as_ref().map(who),
            "csrf": visit.person.as_ref().and_then(|person| person.csrf.as_deref()),
            "live": LIVE, "searches": THERE.contains(&"/conversations"),
            "may_operate": visit.may(Role::Operator), "is_admin": visit.may(Role::Admin),
        })
    }

    /// Whether a page of the navigation, or one below it, is there.
    pub(super) fn has_page(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let others = ["/dead-letters/", "/reasons/", "/targets/"];
        let mut there = THERE.iter().filter(|there| **there != "/");
        there.any(|there| is_here(there, path))
            || others.iter().any(|other| path.starts_with(other))
    }

    fn shows(&self, visit: &Visit, entry: &Entry) -> bool {
        THERE.contains(&entry.href)
            && visit.may(entry.role)
            && (entry.href != "/playground" || self.about.playground)
    }
}

fn who(person: &Person) -> Value {
    let initials: String = person
        .name
        .split_whitespace()
        .filter_map(|word| word.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect();
    let role = match person.role {
        Role::Viewer => "role.viewer",
        Role::Operator => "role.operator",
        Role::Admin => "role.admin",
    };
    json!({"name": person.name, "initials": initials, "role": role, "can_sign_out": person.csrf.is_some()})
}

/// Whether an entry leads to this page or to one above it.
fn is_here(href: &str, path: &str) -> bool {
    let below = path.strip_prefix(href);
    href == path || (href != "/" && below.is_some_and(|rest| rest.starts_with('/')))
}

/// A page of HTML.
pub(super) fn html(text: String) -> Response {
    let mut response = text.into_response();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// The headers of every page.
pub(super) fn protect(response: &mut Response) {
    let headers: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=()",
        ),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_here_on_its_page_and_below_it() {
        assert!(is_here("/", "/") && !is_here("/", "/parked"));
        assert!(is_here("/parked", "/parked/invalid/hubspot"));
        assert!(!is_here("/parked", "/parked-things"));
    }
}
