//! Names to addresses, behind a trait: the operating system's resolver, or one that a test scripts.

use std::{future::Future, io, net::IpAddr, pin::Pin};

use tokio::net::lookup_host;

/// The answer of a resolver, on its way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. Its answers are believed about nothing but where a name points: every address is judged.
pub trait Resolver: Send + Sync {
    /// All addresses of `name`, which is not an address itself; none is an error of the caller's choice or an empty list.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// The operating system's resolver (`getaddrinfo`).
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move { Ok(lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
    }
}
