//! Whether TLS could be served with the files at hand, and until when.

use countersign_identity::{CertificateFacts, ServerTls, Timestamp};

use super::{Check, SOON};
use crate::{callers, config::Config};

const ABOUT: &str = "certificate";

/// The checks; none without `[server.tls]`.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let Some(files) = &config.server.tls else { return Vec::new() };
    if let Err(e) = ServerTls::open(files.clone()) {
        return vec![Check::bad(ABOUT, e.to_string(), "the server does not start until this is mended")];
    }
    let facts = match CertificateFacts::read(&files.certificate) {
        Ok(facts) => facts,
        Err(e) => return vec![Check::bad(ABOUT, e.to_string(), "")],
    };
    let unnamed = callers::hosts(config).into_iter().filter(|host| !facts.is_for(host));
    let unnamed = unnamed.map(|host| {
        let found = format!("the certificate is not for `{host}`, by which clients address this server");
        Check::bad(ABOUT, found, format!("it is for {}", list(&facts)))
    });
    [validity(&facts, Timestamp::now())].into_iter().chain(unnamed).collect()
}

fn validity(facts: &CertificateFacts, now: Timestamp) -> Check {
    let renew = "put the new files in place of the old ones, then `systemctl reload countersign`";
    if now < facts.from {
        let found = format!("it is not valid before {}", facts.from);
        return Check::bad(ABOUT, found, "check the clock of this machine");
    }
    if now >= facts.until {
        return Check::bad(ABOUT, format!("it expired on {}", facts.until), renew);
    }
    if facts.until.since(now) < SOON {
        return Check::warning(ABOUT, format!("it expires on {}", facts.until), renew);
    }
    Check::good(ABOUT, format!("for {}, until {}", list(facts), facts.until.date()))
}

fn list(facts: &CertificateFacts) -> String {
    let addresses = facts.addresses.iter().map(ToString::to_string);
    let all: Vec<String> = facts.names.iter().cloned().chain(addresses).collect();
    if all.is_empty() { "no name at all".into() } else { all.join(", ") }
}
