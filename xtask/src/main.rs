//! Development commands: `cargo xtask help` lists them.
//!
//! Nothing here ships. The commands test, measure and police the workspace, so this crate alone may start any process and print.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a development tool: it starts the toolchain's processes and prints to whoever called it"
)]

#[cfg(feature = "bench")]
mod bench;
mod conformance;
mod debian;
mod deny;
mod e2e;
mod mutate;
mod process;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [--only A,B] [--from STEP] [--list]   everything: formatting, lints, unit tests, conformance, end to end
  setup                                       what the tests need: PostgreSQL, ODBC drivers, Node.js, suites
  tidy                                        house rules that no compiler checks
  deny                                        licences, sources and bans of deny.toml, read without cargo-deny
  conformance [--raise]                       run the MCP conformance suites, write docs/conformance.md
  mutate [ID | --all | --check]               remove a control, expect its test to fail
  bench [--quick] [--write]                   load test beside a bare server; --write: docs/performance.md
  bench policy [--write]                      the cost of a decision with 10 to 10,000 policies
  bench sandbox [--runs N] [--binary FILE]    start of Python: bare, in the jail, in a container
  bench fetch                                 a guarded fetch beside a plain client, on loopback
  bench sql [--quick] [--write] [--only A,B]  PostgreSQL rows: the limit, Countersign, other MCP servers
  bench files [--quick]                       a file of 1 MiB: read directly, from memory, through the tool
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    if rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let outcome = match command {
        "test" => test::main(rest),
        "setup" => setup::all(),
        "tidy" => tidy::main(),
        "deny" => deny::main(),
        "conformance" => conformance::main(rest),
        "mutate" => mutate::main(rest),
        "bench" if rest.first().is_some_and(|what| what == "fetch") => workspace::bench_fetch(),
        #[cfg(feature = "bench")]
        "bench" => bench::main(rest),
        #[cfg(feature = "bench")]
        "bare-server" => bench::bare_server(rest),
        #[cfg(feature = "bench")]
        "raw-sql-server" => bench::raw_sql_server(rest),
        #[cfg(not(feature = "bench"))]
        "bench" => workspace::rerun_bench(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(anyhow::anyhow!("unknown command `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
