//! What is asked for, and what comes back.

use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};

use super::error::FetchError;

/// A request, before it is judged.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) once: bool,
}

impl Request {
    /// A `GET`, which follows redirects.
    pub fn get(url: &str) -> Request {
        Request {
            method: Method::GET,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            once: false,
        }
    }

    /// A `POST`, which follows none: what it carries is for the host in its URL.
    pub fn post(url: &str, body: impl Into<Bytes>) -> Request {
        Request { method: Method::POST, body: body.into(), ..Request::get(url) }
    }

    /// Another method, with the rules of `POST`.
    pub fn with_method(self, method: Method) -> Request {
        Request { method, ..self }
    }

    /// With a body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Bytes>) -> Request {
        Request { body: body.into(), ..self }
    }

    /// A request that may take effect: a redirect is an answer like others, and what goes wrong once it was sent says so
    /// ([`FetchError::Unanswered`], [`FetchError::Unread`]).
    #[must_use]
    pub fn once(self) -> Request {
        Request { once: true, ..self }
    }

    /// Adds a header. Those that frame the message or say how it travels are the client's own.
    ///
    /// # Errors
    /// [`FetchError::Header`].
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Result<Request, FetchError> {
        match CLIENT_HEADERS.contains(&name) || name.as_str().starts_with("proxy-") {
            true => Err(FetchError::Header(name.to_string())),
            false => {
                self.headers.append(name, value);
                Ok(self)
            }
        }
    }
}

/// Headers that only the client sets.
const CLIENT_HEADERS: &[HeaderName] = &[
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the policy's limit.
    pub body: Bytes,
    /// The URL that answered, after redirects.
    pub url: String,
}

impl Response {
    /// The content type without parameters, in lower case.
    pub fn content_type(&self) -> Option<String> {
        content_type(&self.headers)
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // INVARIANT: refusals repeat the type to the caller, so that it must not be any text of the server's choice.
    // MUTATE(F2-type-text): a server says what it likes in the place of a type
    let plain = kind.split_once('/').is_some_and(|(kind, of)| is_type_name(kind) && is_type_name(of));
    plain.then_some(kind)
}

/// SPEC: RFC 6838 §4.2, and at most 80 characters: the longest registered name is shorter.
fn is_type_name(name: &str) -> bool {
    let marks = b"!#$&-^_.+";
    (1..=80).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}
