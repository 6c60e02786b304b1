//! README, "Point it at PostgreSQL", step by step: `init postgres --apply`, `doctor`, `serve`, two tenants, attacks, `audit verify`. Then the
//! logins that `init` makes, attacked with no guard in between, and what it refuses to touch.

use std::process::{Command, Output};

use countersign_testbed::{Login, Options, Postgres};
use serde_json::{Value, json};

use crate::{approvals::Office as _, world::*};

/// What an application did before Countersign came: everybody's rows, and a policy that hangs on a setting.
const LEGACY_APPLICATION: &str = "
    CREATE ROLE shop_app LOGIN PASSWORD 'legacy-application';
    CREATE TABLE tickets (id int PRIMARY KEY, tenant_id int NOT NULL, note text, \"accessToken\" text);
    INSERT INTO tickets VALUES (1, 1, 'from Acme', 'tok1'), (2, 2, 'from Globex', 'tok2');
    GRANT SELECT ON tickets TO shop_app;
    CREATE POLICY by_setting ON customers TO PUBLIC USING (tenant_id = current_setting('app.tenant', true)::int);
    CREATE VIEW all_customers AS SELECT name FROM customers;
    CREATE TABLE restricted_notes (tenant_id int, note text);";

/// One SELECT that becomes whomever it likes, where tenants are told apart by a setting.
const BY_SETTING: &str = "WITH s AS MATERIALIZED (SELECT set_config('app.tenant', '2', true)) \
                          SELECT count(*) FROM s, customers WHERE name LIKE 'Globex%'";

/// A world with the database `pg` and a login for each tenant, whose passwords are in files. The logins need not exist.
fn world(cluster: &Postgres, logins: [&str; 2], settings: &str) -> World {
    let mut extra =
        format!("[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\n{settings}\n", cluster.port());
    for (tenant, user) in ["acme", "globex"].iter().zip(logins) {
        extra.push_str(&format!(
            "[databases.pg.tenants.{tenant}]\nuser = \"{user}\"\npassword = \"file:{user}.password\"\n"
        ));
    }
    World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        for user in logins {
            let file = dir.join(format!("{user}.password"));
            std::fs::write(&file, password(user)).unwrap();
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    })
}

fn password(user: &str) -> String {
    format!("correct horse {user}")
}

fn login(user: &str) -> Login {
    Login { user: user.into(), password: password(user) }
}

/// `init postgres` as the superuser, with these options.
fn init(cluster: &Postgres, world: &World, options: &[&str]) -> Output {
    Command::new(BINARY)
        .args([
            "init",
            "postgres",
            "--tenant-column",
            "tenant_id",
            "--tenant",
            "acme=1",
            "--tenant",
            "globex=2",
        ])
        .args(options)
        .arg("--config")
        .arg(world.config())
        .env("PGPASSWORD", &cluster.superuser().password)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `doctor` finds of databases, less what is good.
fn complaints(world: &World) -> Vec<String> {
    let output = world.try_command(&["doctor", "--json"]);
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let wrong = |check: &&Value| check["about"] == "database" && check["grade"] != "good";
    let line =
        |check: &Value| format!("{}: {}", check["grade"].as_str().unwrap(), check["found"].as_str().unwrap());
    checks.iter().filter(wrong).map(line).collect()
}

fn count(result: &Value) -> &Value {
    &result["structuredContent"]["rows"][0][0]
}

#[test]
fn the_road_of_the_readme() {
    let settings = "log_statement = 'all'".to_owned();
    let cluster = Postgres::start_with(&Options { settings, ..Options::default() });
    let unguarded = cluster.shop("t1");
    cluster.run("shop", LEGACY_APPLICATION);
    let attack = cluster.psql_as(&unguarded, "shop", BY_SETTING);
    assert_eq!(attack.as_deref(), Ok("100"), "a policy that hangs on a setting falls to one SELECT");

    let world = world(&cluster, ["shop_acme", "shop_globex"], "");
    assert!(complaints(&world)[0].starts_with("bad: pg: 127.0.0.1:"), "the logins do not exist yet");

    let made = init(&cluster, &world, &["--apply", "--as", "postgres"]);
    let said = text(&made.stdout);
    assert!(made.status.success(), "{}", text(&made.stderr));
    for line in [
        "made the role shop_acme",
        "readable: public.customers",
        "readable: public.users; without password_hash, api_token",
        "readable: public.tickets; without \"accessToken\"",
        "row security is new to public.tickets: shop_app goes on seeing every row",
        "left out public.products: it has no column tenant_id to tell tenants apart; --shared public.products lets every tenant read all of it",
        "left out the view public.all_customers: it reads with its owner's rights, past row security; see ALTER VIEW … SET (security_invoker = true)",
        "left out public.restricted_notes: its name says that it is restricted",
        "host     shop  shop_acme,shop_globex  127.0.0.1/32  scram-sha-256",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    let log = cluster.log();
    assert!(
        log.contains("ALTER ROLE") || log.contains("countersign_login"),
        "the script is in the log: {log}"
    );
    assert!(!log.contains("correct horse"), "a password reached the server's log");

    let again = init(&cluster, &world, &["--apply", "--as", "postgres"]);
    assert_eq!(
        text(&again.stdout),
        said.replace("made the role shop_acme\n", "")
            .replace("made the role shop_globex\n", "")
            .replace("row security is new to public.tickets: shop_app goes on seeing every row\n", ""),
        "a second run changes nothing"
    );
    assert_eq!(complaints(&world), Vec::<String>::new());

    let _server = world.serve();
    for (key, own, foreign) in [(&world.ann, "Acme", "Globex"), (&world.bob, "Globex", "Acme")] {
        let mut client = world.client(key);
        let mut ask = |sql: &str| client.call("query_pg", json!({"query": sql}));
        let names = ask("SELECT name FROM customers").to_string();
        assert!(names.contains(own) && !names.contains(foreign), "{names}");
        assert_eq!(*count(&ask("SELECT count(*) FROM customers")), 100);
        for attack in [
            "SELECT password_hash FROM users",
            "SELECT id FROM users WHERE password_hash LIKE '$2b$12$b%'",
            "SELECT \"accessToken\" FROM tickets",
            "SELECT 1; DROP TABLE customers",
            BY_SETTING,
        ] {
            let result = ask(attack);
            assert_eq!(result["isError"], true, "{attack}: {result}");
        }
    }
    let verified = world.try_command(&["audit", "verify", &world.audit().display().to_string()]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn the_logins_hold_with_no_guard_at_all() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    cluster.run("shop", LEGACY_APPLICATION);
    let world = world(&cluster, ["shop_acme", "shop_globex"], "");
    let made = init(
        &cluster,
        &world,
        &["--apply", "--as", &cluster.url(cluster.superuser(), "shop"), "--shared", "products"],
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    let acme = login("shop_acme");
    let ask = |sql: &str| cluster.psql_as(&acme, "shop", sql);
    assert_eq!(
        ask("SELECT count(*), min(tenant_id), max(tenant_id) FROM customers").as_deref(),
        Ok("100|1|1")
    );
    assert_eq!(ask("SELECT count(*) FROM products").as_deref(), Ok("3"));
    assert_eq!(ask("SELECT note FROM tickets").as_deref(), Ok("from Acme"));
    assert_eq!(ask(BY_SETTING).as_deref(), Ok("0"), "a policy for everybody widens nothing");
    for refused in [
        "SET ROLE shop_globex",
        "SELECT set_config('role', 'shop_globex', false)",
        "SELECT password_hash FROM users",
        "SELECT \"accessToken\" FROM tickets",
        "SELECT * FROM all_customers",
        "SELECT * FROM restricted.salaries",
        "CREATE TABLE mine (id int)",
        "BEGIN READ WRITE; CREATE TEMPORARY TABLE mine (id int); COMMIT",
        "BEGIN READ WRITE; UPDATE customers SET name = 'x'; COMMIT",
        "BEGIN READ WRITE; INSERT INTO orders (tenant_id, customer_id) VALUES (1, 1); COMMIT",
        "ALTER TABLE customers DISABLE ROW LEVEL SECURITY",
    ] {
        let result = ask(refused);
        assert!(result.is_err(), "{refused}: {result:?}");
    }
    // Who was there before goes on as before.
    let app = Login { user: "shop_app".into(), password: "legacy-application".into() };
    assert_eq!(cluster.psql_as(&app, "shop", "SELECT count(*) FROM tickets").as_deref(), Ok("2"));
    let found = complaints(&world);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|line| line.contains("reads `public.products` whole")), "{found:?}");
}

#[test]
fn writes_are_granted_only_where_they_are_asked_for() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    let off = world(&cluster, ["shop_acme", "shop_globex"], "");
    let refused = init(&cluster, &off, &["--writable", "customers"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("set `allow_writes = true` in `[databases.pg]` first"));

    let on = world(&cluster, ["shop_acme", "shop_globex"], "allow_writes = true");
    let made = init(&cluster, &on, &["--apply", "--as", "postgres", "--writable", "customers"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let ask = |sql: &str| cluster.psql_as(&login("shop_acme"), "shop", sql);
    let changed = "WITH c AS (UPDATE customers SET phone = '1' RETURNING tenant_id) SELECT count(*), max(tenant_id) FROM c";
    assert_eq!(ask(changed).as_deref(), Ok("100|1"));
    assert!(
        ask("UPDATE customers SET tenant_id = 2 WHERE id = 1").is_err(),
        "a row may not be given to another tenant"
    );
    assert!(ask("UPDATE orders SET status = 'paid'").is_err());
    assert_eq!(complaints(&on), Vec::<String>::new());
    // Off again: the next run takes it back.
    assert!(
        complaints(&off)
            .iter()
            .all(|line| line.contains("may write `public.customers`, although writes are off"))
    );
    assert!(init(&cluster, &off, &["--apply", "--as", "postgres"]).status.success());
    assert_eq!(complaints(&off), Vec::<String>::new());
}

#[test]
fn where_logins_are_for_writes_the_others_only_read() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    let world = world(&cluster, ["shop_acme", "shop_globex"], "allow_writes = true");
    let mut settings = std::fs::read_to_string(world.config()).unwrap();
    for reader in ["shop_acme", "shop_globex"] {
        let (writer, user) = (format!("{reader}_w"), format!("user = \"{reader}\"\n"));
        let more = format!("{user}write_user = \"{writer}\"\nwrite_password = \"file:{writer}.password\"\n");
        settings = settings.replace(&user, &more);
        let file = world.dir.path().join(format!("{writer}.password"));
        std::fs::write(&file, password(&writer)).unwrap();
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::write(world.config(), settings).unwrap();
    let made = init(&cluster, &world, &["--apply", "--as", "postgres", "--writable", "customers"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("shop_acme,shop_acme_w,shop_globex,shop_globex_w"));
    assert_eq!(complaints(&world), Vec::<String>::new());
    // Its transactions are read-only unless somebody says otherwise, which anybody may.
    let change = |user: &str| {
        let sql = "BEGIN READ WRITE; UPDATE customers SET phone = '1'; COMMIT";
        cluster.psql_as(&login(user), "shop", sql)
    };
    assert!(change("shop_acme").unwrap_err().contains("permission denied"));
    assert!(change("shop_acme_w").is_ok());
    assert_eq!(
        cluster.run("shop", "SELECT count(*), max(tenant_id) FROM customers WHERE phone = '1'"),
        "100|1"
    );

    // Through Countersign a write takes the one login, and a query the other.
    let policy = "@id(\"w\") permit (principal in Role::\"operator\", action in Action::\"call\", resource in PowerClass::\"write-high\");\n\
                  @id(\"t\") permit (principal in Role::\"operator\", action == Action::\"write\", resource in Table::\"pg.public.customers\");\n";
    std::fs::write(world.dir.path().join("policies/writes.cedar"), policy).unwrap();
    let bob = world.enroll("bob");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let write = json!({"statement": "UPDATE customers SET phone = $1 WHERE id = 3", "params": ["2"]});
    let id = held(&ann.call("write_pg", write.clone()));
    assert!(world.approve(&id, &bob).status.success());
    assert_eq!(affected(&ann.call("write_pg", write)), 1);
    assert_eq!(cluster.run("shop", "SELECT phone FROM customers WHERE id = 3"), "2");
    assert_eq!(*count(&ann.call("query_pg", json!({"query": "SELECT count(*) FROM customers"}))), 100);
    assert!(cluster.connections("shop_acme") > 0);
    assert_eq!(cluster.connections("shop_acme_w"), 0, "a session that may write is not kept");

    // A login that reads and may write after all is told.
    cluster.run("shop", "GRANT UPDATE ON customers TO shop_acme");
    assert_eq!(
        complaints(&world),
        ["warning: pg: `shop_acme` may write `public.customers`, although another login is for writes"]
    );
}

#[test]
fn a_login_that_is_somebody_elses_is_not_touched() {
    let cluster = Postgres::start();
    cluster.shop("t1");
    for (user, reason) in [
        ("postgres", "role postgres has the attributes of an administrator"),
        ("bypasser", "role bypasser has the attributes of an administrator"),
        ("shop_owner", "role shop_owner owns tables: row security does not bind an owner"),
    ] {
        let world = world(&cluster, ["shop_acme", user], "");
        let refused = init(&cluster, &world, &["--apply", "--as", "postgres"]);
        assert_eq!(refused.status.code(), Some(4));
        let said = text(&refused.stderr);
        assert!(said.contains("nothing was changed") && said.contains(reason), "{said}");
        assert_eq!(cluster.run("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'shop_acme'"), "0");
    }
}

#[test]
fn doctor_names_every_mistake_of_a_login() {
    let cluster = Postgres::start();
    let mut found = Vec::new();
    for user in ["postgres", "bypasser", "file_reader", "both_tenants", "shop_owner", "w1"] {
        let other = cluster.shop("t2");
        let world = world(&cluster, [user, "t2"], "");
        let mistaken = if user == "postgres" { cluster.superuser().clone() } else { cluster.shop(user) };
        for login in [mistaken, other] {
            std::fs::write(world.dir.path().join(format!("{}.password", login.user)), login.password)
                .unwrap();
        }
        found.extend(complaints(&world).into_iter().filter(|line| line.contains(&format!("`{user}`"))));
    }
    let all = found.join("\n");
    for expected in [
        "bad: pg: `postgres` is a superuser: it can do everything, on the server's machine too",
        "bad: pg: `bypasser` has BYPASSRLS: it sees every tenant's rows",
        "bad: pg: `file_reader` is a member of pg_read_server_files, which reaches beyond its grants",
        "bad: pg: `both_tenants` is a member of another tenant's role, and can become it: t2",
        "warning: pg: `both_tenants` is a member of t1, and can do what that may",
        "bad: pg: `shop_owner` owns `public.customers`, `public.open_orders`, `public.order_items`, `public.orders` and 3 more: row security does not bind an owner",
        "warning: pg: `w1` may write `public.customers`, `public.order_items`, `public.orders`, although writes are off",
    ] {
        assert!(all.contains(expected), "{expected} is not in\n{all}");
    }
}

#[test]
fn a_server_that_is_down_keeps_nobody_else_from_being_served() {
    let cluster = Postgres::start();
    let world = world(&cluster, ["t1", "t2"], "");
    let logins = [cluster.shop("t1"), cluster.shop("t2")];
    for login in &logins {
        std::fs::write(world.dir.path().join(format!("{}.password", login.user)), &login.password).unwrap();
    }
    cluster.stop();
    assert!(complaints(&world)[0].contains("cannot be used"));
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    assert_eq!(*count(&ann.query("SELECT count(*) FROM customers")), 3, "SQLite answers");
    let refused = ann.call("query_pg", json!({"query": "SELECT 1"}));
    assert_eq!(refused["isError"], true, "{refused}");
    cluster.restart();
    let started = std::time::Instant::now();
    while ann.call("query_pg", json!({"query": "SELECT count(*) FROM customers"}))["isError"] == true {
        assert!(started.elapsed() < std::time::Duration::from_secs(15), "does not recover");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn catalog_only_takes_no_sql_of_the_callers() {
    let cluster = Postgres::shared();
    let world = world(cluster, ["t1", "t2"], "raw = false");
    for user in ["t1", "t2"] {
        std::fs::write(world.dir.path().join(format!("{user}.password")), cluster.shop(user).password)
            .unwrap();
    }
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let tools = ann.modern("tools/list", json!({})).json().to_string();
    assert!(tools.contains("query_shop") && !tools.contains("query_pg"), "{tools}");
    let answer =
        ann.modern("tools/call", json!({"name": "query_pg", "arguments": {"query": "SELECT 1"}})).json();
    assert!(answer["error"].is_object(), "{answer}");
}

#[test]
fn a_server_that_demands_tls_must_prove_who_it_is() {
    let cluster = Postgres::start_with(&Options { tls: true, ..Options::default() });
    cluster.shop("t1");
    let ca = format!("tls = \"verify\"\nca = \"{}\"", cluster.ca().display());
    let trusting = world(&cluster, ["shop_acme", "shop_globex"], &ca);
    let made = init(&cluster, &trusting, &["--apply", "--as", "postgres"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(complaints(&trusting), Vec::<String>::new());
    let said = trusting.command(&["doctor"]);
    assert!(said.contains("TLS with a verified certificate"), "{said}");
    // Another authority's word counts for nothing, neither for the administrator nor for a login.
    let other = Postgres::start_with(&Options { tls: true, ..Options::default() });
    let stranger = format!("tls = \"verify\"\nca = \"{}\"", other.ca().display());
    let wary = world(&cluster, ["shop_acme", "shop_globex"], &stranger);
    let refused = init(&cluster, &wary, &["--apply", "--as", "postgres"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused.stderr).contains("TLS handshake failed"), "{}", text(&refused.stderr));
    assert!(complaints(&wary)[0].starts_with("bad: pg: 127.0.0.1:"), "{:?}", complaints(&wary));
}
