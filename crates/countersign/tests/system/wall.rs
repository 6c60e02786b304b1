//! The server's own wall: a file that is swapped for a link to somewhere else is opened without it, and not with it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    time::{Duration, Instant},
};

use crate::world::*;

/// What a reload says when a secret leads to a file elsewhere, which this user may read.
fn reloaded(confine: bool) -> (World, String) {
    let elsewhere = tempfile::tempdir().unwrap();
    let put = |path: &std::path::Path, text: &str| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put(&elsewhere.path().join("key"), "of-another-program-1");
    let shape = Shape { extra: "[redact.secrets]\nkey = \"file:key\"\n".into(), ..Shape::default() };
    let world = World::new_with(shape, |dir| put(&dir.join("key"), "of-this-program-12"));
    let config = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), config.replace("[server]\n", &format!("[server]\nconfine = {confine}\n")))
        .unwrap();
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    assert!(
        ann.query("SELECT name FROM products")["isError"] != true,
        "a wall keeps nothing from those who need it"
    );
    let said = || fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    let ends = |text: &str| text.matches("secrets-reload").count() + text.matches("config-rejected").count();
    let hangup = || {
        let (before, started) = (ends(&said()), Instant::now());
        server.signal("-HUP");
        while ends(&said()) == before {
            assert!(started.elapsed() < Duration::from_secs(30), "the reload does not end: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // Files are replaced, policies are added, and the server reads them: its own are its own.
    let fresh = world.dir.path().join("fresh");
    put(&fresh, "of-this-program-13");
    fs::rename(&fresh, world.dir.path().join("key")).unwrap();
    let forbid =
        "@id(\"no-bob\")\nforbid (principal, action, resource) when { principal.subject == \"bob\" };\n";
    fs::write(world.dir.path().join("policies/more.cedar"), forbid).unwrap();
    hangup();
    let text = said();
    assert!(text.contains("secrets-reload") && text.contains("policy-reload"), "{text}");
    fs::remove_file(world.dir.path().join("key")).unwrap();
    symlink(elsewhere.path().join("key"), world.dir.path().join("key")).unwrap();
    hangup();
    let text = said();
    drop(server);
    (world, text)
}

#[test]
fn the_server_opens_no_file_that_its_configuration_does_not_name() {
    let (_, without) = reloaded(false);
    assert!(!without.contains("config-rejected"), "{without}");
    let (world, with) = reloaded(true);
    assert!(with.contains("config-rejected") && with.contains("cannot read the secret file"), "{with}");
    fs::remove_file(world.dir.path().join("key")).unwrap();
    fs::write(world.dir.path().join("key"), "of-this-program-14").unwrap();
    let doctor = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("opens only files of its configuration"), "{doctor}");
}
