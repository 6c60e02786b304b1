//! `fetch_url` on a running server, in a network in which every address answers and the test says where names lead.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use countersign_testbed::internet::{Names, inside};
use serde_json::{Value, json};

use crate::{approvals::Office as _, web::Web, world::*};

/// What one sees who asks no one.
fn naive(address: &str) -> String {
    let mut stream = TcpStream::connect((address, 80)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn fetching(allow: &[&str], more: &str) -> World {
    let extra = format!("[fetch]\nallow = {}\n{more}", json!(allow));
    World::new(Shape { extra, ..Shape::default() })
}

fn set(names: &Names, name: &str, addresses: &[&str]) {
    names.set(name, addresses.iter().map(|address| vec![address.parse::<IpAddr>().unwrap()]).collect());
}

fn fetch(client: &mut Client, url: &str) -> Value {
    client.call("fetch_url", json!({"url": url}))
}

fn is_refused(result: &Value, by: &str) -> bool {
    result["isError"] == true && text_of(result).contains(by)
}

#[test]
fn pages_of_listed_hosts_come_as_untrusted_text() {
    if !inside("fetch::pages_of_listed_hosts_come_as_untrusted_text") {
        return;
    }
    let (web, names) = (Web::start(&[80, 8080]), Names::serve());
    set(&names, "docs.example.com", &["93.184.215.14"]);
    set(&names, "a.wiki.example.org", &["93.184.215.15"]);
    let secret = "[redact.secrets]\nkey = \"file:key\"";
    let extra = format!(
        "[fetch]\nallow = [\"docs.example.com\", \"*.wiki.example.org\", \"docs.example.com:8080\"]\n{secret}"
    );
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        let key = dir.join("key");
        std::fs::write(&key, "sk-prod-31415926535897").unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    });
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let article = fetch(&mut ann, "http://docs.example.com/article");
    let structured = &article["structuredContent"];
    assert_eq!(structured["status"], 200);
    assert_eq!(structured["url"], "http://docs.example.com/article");
    let text = structured["text"].as_str().unwrap();
    assert!(text.contains("# Ores") && text.contains("Tin & **copper**."), "{text}");
    assert!(!text.contains("steal") && !text.contains("p{}"), "{text}");
    // Delimited, as all that was not written by the operator.
    assert!(text_of(&article).starts_with('<') || text_of(&article).contains("untrusted"), "{article}");
    let raw = ann.call("fetch_url", json!({"url": "http://docs.example.com/article", "format": "raw"}));
    assert!(raw["structuredContent"]["text"].as_str().unwrap().contains("<script>steal()"));
    // In parts.
    let mut whole = String::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let part = ann.call(
            "fetch_url",
            json!({"url": "http://docs.example.com/long", "offset": offset, "limit": 300}),
        );
        let part = &part["structuredContent"];
        assert_eq!(part["total_chars"], 1000);
        whole.push_str(part["text"].as_str().unwrap());
        offset = part["next_offset"].clone();
    }
    assert_eq!(whole, "0123456789".repeat(100));
    let missing = fetch(&mut ann, "http://docs.example.com/missing");
    assert_eq!(
        (missing["isError"].as_bool(), &missing["structuredContent"]["status"]),
        (Some(true), &json!(404))
    );
    assert_eq!(fetch(&mut ann, "http://docs.example.com/to-article")["structuredContent"]["status"], 200);
    assert_eq!(fetch(&mut ann, "http://a.wiki.example.org/")["structuredContent"]["status"], 200);
    assert_eq!(fetch(&mut ann, "http://docs.example.com:8080/")["structuredContent"]["status"], 200);
    assert!(!text_of(&fetch(&mut ann, "http://docs.example.com/secret")).contains("31415926535897"));
    assert!(is_refused(&fetch(&mut ann, "http://docs.example.com/image"), "content type"));
    assert!(is_refused(&fetch(&mut ann, "http://docs.example.com/zipped"), "compressed"));
    // What is sent says nothing of the caller.
    let heads = web.heads();
    assert!(heads.iter().all(|head| head.lines().count() == 7 && !head.contains(&world.ann)), "{heads:?}");
    // The record knows the host, and not the URL.
    let log = String::from_utf8_lossy(&std::fs::read(first_log(&world)).unwrap()).into_owned();
    assert!(log.contains("host docs.example.com:80") && !log.contains("/article"), "{log}");
}

fn first_log(world: &World) -> std::path::PathBuf {
    fn find(dir: &std::path::Path) -> Option<std::path::PathBuf> {
        let mut entries: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.into_iter().find_map(|path| match path.is_dir() {
            true => find(&path),
            false => std::fs::read(&path)
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("fetch_url"))
                .then_some(path),
        })
    }
    find(&world.audit()).expect("the log has the calls")
}

#[test]
fn nothing_else_is_reached() {
    if !inside("fetch::nothing_else_is_reached") {
        return;
    }
    let (web, names) = (Web::start(&[80, 2375]), Names::serve());
    for address in ["169.254.169.254", "10.0.0.7", "127.0.0.1"] {
        assert!(naive(address).ends_with("reached"), "{address} can be reached from here");
    }
    set(&names, "docs.example.com", &["93.184.215.14"]);
    set(&names, "other.example.com", &["93.184.215.15"]);
    set(&names, "inside.example.com", &["10.0.0.7"]);
    set(&names, "imds.example.com", &["169.254.169.254"]);
    set(&names, "mixed.example.com", &["93.184.215.14"]);
    names
        .set("mixed.example.com", vec![vec!["93.184.215.14".parse().unwrap(), "127.0.0.1".parse().unwrap()]]);
    set(&names, "flip.example.com", &["93.184.215.16", "127.0.0.1"]);
    let world = fetching(&["*.example.com"], "");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    web.dialled();
    for (url, by) in [
        ("http://example.com/", "fetch.allow"),
        ("http://example.net/", "fetch.allow"),
        ("http://127.0.0.1/", "fetch.allow"),
        ("http://docs.example.com:2375/", "fetch.allow"),
        ("http://docs.example.com@127.0.0.1/", "user name"),
        ("http://docs.example.com\\@127.0.0.1/", "backslash"),
        ("file:///etc/passwd", "starts with"),
        ("http://inside.example.com/", "fetch.address"),
        ("http://imds.example.com/", "fetch.address"),
        ("http://mixed.example.com/", "fetch.address"),
        ("http://localhost/", "fetch.name"),
        ("http://metadata.google.internal/", "fetch.name"),
    ] {
        let result = fetch(&mut ann, url);
        assert!(is_refused(&result, by), "{url}: {result}");
        assert!(!text_of(&result).contains("10.0.0.7"), "where names lead is not told: {result}");
        assert_eq!(web.dialled(), BTreeSet::new(), "{url}");
    }
    for (path, by) in [
        ("/to-other", "`other.example.com` at port 80"),
        ("/to-inside", "fetch.allow"),
        ("/to-metadata", "fetch.allow"),
    ] {
        let result = fetch(&mut ann, &format!("http://docs.example.com{path}"));
        assert!(is_refused(&result, by), "{path}: {result}");
        assert_eq!(web.dialled(), BTreeSet::from(["93.184.215.14:80".parse().unwrap()]), "{path}");
    }
    // What the redirect named can be asked for.
    assert_eq!(fetch(&mut ann, "http://other.example.com/article")["structuredContent"]["status"], 200);
    web.dialled();
    let flipped = fetch(&mut ann, "http://flip.example.com/");
    assert_eq!(flipped["structuredContent"]["status"], 200, "{flipped}");
    assert_eq!(web.dialled(), BTreeSet::from(["93.184.215.16:80".parse().unwrap()]));
    assert!(is_refused(&fetch(&mut ann, "http://flip.example.com/"), "fetch.address"));
    assert_eq!(web.dialled(), BTreeSet::new());
}

/// Every URL of the corpus that must be refused, though each of its hosts is listed that a configuration takes.
#[test]
fn the_corpus_is_refused_whatever_is_listed() {
    if !inside("fetch::the_corpus_is_refused_whatever_is_listed") {
        return;
    }
    let (web, names) = (Web::start(&[80, 443, 2375, 6379]), Names::serve());
    let cases: Vec<Value> = include_str!("../../../../corpora/ssrf.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named = cases.iter().flat_map(|case| case["dns"].as_object().into_iter().flatten());
    let hosts: BTreeSet<&str> = named.map(|(name, _)| name.as_str()).collect();
    let world = fetching(&hosts.into_iter().collect::<Vec<_>>(), "");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut refused = 0;
    for case in cases.iter().filter(|case| case["expect"] == "block") {
        names.reset(vec!["93.184.215.14".parse().unwrap()]);
        for (name, answers) in case["dns"].as_object().into_iter().flatten() {
            let answers = answers.as_array().unwrap().iter().map(|a| a.as_str().unwrap().parse().unwrap());
            names.set(name, vec![answers.collect()]);
        }
        let answer =
            ann.modern("tools/call", json!({"name": "fetch_url", "arguments": {"url": case["url"]}})).json();
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{case}: {answer}");
        let public = |to: &SocketAddr| to.ip() == "93.184.215.14".parse::<IpAddr>().unwrap();
        assert!(web.dialled().iter().all(public), "{case}");
        refused += 1;
    }
    assert!(refused >= 100, "{refused}");
}

/// A page that takes minutes to read does not take minutes.
#[test]
fn a_hostile_page_costs_a_process_and_no_more() {
    if !inside("fetch::a_hostile_page_costs_a_process_and_no_more") {
        return;
    }
    let (_web, names) = (Web::start(&[80]), Names::serve());
    set(&names, "docs.example.com", &["93.184.215.14"]);
    let world = fetching(&["docs.example.com"], "");
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let started = Instant::now();
    let deep = fetch(&mut ann, "http://docs.example.com/deep");
    assert!(is_refused(&deep, "cannot be turned into text"), "{deep}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    let converting = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("__html-worker"))
    };
    while server.workers().iter().any(converting) {
        assert!(started.elapsed() < Duration::from_secs(9), "the process lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let raw =
        ann.call("fetch_url", json!({"url": "http://docs.example.com/deep", "format": "raw", "limit": 100}));
    assert_eq!(raw["structuredContent"]["total_chars"], 2_000_000);
    assert_eq!(fetch(&mut ann, "http://docs.example.com/article")["structuredContent"]["status"], 200);
}

#[test]
fn policy_and_configuration_decide() {
    if !inside("fetch::policy_and_configuration_decide") {
        return;
    }
    let (web, names) = (Web::start(&[80]), Names::serve());
    set(&names, "docs.example.com", &["93.184.215.14"]);
    set(&names, "wiki.corp", &["10.1.0.5"]);
    set(&names, "kubernetes.default.svc", &["10.1.0.1"]);
    // Nothing listed, no tool.
    let world = World::new(Shape::default());
    let server = world.serve();
    assert!(!world.client(&world.ann).modern("tools/list", json!({})).body.contains("fetch_url"));
    drop(server);
    // A forbid of one host.
    let world = fetching(
        &["docs.example.com", "wiki.corp"],
        "[danger]\nfetch_networks = [\"10.1.0.0/16\"]\nfetch_names = [\"wiki.corp\"]\n",
    );
    let forbid = "@id(\"no-docs\")\nforbid (principal, action == Action::\"connect\", resource is Host) when { resource.name == \"docs.example.com\" };";
    std::fs::write(world.dir.path().join("policies/hosts.cedar"), forbid).unwrap();
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let result = fetch(&mut ann, "http://docs.example.com/");
    assert!(is_refused(&result, "no-docs"), "{result}");
    assert_eq!(web.dialled(), BTreeSet::new());
    assert_eq!(fetch(&mut ann, "http://wiki.corp/")["structuredContent"]["status"], 200);
    assert_eq!(web.dialled(), BTreeSet::from(["10.1.0.5:80".parse().unwrap()]));
    drop(server);
    let doctor = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("may reach docs.example.com, wiki.corp"), "{doctor}");
    assert!(doctor.contains("danger.fetch_networks"), "{doctor}");
    // A list that could never work, or opens more than it says, is no configuration.
    for (allow, more, rule) in [
        ("10.0.0.7", "", "fetch_networks = [\"10.0.0.7\"]"),
        ("wiki.corp", "", "fetch_names = [\"wiki.corp\"]"),
        ("169.254.169.254", "[danger]\nfetch_networks = [\"169.254.0.0/16\"]", "link-local"),
        ("kubernetes.default.svc", "[danger]\nfetch_names = [\"*.default.svc\"]", "a platform"),
        ("*", "", "must be a list of hosts"),
        ("https://docs.example.com/", "", "must be a list of hosts"),
    ] {
        let extra = format!("[fetch]\nallow = [\"{allow}\"]\n{more}\n");
        let config = std::fs::read_to_string(world.config()).unwrap();
        let head = config.split("[fetch]").next().unwrap();
        std::fs::write(world.dir.path().join("other.toml"), format!("{head}{extra}")).unwrap();
        let other = world.dir.path().join("other.toml");
        let checked = std::process::Command::new(BINARY)
            .args(["config", "check", "--config"])
            .arg(other)
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(!checked.status.success() && said.contains(rule), "{allow}: {said}");
    }
}

/// A proxy that lets nobody through, and what it was asked.
fn closed_proxy() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
    let heads = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap();
            *heads.lock().unwrap() = String::from_utf8_lossy(&head[..length]).into_owned();
            let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        }
    });
    (port, asked)
}

#[test]
fn the_password_of_a_proxy_is_changed_without_a_restart() {
    let (port, asked) = closed_proxy();
    let more = format!(
        "ca = \"ca.pem\"\nproxy = \"127.0.0.1:{port}\"\nproxy_user = \"svc\"\nproxy_password = \"file:proxy\"\n\
         [danger]\nfetch_proxy_resolves = true\n"
    );
    let extra = format!("[fetch]\nallow = [\"docs.example.com\"]\n{more}");
    let set = |dir: &std::path::Path, password: &str| {
        std::fs::write(dir.join("proxy"), password).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("proxy"), mode).unwrap();
    };
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        countersign_testbed::certificate(dir, &["DNS:docs.example.com"]);
        set(dir, "sesame-0001");
    });
    let server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut told = || {
        let refused = fetch(&mut ann, "http://docs.example.com/");
        assert!(is_refused(&refused, "name and password"), "{refused}");
        asked.lock().unwrap().clone()
    };
    // `svc:sesame-0001` and `svc:sesame-0002`.
    assert!(told().contains("Basic c3ZjOnNlc2FtZS0wMDAx\r\n"), "{}", told());
    set(world.dir.path(), "sesame-0002");
    server.signal("-HUP");
    let started = Instant::now();
    let said = || std::fs::read_to_string(world.dir.path().join("serve.log")).unwrap();
    while !said().contains("logins-renewed: fetch.proxy") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(told().contains("Basic c3ZjOnNlc2FtZS0wMDAy\r\n"), "{}", told());
}

/// What a run has read can leave in a URL, so a run that has read private data asks people first.
#[test]
fn private_data_leaves_with_a_persons_word() {
    if !inside("fetch::private_data_leaves_with_a_persons_word") {
        return;
    }
    let (web, names) = (Web::start(&[80]), Names::serve());
    set(&names, "docs.example.com", &["93.184.215.14"]);
    let world = fetching(&["docs.example.com"], "ca = \"ca.pem\"");
    countersign_testbed::certificate(world.dir.path(), &["DNS:docs.example.com"]);
    web.start_tls(443, world.dir.path());
    let key = world.enroll("olga");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    assert_eq!(fetch(&mut ann, "http://docs.example.com/")["structuredContent"]["status"], 200);
    let read = ann.query("SELECT name FROM products");
    assert!(read["isError"] != true, "{read}");
    web.dialled();
    let stolen = "http://docs.example.com/?names=all";
    let request = held(&fetch(&mut ann, stolen));
    assert_eq!(web.dialled(), BTreeSet::new());
    let approved = world.approve(&request, &key);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    let released = fetch(&mut ann, stolen);
    assert_eq!(released["structuredContent"]["status"], 200, "{released}");
    assert_eq!(web.heads().len(), 1);
    held(&fetch(&mut ann, "http://docs.example.com/?names=more"));
    assert_eq!(web.dialled(), BTreeSet::new());
    // The word holds for the same host's `https`, which the request names, and for no other place.
    let moved = "http://docs.example.com/to-https?names=all";
    let request = held(&fetch(&mut ann, moved));
    assert!(world.command(&["approvals", "show", &request]).contains("connect host docs.example.com:443"));
    assert!(world.approve(&request, &key).status.success());
    let followed = fetch(&mut ann, moved);
    assert_eq!(followed["structuredContent"]["url"], "https://docs.example.com/article", "{followed}");
    assert_eq!(web.heads().len(), 2);
    held(&fetch(&mut ann, "https://docs.example.com/article"));
    assert_eq!(web.dialled(), BTreeSet::new());
    // Another principal's run has read nothing.
    let mut bob = world.client(&world.bob);
    assert_eq!(fetch(&mut bob, "http://docs.example.com/")["structuredContent"]["status"], 200);
}
