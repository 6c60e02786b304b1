//! Help texts and exit codes of the command line itself.

use crate::shop::run;

#[test]
fn the_first_page() {
    let ran = run(&["--help"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(ran.out, @r"
      Every tool call, countersigned: a safe layer between AI agents and your data

      Usage: countersign [OPTIONS] <COMMAND>

      Commands:
        quickstart  Make a sample installation, print how to connect, and serve it
        serve       Serve MCP over HTTP
        stdio       Serve MCP over standard input and output, to the program that started this one
        doctor      Check this installation: files, permissions, keys, policies, databases, the log
        init        Prepare a database: least-privilege logins, and row security for tenants
        config      Show, check or describe the configuration
        policy      Check, test, compare, replay and explain policies
        tools       List the tools that somebody would see
        catalog     Check or list the catalog of predefined queries
        why         Show what was recorded about one call
        audit       Verify, read and search the record of calls
        approvals   Approve or refuse calls that wait for people
        token       Issue, narrow, list and revoke short-lived credentials; mint API keys
        freeze      Stop calls at once: all of them, or those of a tenant, a principal, a tool
        thaw        End a freeze, or show what is frozen and revoked
        revoke      Revoke a credential, principal, agent, session, run or token for good
        help        Print this message or the help of the given subcommand(s)

      Options:
            --config <FILE>  The configuration file [default: countersign.toml]
            --json           Print JSON, for programs
        -h, --help           Print help
        -V, --version        Print version

      Start here:
        countersign quickstart                 a sample database, policies, a key, and a server to try
        countersign doctor                     is this installation sound?

      Exit codes:
        0  done, and nothing to complain about
        1  done, and the answer is no: a check failed, a call would be refused, a record is damaged
        2  the command line was not understood
        3  the configuration or the policies have problems
        4  something needed is not there: a port is taken, a file cannot be read, a log cannot be opened
    ");
}

#[test]
fn quickstart_teaches() {
    insta::assert_snapshot!(run(&["quickstart", "--help"]).out, @r"
      Make a sample installation, print how to connect, and serve it

      Usage: countersign quickstart [OPTIONS]

      Options:
            --config <FILE>  The configuration file [default: countersign.toml]
            --dir <DIR>      Where the files go [default: demo]
            --json           Print JSON, for programs
            --port <PORT>    The port on 127.0.0.1 [default: 8931, or what the configuration says]
            --no-serve       Make the files and stop
            --new-key        Mint a further key, although there is one
        -h, --help           Print help
        -V, --version        Print version

      Examples:
        countersign quickstart                       files in ./demo, server on 127.0.0.1:8931
        countersign quickstart --dir shop --port 9000
        countersign quickstart --no-serve            only make the files

      A second run keeps every file that is there. Keys are shown once, when they are minted; --new-key
      mints a further one.
    ");
}

#[test]
fn every_command_has_help() {
    for words in [
        &["serve"][..],
        &["stdio"],
        &["doctor"],
        &["why"],
        &["config", "show"],
        &["config", "check"],
        &["config", "schema"],
        &["policy", "check"],
        &["policy", "explain"],
        &["tools", "list"],
        &["audit", "verify"],
        &["audit", "tail"],
        &["audit", "search"],
        &["audit", "prove"],
        &["token", "issue"],
        &["token", "narrow"],
        &["token", "list"],
        &["token", "revoke"],
        &["token", "rotate"],
        &["token", "jwks"],
        &["token", "key", "create"],
        &["token", "key", "list"],
        &["token", "key", "revoke"],
        &["token", "key", "renew"],
    ] {
        let ran = run(&[words, &["--help"]].concat());
        assert_eq!(ran.code, 0, "{words:?}");
        assert!(ran.out.contains("Usage: countersign"), "{words:?}: {}", ran.out);
    }
}

#[test]
fn a_slip_is_answered_with_a_suggestion() {
    let ran = run(&["quickstat"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @r"
      error: unrecognized subcommand 'quickstat'

        tip: a similar subcommand exists: 'quickstart'

      Usage: countersign [OPTIONS] <COMMAND>

      For more information, try '--help'.
    ");
    assert_eq!(run(&[]).code, 2);
}

#[test]
fn hidden_commands_do_nothing_by_themselves() {
    // Without a socket on descriptor 0 a worker has nothing to serve, and says nothing.
    let ran = run(&["__sqlite-worker"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (4, "", ""));
}
