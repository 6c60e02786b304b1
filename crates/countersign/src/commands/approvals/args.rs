//! The command line of `approvals`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use countersign_state::Outcome;

#[derive(Subcommand, Debug)]
pub(crate) enum ApprovalsCommand {
    /// List requests, newest first
    #[command(after_help = "\
Examples:
  countersign approvals list
  countersign approvals list --watch        go on printing requests as they come")]
    List {
        /// Go on printing requests as they come
        #[arg(long, conflicts_with = "json")]
        watch: bool,
        /// Requests that are over as well
        #[arg(long)]
        all: bool,
    },
    /// Show everything about one request: who asks, with which arguments, what would change
    Show {
        /// The id, such as ap-k3x9m2qa
        id: String,
    },
    /// Approve a request: sign exactly what `show` shows
    #[command(after_help = "\
Example:
  countersign approvals approve ap-k3x9m2qa --key alice.operator-key --reason 'ticket 4711'

Nobody can approve their own call. The caller then repeats the call, which runs once.")]
    Approve(Vote),
    /// Refuse a request; the caller is told the reason
    Deny(Vote),
    /// Settle a call that was cut off: say whether it took effect, after a look at the data
    #[command(after_help = "\
Examples:
  countersign approvals list                          calls in doubt are among them
  countersign approvals resolve 019ab3c4-7d2e-7f00-8a11-2233445566aa --outcome did-not-run --note 'no such order'

The approval stays used. After did-not-run the caller may repeat the call with the same idempotency key, and it is held anew; after ran the
key answers that it took effect. Nothing is executed here. The finding goes into the record, with the user id that gave it.")]
    Resolve {
        /// The id of the call, or of its request
        #[arg(value_name = "CALL")]
        call: String,
        /// What the data shows
        #[arg(long, value_enum)]
        outcome: Found,
        /// How you know; it goes into the record
        #[arg(long)]
        note: String,
    },
    /// Make an operator's key and enrol it here
    #[command(after_help = "\
Examples:
  countersign approvals enroll --name alice
  countersign approvals enroll --name bob --tenant acme --also bob@acme.example --out /media/usb/bob.operator-key

The file has no passphrase: whoever can read it can approve. Keep it where the server and the agents cannot read it.")]
    Enroll {
        /// The person's name; calls by a subject of this name cannot be approved with the key
        #[arg(long)]
        name: String,
        /// Another subject under which the same person makes calls; may be repeated
        #[arg(long, value_name = "SUBJECT")]
        also: Vec<String>,
        /// The only tenant whose calls this person may approve
        #[arg(long)]
        tenant: Option<String>,
        /// Where the key file goes [default: NAME.operator-key]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List and revoke operators' keys
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(Args, Debug)]
pub(crate) struct Vote {
    /// The id, such as ap-k3x9m2qa
    pub(crate) id: String,
    /// The operator's key file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Why; it goes into the record
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// What somebody found out about a call that was cut off.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum Found {
    /// It took effect
    Ran,
    /// It did not
    DidNotRun,
}

impl From<Found> for Outcome {
    fn from(found: Found) -> Outcome {
        match found {
            Found::Ran => Outcome::Ran,
            Found::DidNotRun => Outcome::DidNotRun,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// List all keys
    List,
    /// Revoke a key: no signature of it counts any more, also none it gave before
    Revoke {
        /// The id of the key, as `list` shows it
        id: String,
    },
}
