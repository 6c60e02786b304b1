//! A look at an issuer from outside, for `doctor`: whether it can be reached, whether its keys would verify anything, and its clock.

use std::time::{Duration, SystemTime};

use super::{
    discovery,
    fetch::Fetcher,
    issuer::IssuerConfig,
    jwk,
    source::{FetchFailed, KeySource as _, NamedBy},
};

/// What an issuer showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// Where its keys are.
    pub jwks: String,
    /// The keys that it publishes.
    pub keys: usize,
    /// Those that suit an algorithm of the configuration.
    pub usable: usize,
    /// How far its web server's clock is from ours, if it says; what the way took is in it.
    pub skew: Option<Skew>,
}

/// How far a clock is from ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skew {
    /// By how much.
    pub by: Duration,
    /// Whether it is ahead.
    pub ahead: bool,
}

/// Asks an issuer for its metadata and keys, as the server would.
///
/// # Errors
/// [`FetchFailed`] says what cannot be had.
pub async fn survey(config: &IssuerConfig, fetcher: &Fetcher) -> Result<Survey, FetchFailed> {
    let (url, named_by) = match &config.jwks {
        Some(url) => (url.clone(), NamedBy::Operator),
        None => discovery::find(&config.url, fetcher).await?,
    };
    let text = fetcher.get(&url, named_by, jwk::MAX_SET).await?;
    let keys = jwk::read_set(&text).map_err(|rule| FetchFailed(format!("{url}: {rule}")))?;
    let suits = |key: &&jwk::Jwk| {
        let mut algorithms = config.algorithms.iter().copied();
        algorithms.any(|one| key.key.suits(one) && key.algorithm.is_none_or(|only| only == one))
    };
    let theirs = fetcher.clock(&url, named_by).await?;
    let skew = theirs.map(|theirs| match theirs.duration_since(SystemTime::now()) {
        Ok(by) => Skew { by, ahead: true },
        Err(behind) => Skew { by: behind.duration(), ahead: false },
    });
    Ok(Survey { jwks: url, keys: keys.len(), usable: keys.iter().filter(suits).count(), skew })
}
