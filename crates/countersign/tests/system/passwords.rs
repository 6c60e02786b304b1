//! Passwords of databases are changed while the server runs: SIGHUP has it log in with those of now, and what was open does not go on.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use countersign_testbed::Postgres;
use serde_json::{Value, json};

use crate::world::*;

const COUNT: &str = "SELECT count(*) FROM customers";
const UPDATE: &str = "UPDATE customers SET status = 'late' WHERE id = 3";

/// Ann's tenant reads as t1 and writes as w1.
fn world(cluster: &Postgres) -> World {
    let (reader, writer) = (cluster.shop("t1"), cluster.shop("w1"));
    let extra = format!(
        "[databases.pg]\nurl = \"postgres://127.0.0.1:{}/shop\"\nallow_writes = true\n\
         [databases.pg.tenants.acme]\nuser = \"t1\"\npassword = \"file:reader\"\n\
         write_user = \"w1\"\nwrite_password = \"file:writer\"\n",
        cluster.port()
    );
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        fs::write(dir.join("reader"), &reader.password).unwrap();
        fs::write(dir.join("writer"), &writer.password).unwrap();
    });
    let policies = "@id(\"writes\")\npermit (principal in Role::\"operator\", action, resource);\n";
    fs::write(world.dir.path().join("policies/passwords.cedar"), policies).unwrap();
    world
}

/// Changes the passwords of both roles and their files, and has them read.
fn change(cluster: &Postgres, dir: &Path, server: &Server, password: &str) {
    for role in ["t1", "w1"] {
        cluster.run("postgres", &format!("ALTER ROLE {role} PASSWORD '{password}'"));
    }
    for file in ["reader", "writer"] {
        fs::write(dir.join(file), password).unwrap();
    }
    let said = || fs::read_to_string(dir.join("serve.log")).unwrap().matches("identity-reload").count();
    let (before, started) = (said(), Instant::now());
    server.signal("-HUP");
    while said() == before {
        assert!(started.elapsed() < Duration::from_secs(30), "the reload does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn answers(client: &mut Client) -> bool {
    let result: Value = client.call("query_pg", json!({"query": COUNT}));
    result["isError"] != true
}

#[test]
fn a_changed_password_is_used_after_a_reload() {
    let cluster = Postgres::start();
    let world = world(&cluster);
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    assert!(answers(&mut ann) && cluster.connections("t1") > 0);

    change(&cluster, world.dir.path(), &server, "renewed-and-long");
    // What was open under the old one is closed, and new ones are opened, for reading and for trying out a write.
    let started = Instant::now();
    while cluster.connections("t1") > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "a session of the old password is kept");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answers(&mut ann));
    held(&ann.call("write_pg", json!({"statement": UPDATE})));
    let said = fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    assert!(said.contains("logins-renewed: pg") && !said.contains("renewed-and-long"), "{said}");

    // Without a change nothing is said; a password that the server does not take ends it, and the right one brings it back.
    let renewals = || {
        let said = fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
        said.matches("logins-renewed").count()
    };
    change(&cluster, world.dir.path(), &server, "renewed-and-long");
    assert_eq!(renewals(), 1);
    change(&cluster, world.dir.path(), &server, "another-and-long");
    cluster.run("postgres", "ALTER ROLE t1 PASSWORD 'nobody-told-us'");
    assert!(!answers(&mut ann));
    change(&cluster, world.dir.path(), &server, "back-again-and-long");
    assert!(answers(&mut ann));
    assert_eq!(renewals(), 3);
    let log = world.command(&["audit", "search", "logins-renewed"]);
    assert!(log.contains("pg"), "{log}");
}
