//! Whether authorization servers can be reached from here, and whether their tokens could be checked.

use countersign_egress::Roots;
use countersign_identity::oauth::{
    Fetcher, IntrospectionClient, IntrospectionEndpoint as _, Skew, Survey, survey,
};
use tokio::runtime::Runtime;

use super::Check;
use crate::config::{Config, Introspection, Issuer};

const ABOUT: &str = "issuer";

/// The checks of each issuer.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let issuers = config.identity.issuers.iter();
    issuers.flat_map(|issuer| runtime.block_on(check(issuer))).collect()
}

async fn check(issuer: &Issuer) -> Vec<Check> {
    let name = &issuer.config.name;
    let roots = issuer.ca.clone().map_or(Roots::System, Roots::File);
    let fetcher = match Fetcher::new(&roots) {
        Ok(fetcher) => fetcher,
        Err(e) => {
            let help = "install ca-certificates, or set the issuer's `ca`";
            return vec![Check::bad(ABOUT, format!("{name}: {e}"), help)];
        }
    };
    let mut checks = match survey(&issuer.config, &fetcher).await {
        Ok(found) => vec![keys(name, &found), clock(issuer, found.skew)],
        Err(e) => {
            let help = "until its keys can be fetched, its tokens are refused with 503";
            vec![Check::bad(ABOUT, format!("{name}: {e}"), help)]
        }
    };
    if let Some(asked) = &issuer.introspection {
        checks.push(introspection(name, asked, &roots).await);
    }
    checks
}

fn keys(name: &str, found: &Survey) -> Check {
    let Survey { jwks, keys, usable, .. } = found;
    match usable {
        0 => Check::bad(
            ABOUT,
            format!("{name}: none of the {keys} keys at {jwks} is for an algorithm of `algorithms`"),
            "ask its documentation what it signs with",
        ),
        _ => Check::good(ABOUT, format!("{name}: {usable} of {keys} keys at {jwks} can be used")),
    }
}

fn clock(issuer: &Issuer, skew: Option<Skew>) -> Check {
    let name = &issuer.config.name;
    let Some(Skew { by, ahead }) = skew else {
        return Check::good(ABOUT, format!("{name}: it does not say what time it is"));
    };
    let found =
        format!("{name}: its clock is {} s {} ours", by.as_secs(), if ahead { "ahead of" } else { "behind" });
    // The header tells whole seconds, and the answer took some time to arrive.
    if by.as_secs() > issuer.config.leeway.as_secs().max(2) {
        Check::bad(ABOUT, found, "beyond `leeway`, fresh tokens are refused: set the clocks, by NTP")
    } else {
        Check::good(ABOUT, found)
    }
}

/// Asks about a token that nobody issued: the answer must be no, and not that it is none of our business.
async fn introspection(name: &str, asked: &Introspection, roots: &Roots) -> Check {
    let made_up = "countersign-doctor-asks-about-no-token";
    let help = "check `introspection_client` and `introspection_secret`; opaque tokens are refused with 503 meanwhile";
    let endpoint = match IntrospectionClient::new(roots, &asked.url, &asked.client, asked.secret.reveal()) {
        Ok(endpoint) => endpoint,
        Err(e) => return Check::bad(ABOUT, format!("{name}: {e}"), help),
    };
    match endpoint.ask(made_up).await {
        Ok(answer) => match serde_json::from_slice::<serde_json::Value>(&answer) {
            Ok(answer) if answer.get("active") == Some(&false.into()) => {
                Check::good(ABOUT, format!("{name}: {} answers what tokens are", asked.url))
            }
            _ => Check::bad(ABOUT, format!("{name}: {} does not answer as RFC 7662 asks", asked.url), help),
        },
        Err(e) => Check::bad(ABOUT, format!("{name}: {e}"), help),
    }
}
