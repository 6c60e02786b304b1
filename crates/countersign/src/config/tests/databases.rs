//! Databases in a configuration: what they are, who logs in to them, and what they must not be.

use std::{fs, os::unix::fs::symlink};

use super::*;

#[test]
fn a_database_is_never_a_file_of_ours() {
    let fixture = Fixture::new();
    fs::write(fixture.path("audit/log"), b"record").unwrap();
    fs::write(fixture.path("state/keys.json"), b"{}").unwrap();
    fs::hard_link(fixture.path("audit/log"), fixture.path("hard.db")).unwrap();
    symlink(fixture.path("state/keys.json"), fixture.path("soft.db")).unwrap();
    let at = |file: &str| format!("version = 1\n[databases.x]\nurl = \"sqlite:{file}\"\n");
    for (file, whose) in [
        ("countersign.toml", "configuration"),
        ("audit/log", "audit log"),
        ("policies/../audit/log", "audit log"),
        ("hard.db", "audit log"),
        ("soft.db", "state"),
        ("state/keys.json", "key file"),
    ] {
        let message = fixture.refused(&at(file));
        let expected = format!("`databases.x.url` is or lies in Countersign's own {whose}");
        assert!(message.contains(&expected), "{file}: {message}");
    }
    // A hard link to a file of nobody in particular is a database like any other.
    fs::hard_link(fixture.path("shop.db"), fixture.path("other.db")).unwrap();
    fixture.load(&at("other.db")).unwrap();
    let message = fixture.refused(&at("missing.db"));
    assert!(
        message.contains("`databases.x.url` names a database that cannot be opened: No such file"),
        "{message}"
    );
}

/// A PostgreSQL database with these lines in its table.
fn shop(lines: &str) -> String {
    format!("version = 1\n[databases.shop]\nurl = \"postgres://reader@127.0.0.1:5433/shop\"\n{lines}\n")
}

fn postgres(config: &Config) -> &Postgres {
    match &config.databases["shop"].source {
        Source::Postgres(postgres) => postgres,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_postgresql_database_has_safe_defaults() {
    let fixture = Fixture::new();
    let config = fixture.load(&shop("password = \"env:SET\"")).unwrap();
    let found = postgres(&config);
    assert_eq!((&found.target.host, found.target.port), (&Host::Tcp("127.0.0.1".into()), 5433));
    assert_eq!(
        (found.schemas.clone(), found.functions.len(), found.max_cost, found.pool, &found.tls),
        (vec!["public".to_owned()], 0, 1_000_000, 8, &Tls::UnlessLocal)
    );
    assert_eq!(config.secrets[0].name, "shop_password", "a password is removed from every result");
    let shown = show(&config.shown);
    assert!(shown.contains("url = \"postgres://reader@127.0.0.1:5433/shop\""), "{shown}");
    assert!(!shown.contains("workers") && !format!("{config:?}{shown}").contains("correct horse"), "{shown}");
}

#[test]
fn tenants_have_logins_of_their_own() {
    let fixture = Fixture::new();
    let url = "version = 1\n[databases.shop]\nurl = \"postgres://db.internal/shop\"\nca = \"shop.db\"\n";
    let tenants = "[databases.shop.tenants.acme]\nuser = \"shop_acme\"\npassword = \"env:SET\"\n\
                   [databases.shop.tenants.\"b@globex\"]\nuser = \"shop_globex\"\n";
    let config = fixture.load(&format!("{url}{tenants}")).unwrap();
    let found = postgres(&config);
    let logins: Vec<_> =
        found.logins.iter().map(|(tenant, login)| (tenant.unwrap(), login.user.as_str())).collect();
    assert_eq!(logins, [("acme", "shop_acme"), ("b@globex", "shop_globex")]);
    assert_eq!(found.tls, Tls::Verify { ca: Some(fixture.path("shop.db")) });
    assert_eq!(config.secrets[0].name, "shop_acme_password");
    assert!(show(&config.shown).contains("[databases.shop.tenants.\"b@globex\"]"));
    let message = fixture.refused(&format!("{url}{}", tenants.replace("shop_globex", "shop_acme")));
    assert!(
        message.contains("`databases.shop.tenants.b@globex.user` is the login of another tenant as well"),
        "{message}"
    );
}

#[test]
fn a_login_for_writes_belongs_to_one_that_reads() {
    let fixture = Fixture::new();
    let config = fixture.load(&shop("write_user = \"writer\"\nwrite_password = \"env:SET\"")).unwrap();
    let users = |config: &Config| {
        let logins = postgres(config).logins.all();
        logins.map(|(tenant, login)| (tenant.map(str::to_owned), login.user.clone())).collect::<Vec<_>>()
    };
    assert_eq!(users(&config), [(None, "reader".into()), (None, "writer".into())]);
    assert_eq!(config.secrets[0].name, "shop_write_password", "it is removed from every result as well");

    let tenants = "version = 1\n[databases.shop]\nurl = \"postgres://127.0.0.1/shop\"\n\
                   [databases.shop.tenants.acme]\nuser = \"r1\"\nwrite_user = \"w1\"\n\
                   [databases.shop.tenants.globex]\nuser = \"r2\"\nwrite_user = \"w2\"\n\
                   [databases.shop.tenants.initech]\nuser = \"r3\"\n";
    let config = fixture.load(tenants).unwrap();
    let users: Vec<String> = users(&config).into_iter().map(|(_, user)| user).collect();
    assert_eq!(users, ["r1", "w1", "r2", "w2", "r3"]);
    // No role of one tenant is a role of another, whatever it is for.
    for (from, to, key) in
        [("w2", "w1", "globex.write_user"), ("w2", "r1", "globex.write_user"), ("r3", "w1", "initech.user")]
    {
        let message = fixture.refused(&tenants.replace(from, to));
        let expected = format!("`databases.shop.tenants.{key}` is the login of another tenant as well");
        assert!(message.contains(&expected), "{from} as {to}: {message}");
    }
    for (text, expected) in [
        (tenants.replace("w1", "r1"), "`databases.shop.tenants.acme.write_user` is the login that reads"),
        (
            format!("{tenants}write_password = \"env:SET\"\n"),
            "`databases.shop.tenants.initech.write_password` belongs to no login",
        ),
        (
            tenants.replace("/shop\"\n", "/shop\"\nwrite_user = \"w\"\n"),
            "`databases.shop.write_user` belongs to no tenant",
        ),
    ] {
        let message = fixture.refused(&text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_a_database_must_not_be() {
    let fixture = Fixture::new();
    let message = fixture.refused(
        r#"
version = 1
[databases.plain]
url = "postgres://reader@db.internal/shop"
tls = "off"
[databases.password]
url = "postgres://reader:hunter2@127.0.0.1/shop"
[databases.parameters]
url = "postgres://reader@127.0.0.1/shop?sslmode=disable"
[databases.nobody]
url = "postgres://127.0.0.1/shop"
[databases.both]
url = "postgres://reader@127.0.0.1/shop"
schemas = ["pg_catalog"]
functions = ["tax_rate"]
settings = ["search_path"]
tenant = "acme"
[databases.both.tenants.acme]
password = "env:SET"
[databases.both.tenants."a b"]
user = "x"
[databases.source]
url = "odbc:DSN=Sales;UID=reader;Pwd=hunter2"
[databases.file]
url = "sqlite:shop.db"
schemas = ["public"]
[databases.file.tenants.acme]
user = "x"
[databases.mystery]
url = "mysql://root@127.0.0.1/shop"
allow_writes = "env:NOT A NAME"
"#,
    );
    insta::assert_snapshot!(message, @r#"
      16 problems in the configuration
      DIR/countersign.toml:5:7: `databases.plain.tls` must be on: this database is beyond this machine, and passwords and rows could be read on the way
        help: leave `tls` out, and name the authority in `ca`; for tests only there is `danger.plaintext_databases`
      DIR/countersign.toml:7:7: `databases.password.url` must not hold a password
        help: configuration files are copied, committed and shown; write `password = "env:NAME"` or `"file:PATH"` beside the url
      DIR/countersign.toml:9:7: `databases.parameters.url` must have no parameters
        help: `tls`, `ca`, `timeout` and `schemas` are settings of the database; others are decided by Countersign
      DIR/countersign.toml:11:7: `databases.nobody.url` names no login
        help: write `postgres://user@host:port/database`, or add `[databases.NAME.tenants.TENANT]` with a login for each tenant
      DIR/countersign.toml:13:7: `databases.both.url` names a login, although tenants have logins of their own
        help: take `user@` out of the url; `tenants` says who logs in for whom
      DIR/countersign.toml:14:11: `databases.both.schemas` must name at least one schema, and none of PostgreSQL's own
        help: `list_tables` and `describe_table` answer what callers may know of the catalogue
      DIR/countersign.toml:15:13: `databases.both.functions` must name the schema of each function
        help: for example `app.tax_rate`: which function a bare name means depends on the search path
      DIR/countersign.toml:16:12: `databases.both.settings` must name settings of applications, with a dot
        help: for example `app.region`: settings of the server itself are on a list that is not changed
      DIR/countersign.toml:17:10: `databases.both.tenant` contradicts the logins for tenants
        help: leave it out: only the tenants with a login are served
      DIR/countersign.toml:18:25: `databases.both.tenants.acme.user` is missing
        help: add `user = ...`: the name of a database role: 1-63 bytes without control characters
      DIR/countersign.toml:20:25: `databases.both.tenants.a b` must be the name of a tenant: 1-64 characters of A-Z, a-z, 0-9, `_`, `@` or `-`
      DIR/countersign.toml:23:7: `databases.source.url` must not hold a password or another secret
        help: write `password = "env:NAME"` or `"file:PATH"` beside the url: it is added as `PWD` when Countersign connects
      DIR/countersign.toml:26:11: `databases.file.schemas` means nothing to an SQLite database
        help: it is a setting of PostgreSQL databases
      DIR/countersign.toml:28:8: `databases.file.tenants.acme.user` means nothing to an SQLite database
        help: it is a setting of PostgreSQL databases
      DIR/countersign.toml:30:7: `databases.mystery.url` must begin with `sqlite:`, `postgres://` or `odbc:`
        help: for example `sqlite:shop.db` or `postgres://reader@db.internal:5432/shop`
      DIR/countersign.toml:31:16: `databases.mystery.allow_writes` must be true, false, or "env:NAME" for an environment variable that says so
    "#);
    assert!(!message.contains("hunter2"), "values are never quoted");
}

#[test]
fn plaintext_beyond_this_machine_is_a_danger() {
    let fixture = Fixture::new();
    let text = "version = 1\n[databases.shop]\nurl = \"postgres://reader@10.0.0.9/shop\"\ntls = \"off\"\n";
    assert!(fixture.refused(text).contains("must be on"));
    let config = fixture.load(&format!("{text}[danger]\nplaintext_databases = true\n")).unwrap();
    assert_eq!(
        (&postgres(&config).tls, config.danger.switches()),
        (&Tls::Plaintext, vec!["danger.plaintext_databases"])
    );
    let config = fixture.load(&text.replace("tls = \"off\"\n", "")).unwrap();
    assert_eq!(postgres(&config).tls, Tls::Verify { ca: None });
    let socket = "version = 1\n[databases.shop]\nurl = \"postgres://reader@%2Frun%2Fpostgresql:5433/shop\"\n";
    let config = fixture.load(socket).unwrap();
    let found = postgres(&config);
    assert_eq!((&found.target.host, &found.tls), (&Host::Unix("/run/postgresql".into()), &Tls::UnlessLocal));
}

#[test]
fn the_environment_may_switch_writes_on() {
    let fixture = Fixture::new();
    let writes = |value: Option<&'static str>| {
        let file = fixture.path("countersign.toml");
        fs::write(&file, shop("allow_writes = \"env:CONNX_ALLOW_WRITES\"")).unwrap();
        let environment = move |name: &str| (name == "CONNX_ALLOW_WRITES").then_some(value?.to_owned());
        load_with(&file, &environment)
            .map(|config| config.databases["shop"].allow_writes)
            .map_err(|e| e.to_string())
    };
    assert_eq!(writes(Some("True")), Ok(true));
    assert_eq!((writes(Some("false")), writes(Some("")), writes(None)), (Ok(false), Ok(false), Ok(false)));
    assert!(writes(Some("maybe")).unwrap_err().contains("`CONNX_ALLOW_WRITES`"));
}
