//! The wire protocol of MCP: both eras, over streamable HTTP and stdio. Only this crate knows JSON-RPC.
//!
//! - [`Server`] holds what all connections share; [`serve_http`] and [`serve_stdio`] speak for it.
//! - [`Authenticator`] turns a credential into a principal before a body is read; the binary supplies it.
//! - [`Credentials`] serves holders of the server's own short-lived credentials; without it there are none.
//! - [`Changes`] tells open streams that a list has changed.
//! - [`Prompts`] supplies prompts; without one there are none.
//!
//! A message travels `http` or `stdio` → `envelope` (strict JSON-RPC) → `era` (which revision, and its own checks) → `methods` →
//! the pipeline of `countersign-core` → `encode`. Nothing here decides what a caller may do.
#![forbid(unsafe_code)]

mod ask;
#[cfg(feature = "bench")]
pub mod bench;
mod changes;
mod config;
mod credentials;
mod encode;
mod envelope;
mod era;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod headers;
mod http;
mod listen;
mod methods;
mod peer;
mod prompts;
mod request_state;
mod rpc;
mod running;
mod server;
mod session;
mod stdio;

pub use changes::{Change, Changes};
pub use config::{Config, OAuth};
pub use credentials::{Credentials, NarrowRequest, NotNarrowed};
pub use envelope::fuzz_entry;
pub use http::{Listener, Tls, TlsSettings, serve_http};
pub use peer::{Peer, Presented, Source};
pub use prompts::{Prompt, PromptArgument, PromptError, PromptIo, PromptMessage, Prompts};
pub use server::{Authenticator, NotAuthenticated, Server, ServerError};
pub use stdio::serve_stdio;
