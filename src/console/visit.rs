//! A request for a page: who asks, for what, in which theme, and what a form holds.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};

use super::api::Failure;
use crate::access::{Person, Role};
use crate::serving::Peer;

/// The most bytes of a form: a dead letter's body, encoded.
const MAX_FORM: usize = 512 << 10;

/// A request for a page.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Who asks; nobody where nobody is signed in.
    pub person: Option<Person>,
    path: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl Visit {
    /// Of a request without a body.
    #[must_use]
    pub fn of(request: &Request) -> Visit {
        let pairs = |text: &str| -> Vec<(String, String)> {
            url::form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect()
        };
        Visit {
            person: request.extensions().get::<Person>().cloned(),
            path: request.uri().path().to_owned(),
            query: pairs(request.uri().query().unwrap_or_default()),
            form: Vec::new(),
            headers: request.headers().clone(),
            peer: request.extensions().get::<Peer>().copied(),
        }
    }

    /// The path that was asked for.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path and what was asked of it, so that a form leads back there; without the name of a part.
    #[must_use]
    pub fn address(&self) -> String {
        let kept = self.query.iter().filter(|(name, _)| name != "part");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in kept {
            query.append_pair(name, value);
        }
        match query.finish() {
            query if query.is_empty() => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// What the address says under a name; an empty value says nothing.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        found(&self.query, name)
    }

    /// What a form holds under a name; an empty value is nothing.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        found(&self.form, name)
    }

    /// Everything that a form holds under a name.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of = self.form.iter().filter(move |(given, _)| given == name);
        of.map(|(_, value)| value.as_str())
    }

    /// The part of the page that is asked for, where it is one.
    #[must_use]
    pub fn part(&self) -> Option<&str> {
        let is_word = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        self.asked("part").filter(is_word)
    }

    /// Whether whoever asks may at least what this role may.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.person
            .as_ref()
            .is_some_and(|person| person.role >= role)
    }

    /// The theme that the browser was told: `system`, `light` or `dark`.
    #[must_use]
    pub fn theme(&self) -> &'static str {
        match self.cookie("theme") {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "system",
        }
    }

    /// Whether the navigation is a rail of icons.
    #[must_use]
    pub fn is_narrow_nav(&self) -> bool {
        self.cookie("nav") == Some("rail")
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(header::COOKIE).into_iter();
        let pairs = all
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(given, value)| (given == name).then_some(value))
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The other end of the connection.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.peer
    }
}

fn found<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let one = pairs.iter().find(|(given, _)| given == name);
    one.map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

impl<S: Sync> FromRequest<S> for Visit {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Visit, Failure> {
        let mut visit = Visit::of(&request);
        if request.method() == Method::POST {
            let body = to_bytes(request.into_body(), MAX_FORM)
                .await
                .map_err(|_| Failure::bad_form("the form is too large"))?;
            visit.form = url::form_urlencoded::parse(&body).into_owned().collect();
        }
        Ok(visit)
    }
}

/// A path of this host to go to after a form, and nothing that leads elsewhere.
#[must_use]
pub fn local(next: Option<&str>) -> &str {
    let is_local = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.chars().all(|c| c.is_ascii_graphic() && c != '\\')
    };
    next.filter(is_local).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn only_paths_of_this_host_are_gone_to() {
        assert_eq!(local(Some("/parked?x=1#y")), "/parked?x=1#y");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "",
        ] {
            assert_eq!(local(Some(elsewhere)), "/", "{elsewhere:?}");
        }
    }

    #[test]
    fn cookies_and_parts_are_read_strictly() {
        let request = Request::builder()
            .uri("/x?part=targets&q=%3Cb%3E&part=b")
            .header("cookie", "a=b; theme=dark")
            .header("cookie", "nav=rail")
            .body(Body::empty())
            .expect("well formed");
        let visit = Visit::of(&request);
        assert_eq!((visit.theme(), visit.is_narrow_nav()), ("dark", true));
        assert_eq!(visit.part(), Some("targets"));
        assert_eq!(visit.address(), "/x?q=%3Cb%3E");
        let request = Request::builder()
            .uri("/x?part=../a")
            .body(Body::empty())
            .expect("well formed");
        assert_eq!(Visit::of(&request).part(), None);
    }
}
