//! The command line of `token`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use countersign_identity::{KeyKind, check_claim};

use crate::{commands::stop::Revoke, config::span};

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Issue a credential that lives for minutes; it is shown once
    #[command(after_help = "\
Examples:
  countersign token issue --for nightly --tenant north --role reader --scopes shop:read --purpose 'report of the day'
  countersign token issue --for helper --owner ann --tenant north --role analyst --scopes shop:read,docs:read \\
      --tools query_shop,read_file --run ticket-4711 --ttl 10m --purpose 'ticket 4711' --out agent.token

There is no scope for everything, and a credential for some tools knows no others. Policies still decide what it may do.")]
    Issue(Issue),
    /// Make a credential that grants less and ends no later, from one on standard input
    #[command(after_help = "\
Example:
  countersign token narrow --tools query_shop --ttl 2m < agent.token

Holders do the same over HTTP, without access to this machine: POST /credentials/narrow.")]
    Narrow(Narrow),
    /// List the credentials that are alive; the credentials themselves are not stored and cannot be shown
    List,
    /// Revoke a credential, principal, agent, session, run or token: servers refuse it within a second
    #[command(after_help = "\
Examples:
  countersign token revoke cred-0a1B2c3D4e5F6g7H --reason 'ticket closed'
  countersign token revoke --agent helper
  countersign token revoke --run north/helper/ticket-4711
  countersign token revoke --token https://idp.example.com/ 6f1c9a

What was narrowed from a credential ends with it, and so do open streams.")]
    Revoke(Revoke),
    /// Let a new key sign; what the old one signed ends by itself
    #[command(after_help = "\
Keys rotate by themselves every week. After a key was stolen: countersign token rotate --at-once")]
    Rotate {
        /// Believe nothing any more that the old keys signed
        #[arg(long)]
        at_once: bool,
    },
    /// Print the public keys, as servers publish them at /.well-known/jwks.json
    Jwks,
    /// API keys for HTTP
    #[command(subcommand)]
    Key(KeyCommand),
}

/// What a new credential grants.
#[derive(Args, Debug)]
pub(crate) struct Issue {
    /// Whom it is for
    #[arg(long = "for", value_name = "SUBJECT")]
    pub(super) subject: String,
    /// The tenant
    #[arg(long)]
    pub(super) tenant: String,
    /// A role; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// Scopes, separated by commas; there is none for everything
    #[arg(long, value_name = "SCOPES", required = true, value_delimiter = ',')]
    pub(super) scopes: Vec<String>,
    /// The only tools that it is good for, separated by commas [default: what policy permits]
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    pub(super) tools: Vec<String>,
    /// The run that all its calls belong to
    #[arg(long, value_name = "NAME")]
    pub(super) run: Option<String>,
    /// The person for whom the holder acts
    #[arg(long, value_name = "PERSON")]
    pub(super) owner: Option<String>,
    /// What holds it
    #[arg(long, value_enum, default_value_t = Kind::Service)]
    pub(super) kind: Kind,
    /// How long it lives, such as 90s or 10m; at most `identity.credentials.max_ttl`
    #[arg(long, default_value = "10m", value_parser = ttl)]
    pub(super) ttl: Duration,
    /// What it is for: in the list and on record
    #[arg(long, value_name = "TEXT")]
    pub(super) purpose: String,
    /// Write it to this new file, of mode 0600, instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// What to leave of a credential.
#[derive(Args, Debug)]
pub(crate) struct Narrow {
    /// The scopes to keep, separated by commas [default: all]
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    pub(super) scopes: Vec<String>,
    /// The tools to keep, separated by commas [default: all]
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    pub(super) tools: Vec<String>,
    /// How long the new one lives [default: as long as the old one]
    #[arg(long, value_parser = ttl)]
    pub(super) ttl: Option<Duration>,
    /// Write it to this new file, of mode 0600, instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    span(text).map(Duration::from_millis).ok_or_else(|| "write a time such as 90s or 10m".to_owned())
}

#[derive(Subcommand, Debug)]
pub(crate) enum KeyCommand {
    /// Mint a key; it is shown once
    #[command(after_help = "\
Examples:
  countersign token key create --for alice --tenant north --role reader
  countersign token key create --for bob --tenant north --role reader --claim branch=4711
  countersign token key create --for nightly-report --kind service --tenant north --role reader --days 30")]
    Create {
        /// Whose key it is
        #[arg(long = "for", value_name = "SUBJECT")]
        subject: String,
        /// The tenant
        #[arg(long)]
        tenant: String,
        /// A role; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What is known of the holder besides, for catalog parameters with `bind = "claim:NAME"`; may be repeated
        #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
        claims: Vec<(String, String)>,
        /// What holds the key
        #[arg(long, value_enum, default_value_t = Kind::Person)]
        kind: Kind,
        /// How many days it lives
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// List all keys; the keys themselves are not stored and cannot be shown
    List,
    /// Revoke a key: running servers refuse it within a second
    Revoke {
        /// The id of the key, as `list` shows it
        id: String,
    },
    /// Mint a successor; the old key goes on for a while
    Renew {
        /// The id of the key, as `list` shows it
        id: String,
        /// How many days the new key lives
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// How many hours the old key goes on
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=720))]
        overlap_hours: u32,
    },
}

fn claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    check_claim(name, value).map_err(|rule| rule.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What holds a key.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum Kind {
    /// One person
    Person,
    /// A program
    Service,
    /// Several people; gets no high-impact rights
    Shared,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> KeyKind {
        match kind {
            Kind::Person => KeyKind::Person,
            Kind::Service => KeyKind::Service,
            Kind::Shared => KeyKind::Shared,
        }
    }
}
