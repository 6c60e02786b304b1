//! The command line. Its help is the short manual: every command says what it is for and shows how it is used.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use countersign_identity::Timestamp;

use crate::commands::{
    approvals::ApprovalsCommand,
    init::InitCommand,
    policy::PolicyCommand,
    stop::{Freeze, Revoke, Thaw},
    token::TokenCommand,
};

/// Every tool call, countersigned: a safe layer between AI agents and your data.
#[derive(Parser, Debug)]
#[command(
    name = "countersign",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "countersign.toml")]
    pub(crate) config: PathBuf,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  countersign quickstart                 a sample database, policies, a key, and a server to try
  countersign doctor                     is this installation sound?

Exit codes:
  0  done, and nothing to complain about
  1  done, and the answer is no: a check failed, a call would be refused, a record is damaged
  2  the command line was not understood
  3  the configuration or the policies have problems
  4  something needed is not there: a port is taken, a file cannot be read, a log cannot be opened";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a sample installation, print how to connect, and serve it
    #[command(after_help = "\
Examples:
  countersign quickstart                       files in ./demo, server on 127.0.0.1:8931
  countersign quickstart --dir shop --port 9000
  countersign quickstart --no-serve            only make the files

A second run keeps every file that is there. Keys are shown once, when they are minted; --new-key mints a further one.")]
    Quickstart(Quickstart),
    /// Serve MCP over HTTP
    #[command(after_help = "\
Examples:
  countersign serve --config /etc/countersign/countersign.toml

SIGHUP reads policies, keys and secrets again; SIGTERM and Ctrl-C let running calls finish, then stop.
On a terminal each decision is one line; otherwise one JSON object per line, on standard error.")]
    Serve,
    /// Serve MCP over standard input and output, to the program that started this one
    #[command(after_help = "\
For a client's configuration:
  { \"mcpServers\": { \"countersign\": {
      \"command\": \"countersign\", \"args\": [\"stdio\", \"--config\", \"/path/to/countersign.toml\"] } } }

Only the user of [identity.local] is served. Standard output belongs to the protocol; decisions go to standard error.")]
    Stdio,
    /// Check this installation: files, permissions, keys, policies, databases, the log
    #[command(after_help = "Exit code 1 when something is wrong; warnings alone exit with 0.")]
    Doctor,
    /// Prepare a database: least-privilege logins, and row security for tenants
    #[command(subcommand)]
    Init(InitCommand),
    /// Show, check or describe the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check, test, compare, replay and explain policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// List the tools that somebody would see
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Check or list the catalog of predefined queries
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Show what was recorded about one call
    #[command(after_help = "\
Example:
  countersign why 019ab3c4-7d2e-7f00-8a11-2233445566aa

The id stands in every refusal, and in every line of the operator's view.")]
    Why {
        #[command(flatten)]
        log: LogDir,
        /// The id of the call
        #[arg(value_name = "CALL-ID")]
        call: String,
    },
    /// Verify, read and search the record of calls
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Approve or refuse calls that wait for people
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Issue, narrow, list and revoke short-lived credentials; mint API keys
    #[command(subcommand)]
    Token(TokenCommand),
    /// Stop calls at once: all of them, or those of a tenant, a principal, a tool
    #[command(after_help = "\
Examples:
  countersign freeze --reason 'incident 12'                stops every call
  countersign freeze --tool run_python
  countersign freeze --principal keys ann

Running servers notice within a second. `countersign thaw` with the same options ends it.")]
    Freeze(Freeze),
    /// End a freeze, or show what is frozen and revoked
    #[command(after_help = "\
Examples:
  countersign thaw --list
  countersign thaw --tool run_python")]
    Thaw(Thaw),
    /// Revoke a credential, principal, agent, session, run or token for good
    #[command(after_help = "\
Examples:
  countersign revoke --credential k3x9m2qa --reason 'laptop lost'
  countersign revoke --principal https://idp.example.com/ 00u1a2b3
  countersign revoke --token https://idp.example.com/ 6f1c9a

Running servers refuse it within a second, and its open streams end.")]
    Revoke(Revoke),
}

#[derive(Args, Debug)]
pub(crate) struct Quickstart {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub(crate) dir: PathBuf,
    /// The port on 127.0.0.1 [default: 8931, or what the configuration says]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Make the files and stop
    #[arg(long)]
    pub(crate) no_serve: bool,
    /// Mint a further key, although there is one
    #[arg(long)]
    pub(crate) new_key: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Print every setting as it stands, where it came from, and no secrets
    Show,
    /// Say what is wrong with the configuration, all at once
    Check,
    /// Print the JSON Schema of countersign.toml, for editors
    #[command(after_help = "\
Example:
  countersign config schema > countersign.schema.json
and as the first line of countersign.toml:
  #:schema ./countersign.schema.json")]
    Schema,
}

#[derive(Subcommand, Debug)]
pub(crate) enum CatalogCommand {
    /// Have every query judged by its database, and show parameters, result columns and what each touches
    #[command(after_help = "\
No query is run. Exit code 3 when the catalog has problems, each with its file, line and key; 4 when a database cannot be reached or there
is no catalog.")]
    Check,
    /// List the queries of the catalog; needs no database
    List,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ToolsCommand {
    /// List the tools that a principal sees
    #[command(after_help = "\
Examples:
  countersign tools list
  countersign tools list --as alice")]
    List {
        #[command(flatten)]
        principal: As,
    },
}

/// Who is meant. Principals are looked up among those that exist, never made up from text.
#[derive(Args, Debug)]
pub(crate) struct As {
    /// Who: `local` (the stdio user), a key's id, or the subject of a key
    #[arg(long = "as", value_name = "PRINCIPAL", default_value = "local")]
    pub(crate) name: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Prove that the record is complete and unchanged
    #[command(after_help = "\
Examples:
  countersign audit verify demo/audit
  countersign audit verify demo/audit --since yesterday.checkpoint

Needs neither configuration nor key, and works while a server is writing. Keep checkpoints elsewhere: only they show that
the newest part, or all, was put back to an older state.")]
    Verify {
        /// The directory of the log
        dir: PathBuf,
        /// Checkpoints that were kept elsewhere: nothing recorded before them may be missing or changed
        #[arg(long, value_name = "FILE")]
        since: Vec<PathBuf>,
        /// The verifier key, kept elsewhere [default: the one in the directory]
        #[arg(long, value_name = "KEY")]
        vkey: Option<String>,
    },
    /// Print the latest records
    Tail {
        #[command(flatten)]
        log: LogDir,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: usize,
        /// Go on printing as records are written
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the records that say all that is asked for
    #[command(after_help = "\
Examples:
  countersign audit search --decision deny --principal alice
  countersign audit search --tool query_shop -n 100
  countersign audit search restricted_salaries

Arguments and results are not recorded, so they cannot be found.")]
    Search {
        #[command(flatten)]
        log: LogDir,
        /// Text that the record holds, exactly
        text: Option<String>,
        /// The subject of the principal
        #[arg(long)]
        principal: Option<String>,
        /// The tool
        #[arg(long)]
        tool: Option<String>,
        /// allow, deny or hold; or the kind of record: intent, outcome, refusal, event
        #[arg(long)]
        decision: Option<String>,
        /// Not before this time, such as 2026-11-21T10:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Not after this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// At most so many, the latest
        #[arg(long, short = 'n', default_value_t = 50)]
        lines: usize,
    },
    /// Print a proof that a call is in the record, for somebody else to check
    #[command(after_help = "\
Example:
  countersign audit prove 019ab3c4-7d2e-7f00-8a11-2233445566aa > proof.json

Each proof is a JSON document: the entry, its inclusion proof (RFC 9162) and the signed checkpoint.")]
    Prove {
        #[command(flatten)]
        log: LogDir,
        /// The id of the call
        #[arg(value_name = "CALL-ID")]
        call: String,
    },
}

/// Where a log is: a directory, or else what the configuration says.
#[derive(Args, Debug)]
pub(crate) struct LogDir {
    /// The directory of the log [default: the one of the configuration]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
