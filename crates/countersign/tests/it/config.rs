//! `config show|check|schema`, and what every command says to a configuration that is wrong.

use crate::shop::{Shop, run};

#[test]
fn the_written_configuration_is_valid_and_commented() {
    let (shop, _) = Shop::made();
    let ran = shop.run(&["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "ROOT/demo/countersign.toml is valid\n"));
    let text = std::fs::read_to_string(shop.dir().join("countersign.toml")).unwrap();
    let comments = text.lines().filter(|line| line.starts_with('#')).count();
    assert!(comments > 15, "{text}");
}

#[test]
fn show_says_where_every_setting_comes_from() {
    let (shop, _) = Shop::made();
    shop.edit("countersign.toml", |text| {
        let lines = text.lines().map(|line| if line.starts_with("uid = ") { "uid = 7" } else { line });
        lines.collect::<Vec<_>>().join("\n")
    });
    let ran = shop.run(&["config", "show"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(ran.out, @r#"
      version = 1                              # line 5

      [server]
      listen = "127.0.0.1:8931"                # line 9
      confine = true                           # default
      allowed_hosts = []                       # default
      allowed_origins = []                     # default
      drain = "10s"                            # default
      max_message = "1 MiB"                    # default
      max_connections = 512                    # default
      header_timeout = "5s"                    # default
      body_timeout = "10s"                     # default
      max_sessions = 256                       # default
      max_sessions_per_principal = 32          # default
      session_idle = "30m"                     # default

      [state]
      dir = "state"                            # default
      pool = 8                                 # default

      [identity]
      keys = "state/keys.json"                 # line 13

      [identity.local]
      uid = 7                                  # line 17
      user = "ada"                             # line 18
      tenant = "north"                         # line 19
      roles = ["operator"]                     # line 20

      [policy]
      dir = "policies"                         # line 24

      [approval]
      elicitation = false                      # default

      [audit]
      dir = "audit"                            # line 28
      reserve = "64 MiB"                       # default
      rotate = "1 GiB"                         # default

      [limits]
      run_calls = 10000                        # default
      rows_per_hour = 1000000                  # default
      bytes_per_hour = "1 GiB"                 # default
      concurrent_principal = 16                # default
      concurrent_server = 64                   # default
      max_result = "1 MiB"                     # default

      [limits.breaker]
      failures = 10                            # default
      rest = "5s"                              # default

      [limits.principal]
      per_minute = 600                         # default
      burst = 100                              # default

      [limits.repeat]
      per_minute = 60                          # default
      burst = 60                               # default

      [limits.run]
      per_minute = 600                         # default
      burst = 100                              # default

      [limits.server]
      per_minute = 60000                       # default
      burst = 2000                             # default

      [limits.tenant]
      per_minute = 6000                        # default
      burst = 500                              # default

      [limits.tool]
      per_minute = 300                         # default
      burst = 60                               # default

      [limits.unauthenticated]
      per_minute = 60                          # default
      burst = 20                               # default

      [databases.shop]
      url = "sqlite:shop.db"                   # line 34
      raw = true                               # default
      allow_writes = false                     # default
      allow_unfiltered_writes = false          # default
      rows = 1000                              # line 35
      timeout = "10s"                          # line 36
      workers = 4                              # default

      [catalog]
      dir = "catalog"                          # default

      [sandbox]
      engine = "jail"                          # default

      [fetch]
      allow = []                               # default
      trusted = []                             # default
      types = ["text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "application/yaml", "application/toml", "application/javascript"] # default
      max_body = "5 MiB"                       # default
      max_chars = 50000                        # default
      timeout = "30s"                          # default
      nat64 = []                               # default

      [fetch.send]
      allow = []                               # default
      methods = ["POST"]                       # default
      types = ["application/json", "application/x-www-form-urlencoded", "text/plain"] # default
      max_body = "64 KiB"                      # default
      power = "write-high"                     # default

      [danger]
      anonymous = false                        # default
      anonymous_tenant = "anonymous"           # default
      anonymous_roles = []                     # default
      untyped_tokens = []                      # default
      audit_off = false                        # default
      plaintext_databases = false              # default
      fetch_networks = []                      # default
      fetch_names = []                         # default
      fetch_proxy_resolves = false             # default
      fixtures = false                         # default
    "#);
}

#[test]
fn a_wrong_configuration_stops_every_command() {
    let (shop, _) = Shop::made();
    shop.edit("countersign.toml", |text| {
        text.replace("[policy]", "[polcy]").replace("rows = 1000", "rows = \"many\"")
            + "\n[redact.secrets]\nX = \"env:X\"\n"
    });
    let ran = shop.run(&["config", "check"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    insta::assert_snapshot!(ran.err, @r"
      error: 3 problems in the configuration
      ROOT/demo/countersign.toml:22:2: unknown key `polcy`
        help: did you mean `policy`?
      ROOT/demo/countersign.toml:35:8: `databases.shop.rows` must be a whole number from 1 to 1000000
      ROOT/demo/countersign.toml:47:5: `redact.secrets.X`: the environment variable `X` is not set
        help: set `X` in the environment that Countersign is started with
    ");
    for args in [
        &["serve"][..],
        &["stdio"],
        &["doctor"],
        &["tools", "list"],
        &["policy", "check"],
        &["token", "key", "list"],
    ] {
        let other = shop.run(args);
        assert_eq!((other.code, &other.err), (3, &ran.err), "{args:?}");
    }
}

#[test]
fn no_configuration_at_all() {
    let ran = run(&["config", "show"]);
    assert_eq!(ran.code, 3);
    insta::assert_snapshot!(ran.err, @r"
      error: 1 problem in the configuration
      countersign.toml: cannot read the configuration: No such file or directory (os error 2)
        help: `countersign quickstart` makes a configuration; `--config FILE` names another
    ");
}

#[test]
fn the_schema_accepts_the_written_configuration() {
    let (shop, _) = Shop::made();
    let schema = serde_json::from_str(&shop.run(&["config", "schema"]).out).unwrap();
    let text = std::fs::read_to_string(shop.dir().join("countersign.toml")).unwrap();
    let value: serde_json::Value = toml::from_str(&text).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&value));
}
