//! What people see when a configuration is wrong, and what a right one means. The texts are exact: they are the manual.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

mod databases;

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        for name in ["policies", "audit", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("shop.db"), b"database").unwrap();
        Fixture { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn load(&self, text: &str) -> Result<Config, String> {
        let file = self.path("countersign.toml");
        fs::write(&file, text).unwrap();
        let environment = |name: &str| (name == "SET").then(|| "correct horse battery staple".to_owned());
        load_with(&file, &environment)
            .map_err(|e| e.to_string().replace(&*self.path("").to_string_lossy(), "DIR/"))
    }

    fn refused(&self, text: &str) -> String {
        self.load(text).unwrap_err()
    }
}

#[test]
fn the_smallest_configuration_has_safe_defaults() {
    let fixture = Fixture::new();
    let config = fixture.load("version = 1\n").unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8931");
    assert_eq!(config.identity.keys, fixture.path("state/keys.json"));
    assert!(
        config.identity.local.is_none() && config.databases.is_empty() && config.danger.anonymous.is_none()
    );
    assert_eq!(config.danger.switches(), Vec::<&str>::new());
    assert_eq!(config.limits.calls.principal, Rate { per_minute: 600, burst: 100 });
    assert_eq!(config.server.max_message, 1 << 20);
}

#[test]
fn every_setting_can_be_said() {
    let fixture = Fixture::new();
    let config = fixture
        .load(
            r#"
version = 1
[server]
listen = "[::1]:9000"
drain = "500ms"
allowed_hosts = ["countersign.internal"]
allowed_origins = ["http://localhost:3000"]
[identity.local]
uid = 1_000
user = "alice"
tenant = "acme"
roles = ["operator"]
[limits]
principal = { per_minute = 60, burst = 5 }
max_result = "64 KiB"
[redact.secrets]
DB_PASSWORD = "env:SET"
[databases.shop]
url = "sqlite:shop.db"
tenant = "acme"
rows = 10
[danger]
anonymous = true
anonymous_roles = ["tester"]
"#,
        )
        .unwrap();
    let local = config.identity.local.as_ref().unwrap();
    assert_eq!((local.uid, local.user.as_str(), local.tenant.as_str()), (1000, "alice", "acme"));
    let shop = &config.databases["shop"];
    assert!(matches!(&shop.source, Source::Sqlite { file, workers: 4 } if *file == fixture.path("shop.db")));
    assert_eq!(
        (shop.tenant.as_deref(), shop.rows, shop.raw, shop.allow_writes),
        (Some("acme"), 10, true, false)
    );
    assert_eq!(config.limits.max_result, 64 << 10);
    assert_eq!(config.secrets[0].reveal(), "correct horse battery staple");
    assert_eq!(config.danger.switches(), ["danger.anonymous"]);
    let shown = show(&config.shown);
    assert!(!format!("{config:?}{shown}").contains("correct horse"), "secrets are never shown");
    assert!(shown.contains("DB_PASSWORD = \"env:SET\""), "{shown}");
}

#[test]
fn all_problems_come_in_one_message() {
    let fixture = Fixture::new();
    let message = fixture.refused(
        r#"
version = 2
colour = "blue"
[server]
listne = "127.0.0.1:1"
drain = 10
max_message = "4 GiB"
[servers]
[identity.local]
user = "alice bob"
[redact.secrets]
A = "hunter2hunter2"
B = "env:NOT_SET"
C = "file:nowhere"
[databases.Shop]
url = "postgres://alice:secret@db/shop"
[databases.stock]
rows = 0
listen = 1
"#,
    );
    insta::assert_snapshot!(message, @r#"
      17 problems in the configuration
      DIR/countersign.toml:2:11: `version` must be 1
        help: this program reads version 1 of the format; another version needs another program
      DIR/countersign.toml:3:1: unknown key `colour`
        help: known here: `approval`, `audit`, `catalog`, `commands`, `danger`, `databases`, `fetch`, `files`, `identity`, `limits`, `policy`, `python`, `redact`, `sandbox`, `server`, `state`, `version`
      DIR/countersign.toml:5:1: unknown key `server.listne`
        help: did you mean `listen`?
      DIR/countersign.toml:6:9: `server.drain` must be a time such as "500ms", "10s" or "5m", from 0s to 10m
      DIR/countersign.toml:7:15: `server.max_message` must be a size such as "64 KiB" or "1 MiB", from 1 KiB to 64 MiB
      DIR/countersign.toml:8:2: unknown key `servers`
        help: did you mean `server`?
      DIR/countersign.toml:9:11: `identity.local.tenant` is missing
        help: add `tenant = ...`: a tenant: 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`
      DIR/countersign.toml:9:11: `identity.local.uid` is missing
        help: add `uid = ...`: a whole number from 0 to 4294967295
      DIR/countersign.toml:10:8: `identity.local.user` must be a subject: 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`
      DIR/countersign.toml:12:5: `redact.secrets.A` must be a reference to the secret, not the secret itself: `env:NAME` or `file:PATH`
        help: configuration files are copied, committed and shown; put the secret in the environment or in a file of mode 0600
      DIR/countersign.toml:13:5: `redact.secrets.B`: the environment variable `NOT_SET` is not set
        help: set `NOT_SET` in the environment that Countersign is started with
      DIR/countersign.toml:14:5: `redact.secrets.C`: cannot read the secret file `DIR/nowhere`: No such file or directory (os error 2)
        help: paths are relative to the directory of the configuration
      DIR/countersign.toml:15:12: `databases.Shop` must be a name of 1-32 lower-case letters, digits and `_` that starts with a letter
      DIR/countersign.toml:16:7: `databases.Shop.url` must not hold a password
        help: configuration files are copied, committed and shown; write `password = "env:NAME"` or `"file:PATH"` beside the url
      DIR/countersign.toml:17:12: `databases.stock.url` is missing
        help: add `url = ...`: where a database is: `sqlite:FILE`, `postgres://user@host:port/database` or `odbc:CONNECTION-STRING`
      DIR/countersign.toml:18:8: `databases.stock.rows` must be a whole number from 1 to 1000000
      DIR/countersign.toml:19:1: unknown key `databases.stock.listen`
        help: `listen` belongs in `[server]`
    "#);
    assert!(!message.contains("hunter2") && !message.contains("alice:secret"), "values are never quoted");
}

#[test]
fn syntax_errors_have_a_place() {
    let fixture = Fixture::new();
    insta::assert_snapshot!(fixture.refused("version = 1\n[server\nlisten = \n"), @r"
      1 problem in the configuration
      DIR/countersign.toml:2:8: unclosed table, expected `]`
    ");
    insta::assert_snapshot!(fixture.refused("version = 1\n[server]\ndrain = \"1s\"\ndrain = \"2s\"\n"), @r"
      1 problem in the configuration
      DIR/countersign.toml:4:1: duplicate key
    ");
}

#[test]
fn plain_http_stays_on_this_machine() {
    let fixture = Fixture::new();
    insta::assert_snapshot!(fixture.refused("version = 1\nserver.listen = \"0.0.0.0:8931\"\n"), @r"
      1 problem in the configuration
      DIR/countersign.toml:2:17: `server.listen` must be a loopback address without `[server.tls]`: plain HTTP beyond this machine would show API keys and data to the network
        help: add `[server.tls]` with `certificate` and `key`; or use `127.0.0.1:8931` behind a proxy that terminates TLS on this machine
    ");
    for address in ["192.168.1.1:80", "[::]:80", "[::ffff:127.0.0.1]:80", "example.com:80", "127.0.0.1"] {
        let message = fixture.refused(&format!("version = 1\nserver.listen = \"{address}\"\n"));
        assert!(message.contains("`server.listen` must be"), "{message}");
    }
}

#[test]
fn tls_and_sockets_open_what_plain_http_may_not() {
    let fixture = Fixture::new();
    let tls = "[server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let config = fixture.load(&format!("version = 1\n[server]\nlisten = \"0.0.0.0:443\"\n{tls}")).unwrap();
    assert_eq!(config.server.tls.unwrap().key, fixture.path("key.pem"));
    let config = fixture.load("version = 1\nserver.listen = \"unix:run/mcp.sock\"\n").unwrap();
    assert_eq!(config.server.listen, Listen::Unix(fixture.path("run/mcp.sock")));
    for (text, problem) in [
        (format!("[server]\nlisten = \"unix:x\"\n{tls}"), "`server.tls` means nothing on a unix socket"),
        (format!("{tls}clients = \"required\"\n"), "`server.tls.clients` needs `server.tls.client_ca`"),
        ("[server.tls]\nkey = \"key.pem\"\n".into(), "`server.tls.certificate` is missing"),
        ("[identity.users.ada]\nuid = 1\ntenant = \"north\"\n".into(), "`identity.users` means nothing without a unix socket"),
        (
            "[server]\nlisten = \"unix:x\"\n[identity.users.ada]\nuid = 1\ntenant = \"north\"\n[identity.users.bob]\nuid = 1\ntenant = \"north\"\n".into(),
            "`identity.users.bob.uid` is that of another user as well",
        ),
        (
            "[identity.certificates.agent]\nmatches = \"dns:a.example\"\ntenant = \"north\"\n".into(),
            "`identity.certificates` means nothing while `server.tls.clients` is \"off\"",
        ),
    ] {
        let message = fixture.refused(&format!("version = 1\n{text}"));
        assert!(message.contains(problem), "{text}\n{message}");
    }
}

#[test]
fn an_issuer_says_what_it_may_grant() {
    let fixture = Fixture::new();
    let issuer = "[identity]\nresource = \"https://mcp.bank.example/mcp\"\n[identity.issuers.corp]\nurl = \"https://login.bank.example\"\n";
    let text = format!(
        "version = 1\n{issuer}tenant_claim = \"/org/tenant\"\ntenants = [\"north\"]\nroles = [\"analyst\"]\nrole_names = [\"Bank Analysts=analyst\"]\n"
    );
    let config = fixture.load(&text).unwrap();
    let corp = &config.identity.issuers[0].config;
    assert_eq!(
        (corp.audience.as_slice(), corp.untyped),
        (&["https://mcp.bank.example/mcp".to_owned()][..], false)
    );
    assert_eq!(corp.role_names["Bank Analysts"], "analyst");
    insta::assert_snapshot!(fixture.refused(&format!("version = 1\n{issuer}")), @r#"
    1 problem in the configuration
    DIR/countersign.toml:4:19: `identity.issuers.corp` needs either `tenant` or `tenant_claim`
      help: `tenant = "NAME"` for all its callers, or `tenant_claim = "CLAIM"` with the list of `tenants`
    "#);
    for (more, problem) in [
        (
            "tenant = \"north\"\nalgorithms = [\"HS256\"]",
            "`identity.issuers.corp.algorithms` must be a list of RS256",
        ),
        (
            "tenant = \"north\"\nalgorithms = [\"none\"]",
            "`identity.issuers.corp.algorithms` must be a list of RS256",
        ),
        ("tenant = \"north\"\nalgorithms = []", "`identity.issuers.corp.algorithms` must name one at least"),
        ("tenant_claim = \"t\"", "`identity.issuers.corp.tenants` is missing"),
        (
            "tenant = \"north\"\ntenant_claim = \"t\"\ntenants = [\"north\"]",
            "needs either `tenant` or `tenant_claim`",
        ),
        (
            "tenant = \"north\"\nrole_names = [\"A=admin\"]",
            "makes `A` the role `admin`, which `roles` does not list",
        ),
        (
            "tenant = \"north\"\njwks = \"http://login.bank.example/jwks\"",
            "`identity.issuers.corp.jwks` must be an `https` address",
        ),
        ("tenant = \"north\"\n[danger]\nuntyped_tokens = [\"crop\"]", "names `crop`, which is no issuer"),
        (
            "tenant = \"north\"\n[identity.issuers.two]\nurl = \"https://login.bank.example\"\ntenant = \"south\"",
            "is that of another issuer",
        ),
    ] {
        let message = fixture.refused(&format!("version = 1\n{issuer}{more}\n"));
        assert!(message.contains(problem), "{more}\n{message}");
    }
    let lost = fixture.refused(
        "version = 1\n[identity.issuers.corp]\nurl = \"https://login.bank.example\"\ntenant = \"north\"\n",
    );
    assert!(lost.contains("`identity.resource` is missing"), "{lost}");
}

#[test]
fn one_issuer_may_be_asked_about_tokens() {
    let fixture = Fixture::new();
    fs::write(fixture.path("secret"), "introspection-secret").unwrap();
    let issuer = |name: &str, more: &str| {
        format!(
            "[identity.issuers.{name}]\nurl = \"https://{name}.bank.example\"\ntenant = \"north\"\n{more}"
        )
    };
    let endpoint = "introspection = \"https://login.bank.example/introspect\"\n";
    let client = "introspection_client = \"countersign\"\nintrospection_secret = \"file:secret\"\n";
    let head = "version = 1\n[identity]\nresource = \"https://mcp.bank.example/mcp\"\n";
    let whole = format!("{endpoint}{client}");
    let config = fixture.load(&format!("{head}{}{}", issuer("corp", &whole), issuer("other", ""))).unwrap();
    let asked = config.identity.issuers[0].introspection.as_ref().unwrap();
    assert_eq!((asked.client.as_str(), asked.fresh.as_secs()), ("countersign", 30));
    assert_eq!(asked.secret.reveal(), "introspection-secret");
    assert!(!format!("{config:?}").contains("introspection-secret"));
    assert!(
        config.secrets.iter().any(|secret| secret.name == "introspection_corp"),
        "it is removed from what leaves"
    );
    for (text, problem) in [
        (issuer("corp", endpoint), "`identity.issuers.corp.introspection_secret` is missing"),
        (issuer("corp", client), "`identity.issuers.corp.introspection` is missing"),
        (issuer("corp", &whole) + &issuer("two", &whole), "another issuer has introspection already"),
        (issuer("corp", &whole.replace("https://login", "http://login")), "must be an `https` address"),
        (issuer("corp", &whole.replace("file:secret", "hunter2")), "must be a reference to the secret"),
        (issuer("corp", &whole.replace("file:secret", "file:absent")), "cannot read the secret file"),
    ] {
        let message = fixture.refused(&format!("{head}{text}"));
        assert!(message.contains(problem), "{text}\n{message}");
    }
}

#[test]
fn a_scope_is_demanded_of_something() {
    let fixture = Fixture::new();
    let table = |more: &str| format!("version = 1\n[identity.scopes.writing]\n{more}\n");
    let good = table("scope = \"tools:write\"\npermissions = [\"write-files\"]\ntools = [\"query_shop\"]");
    assert_eq!(fixture.load(&good).unwrap().identity.scopes.tools().collect::<Vec<_>>(), ["query_shop"]);
    for (more, problem) in [
        ("scope = \"tools:write\"", "`identity.scopes.writing` names nothing that needs its scope"),
        ("tools = [\"x\"]", "`identity.scopes.writing.scope` is missing"),
        ("scope = \"two words\"\ntools = [\"x\"]", "must be a scope such as"),
        ("scope = \"a\\\"b\"\ntools = [\"x\"]", "must be a scope such as"),
        ("scope = \"s\"\npermissions = [\"write-everything\"]", "must be a list of permissions"),
    ] {
        let message = fixture.refused(&table(more));
        assert!(message.contains(problem), "{more}\n{message}");
    }
    let issuer = "version = 1\n[identity]\nresource = \"https://mcp.bank.example/mcp\"\n[identity.issuers.corp]\n\
                  url = \"https://login.bank.example\"\ntenant = \"north\"\n";
    for bad in ["a", "=a", "a=", "a=b=c", "a b=c"] {
        let message = fixture.refused(&format!("{issuer}scope_includes = [\"{bad}\"]\n"));
        assert!(message.contains("a broad scope, and one that it includes"), "{bad}\n{message}");
    }
}

#[test]
fn credentials_are_off_until_their_table_is_there() {
    let fixture = Fixture::new();
    let own = "[identity]\nresource = \"https://mcp.bank.example/mcp\"\n[identity.credentials]\n";
    assert!(fixture.load("version = 1\n").unwrap().identity.credentials.is_none());
    let config = fixture.load(&format!("version = 1\n{own}")).unwrap();
    let credentials = config.identity.credentials.unwrap();
    assert_eq!(credentials.file, fixture.path("state/credentials.json"));
    assert_eq!(credentials.profile.address, "https://mcp.bank.example/mcp");
    assert_eq!(credentials.profile.max_ttl.as_secs(), 900);
    let nameless = fixture.refused("version = 1\n[identity.credentials]\n");
    assert!(nameless.contains("2:11: `identity.resource` is missing"), "{nameless}");
    for ttl in ["30s", "61m", "forever"] {
        let long = fixture.refused(&format!("version = 1\n{own}max_ttl = \"{ttl}\"\n"));
        assert!(long.contains("must be a time such as") && long.contains("from 1m to 1h"), "{long}");
    }
    let database = format!("version = 1\n{own}[databases.shop]\nurl = \"sqlite:state/credentials.json\"\n");
    fs::write(fixture.path("state/credentials.json"), "{}").unwrap();
    assert!(fixture.refused(&database).contains("Countersign's own"));
}

#[test]
fn a_quoted_key_is_no_path() {
    let fixture = Fixture::new();
    let message = fixture.refused("version = 1\n\"server.listen\" = \"127.0.0.1:1\"\n");
    assert!(message.contains("unknown key `server.listen`"), "{message}");
}

#[test]
fn secrets_come_from_files_too() {
    let fixture = Fixture::new();
    let secret = fixture.path("secret");
    fs::write(&secret, "correct horse\n").unwrap();
    let text = "version = 1\nredact.secrets.DB = \"file:secret\"\n";
    let config = fixture.load(text).unwrap();
    assert_eq!(config.secrets[0].reveal(), "correct horse");
    let expected =
        format!("the secret file `{0}` can be read by others; run `chmod 600 {0}`", secret.display());
    assert_eq!(config.warnings, [expected]);
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(fixture.load(text).unwrap().warnings, Vec::<String>::new());
    fs::write(&secret, "short\n").unwrap();
    assert!(fixture.refused(text).contains("`redact.secrets.DB` is shorter than 8 bytes"));
    // What would be waited for, or never ends, is not opened.
    for special in ["/dev/zero", "/dev/null", "/"] {
        fs::remove_file(&secret).unwrap();
        std::os::unix::fs::symlink(special, &secret).unwrap();
        assert!(fixture.refused(text).contains("must be a regular file"), "{special}");
    }
}

#[test]
fn the_schema_agrees_with_the_reader() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let fixture = Fixture::new();
    let mut judged = 0;
    for text in [
        "version = 1",
        "version = 2",
        "version = 1\nserver.listne = 1",
        "version = 1\nserver.drain = \"10s\"",
        "version = 1\nserver.drain = 10",
        "version = 1\nidentity.local.uid = 1",
        "version = 1\ndatabases.shop.url = \"sqlite:shop.db\"",
        "version = 1\ndatabases.shop.rows = 5",
        "version = 1\nredact.secrets.A = \"env:SET\"",
        "version = 1\nredact.secrets.A = \"inline\"",
        "version = 1\ndanger.anonymous = true",
        "version = 1\nlimits.principal = { per_minute = 60, burst = 5 }",
        "version = 1\nlimits.principal = { per_minute = 0 }",
    ] {
        let value: serde_json::Value = toml::from_str(text).unwrap();
        assert_eq!(schema.is_valid(&value), fixture.load(text).is_ok(), "{text}");
        judged += 1;
    }
    assert_eq!(judged, 13);
}

#[test]
fn what_is_shown_can_be_loaded_again() {
    let fixture = Fixture::new();
    let text = "version = 1\n[redact.secrets]\nA = \"env:SET\"\n[databases.shop]\nurl = \"sqlite:shop.db\"\n";
    let first = fixture.load(text).unwrap();
    let again = fixture.load(&show(&first.shown)).unwrap();
    let values =
        |config: &Config| config.shown.iter().map(|s| (s.key.clone(), s.value.clone())).collect::<Vec<_>>();
    assert_eq!(values(&first), values(&again));
}

#[test]
fn every_default_is_read_by_its_own_kind() {
    for setting in settings::SETTINGS {
        if let settings::Default::Is(text) = setting.default {
            let value = toml::de::DeValue::parse(text).unwrap();
            assert!(setting.kind.read(value.get_ref()).is_ok(), "{}", setting.key);
        }
    }
}

#[test]
fn a_proxy_that_asks_who_we_are_takes_a_name_and_a_password() {
    let fixture = Fixture::new();
    let with =
        |lines: &str| fixture.load(&format!("version = 1\n[fetch]\nallow = [\"example.com\"]\n{lines}\n"));
    let all = ["proxy = \"proxy.example.com:3128\"", "proxy_user = \"svc\"", "proxy_password = \"env:SET\""];
    let config = with(&all.join("\n")).unwrap();
    assert!(config.fetch.proxy_login.is_some());
    assert!(
        config.secrets.iter().any(|secret| secret.name == "fetch.proxy_password"),
        "it is removed everywhere"
    );
    for missing in 0..3 {
        let two: Vec<&str> = (0..3).filter(|at| *at != missing).map(|at| all[at]).collect();
        let refused = with(&two.join("\n")).unwrap_err();
        assert!(refused.contains("take each other"), "{two:?}: {refused}");
    }
    let colon = all.join("\n").replace("svc", "a:b");
    assert!(with(&colon).unwrap_err().contains("without a colon"));
}
