//! An HTTP client that cannot be talked into reaching the wrong host.
//!
//! For every hop, in this order: the URL is linted as text, parsed once, and judged by the [`Policy`]; its name is resolved once, and
//! every address judged; exactly one of those is dialled; TLS proves the name; the answer is read under limits of time, rate and size. A
//! redirect is a new hop under the same rules. There is no proxy but the one that the operator configures, no cookie, no cache, no
//! retry, and no connection that two requests share.

mod body;
mod client;
mod connect;
mod error;
mod hosts;
mod limits;
mod names;
mod policy;
mod request;
mod target;

pub use body::Streaming;
pub use client::Client;
pub use error::FetchError;
pub use hosts::{DEFAULT_PORTS, HostError, HostPattern};
pub use hyper::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
pub use limits::Limits;
pub use names::NameClass;
pub use policy::{Cleartext, Policy, Proxy, ProxyLogin};
pub use request::{Request, Response};
pub use target::{MAX_CHARS, Target, UrlRule};
