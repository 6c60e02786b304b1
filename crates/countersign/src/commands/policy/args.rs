//! The command line of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_identity::Timestamp;

use crate::cli::{As, LogDir};

#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Parse and validate all policies, and say whether they loosen what is in force
    #[command(after_help = "\
All problems come at once, each with its file, line and a hint; exit code 3 then. Nothing is put in force.")]
    Check {
        /// Print the Cedar schema that policies are validated against as well
        #[arg(long)]
        schema: bool,
        /// Another directory of policies [default: the one of the configuration]
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
    },
    /// Say whether a call would run, which policies decide, and what would change it
    #[command(after_help = "\
Examples:
  echo '{\"tool\": \"query_shop\", \"arguments\": {\"query\": \"SELECT name FROM customers\"}}' > call.json
  countersign policy explain call.json
  countersign policy explain call.json --as key-3fQ9xZ1b

The statement is planned, never run. Exit code 1 when the call would not run.")]
    Explain {
        /// A JSON file with `tool` and `arguments`; `-` is standard input
        #[arg(value_name = "CALL.json")]
        call: PathBuf,
        #[command(flatten)]
        principal: As,
    },
    /// Decide on the cases of a file, and print those that are not decided as it expects
    #[command(after_help = "\
Example of a file:
  [principals.ann]
  tenant = \"acme\"
  roles = [\"reader\"]

  [[case]]
  as = \"ann\"                                           # or several: [\"ann\", \"bob\"]
  tool = \"query_shop\"
  access = \"read column shop.users.password_hash\"      # or several; or:  arguments = { query = \"SELECT ...\" }
  expect = \"deny\"                                      # allow, deny, hold 1, hold 2, listed, hidden, refused
  by = \"user/default/secret-columns\"                   # optional: exactly these policies

With `arguments` and no `access` the call is planned, never run. Exit code 1 when a case is decided otherwise.")]
    Test {
        /// The file of cases
        #[arg(value_name = "CASES.toml")]
        cases: PathBuf,
        /// Another directory of policies [default: the one of the configuration]
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
    },
    /// Say what other policies would have decided on calls that are on record
    #[command(after_help = "\
Examples:
  countersign policy replay --policies policies.new
  countersign policy replay --policies policies.new --since 2026-11-01T00:00:00Z --json

A record names caller, roles, tool, time and every object touched, and holds no arguments: calls whose decision rests on arguments, on a
preview, or on more than the record names are counted apart. Exit code 1 when any call would be decided otherwise.")]
    Replay {
        #[command(flatten)]
        log: LogDir,
        /// The directory of the other policies
        #[arg(long, value_name = "DIR")]
        policies: PathBuf,
        /// Not before this time, such as 2026-11-21T10:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Not after this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
    /// Print what each role may: tools down, roles across
    #[command(after_help = "\
Examples:
  countersign policy matrix
  countersign policy matrix --access 'read table shop.customers' --access 'connect host example.com:443'

`-` is denied, `hold 1` waits for one person, `depends` rests on arguments, the plan or the time.")]
    Matrix(Matrix),
    /// Say in what two directories of policies differ, and whether the second loosens the first
    #[command(after_help = "\
Example:
  countersign policy diff policies policies.new

Exit code 1 when they differ.")]
    Diff {
        /// The policies as they are
        old: PathBuf,
        /// The policies as they would be
        new: PathBuf,
        #[command(flatten)]
        matrix: Matrix,
    },
    /// Prove what no call may do, or show one that may; for builds with the feature `prove`, and cvc5
    #[command(after_help = "\
Examples:
  countersign policy prove                          # what the built-in floor promises
  countersign policy prove --never never.cedar      # and your own properties: `forbid`s
  countersign policy prove --against policies.new   # in what two sets differ, by a call

`policy test` and `policy diff` try cases; this asks a solver about all callers, arguments, objects and labels that there could be. \
`proved` is for all of them; `broken` comes with a call that the policies permit. It is about the decisions of these policies, floor \
included, for the tools, databases and roots of this configuration, not about the programs that carry them out.

Exit code 1 when a property does not hold, or the policies differ. Without a solver, or when it gives up, nothing counts as proved: \
exit code 4. Tested with cvc5 1.0.3 (Debian 12: apt-get install cvc5); other versions work with a warning.")]
    Prove(Prove),
    /// Confirm policies that loosen what is in force: exactly the set with this digest
    #[command(after_help = "\
Example:
  countersign policy accept 5f0c...e1 --key alice.operator-key

A reload or a start that permits more than before waits for this. Where operators are enrolled (`approvals enroll`), one of them signs.")]
    Accept {
        /// The digest, as `policy check` and the refusal show it
        digest: String,
        /// The operator's key file
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Sum up what the observed policies would have decided differently
    #[command(after_help = "\
Set `observe = \"policies.new\"` in [policy]: these policies are then asked about every call as well and decide nothing. What they would have
decided differently is in the record of the call, and summed up here. Exit code 1 when there is any.")]
    Observed {
        #[command(flatten)]
        log: LogDir,
        /// Not before this time, such as 2026-11-21T10:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
    },
}

/// What a matrix is made for.
#[derive(Args, Debug)]
pub(crate) struct Matrix {
    /// The tenant of those who ask [default: the one of the stdio user]
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A role that no policy names; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// An object with the action on it, such as 'read table shop.customers'; may be repeated
    #[arg(long = "access", value_name = "ACCESS")]
    pub(crate) accesses: Vec<String>,
}

/// What is to be proved.
#[derive(Args, Debug)]
#[cfg_attr(not(feature = "prove"), allow(dead_code, reason = "builds without the feature prove nothing"))]
pub(crate) struct Prove {
    /// Further properties: a file of policies that only forbid; may be repeated
    #[arg(long, value_name = "FILE.cedar")]
    pub(crate) never: Vec<PathBuf>,
    /// Compare with the policies of this directory instead: what would they permit or deny newly
    #[arg(long, value_name = "DIR", conflicts_with = "never")]
    pub(crate) against: Option<PathBuf>,
    /// Another directory of policies [default: the one of the configuration]
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// How long the solver may think about one question
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub(crate) seconds: u32,
    /// The solver
    #[arg(long, value_name = "PROGRAM", default_value = "/usr/bin/cvc5")]
    pub(crate) solver: PathBuf,
}
