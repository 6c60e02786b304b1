//! Private networks that the operator listed, and what stays closed in them.

use std::sync::Arc;

use countersign_egress::{
    AddressClass, AddressPolicy, Roots,
    http::{Client, FetchError, HostPattern, Policy, Request},
};
use countersign_testbed::internet::{Names, OWN_ADDRESS, inside};

use crate::site::{Site, ok};

fn client() -> Client {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:unused"]);
    Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap()
}

fn hosts(list: &[&str]) -> Vec<HostPattern> {
    list.iter().map(|one| one.parse().unwrap()).collect()
}

fn networks(list: &[&str]) -> AddressPolicy {
    AddressPolicy::public_only().with_networks(list.iter().map(|one| one.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_network_opens_no_platform() {
    if !tokio::task::block_in_place(|| inside("inside::a_listed_network_opens_no_platform")) {
        return;
    }
    let names = Names::serve();
    names.reset(Vec::new());
    let ports = [80, 2375, 6443, 10250];
    let sites: Vec<_> = ports
        .map(|port| Site::listen(&format!("[::]:{port}"), None, Arc::new(|_: &str| ok("reached"))))
        .into();
    let set = |name: &str, address: &str| names.set(name, vec![vec![address.parse().unwrap()]]);
    set("wiki.corp", "10.1.0.5");
    set("api.example.com", "10.1.0.6");
    set("other.example.com", "10.2.0.6");
    set("imds.example.com", "169.254.169.254");
    set("kubernetes.default.svc", "10.1.0.1");
    set("docker.example.com", "10.1.0.7");
    let client = client();
    let list = [
        "wiki.corp",
        "*.example.com",
        "*.example.com:2375",
        "*.example.com:6443",
        "docker.example.com:2375",
        "*.default.svc",
        "169.254.169.254",
        "100.100.100.200",
        "10.1.0.9",
        "127.0.0.1",
    ];
    let inside = hosts(&["wiki.corp", "*.default.svc"]);
    let policy = Policy::listed(hosts(&list)).with_inside(inside.clone()).with_addresses(networks(&[
        "10.1.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
    ]));
    for url in [
        "http://wiki.corp/",
        "http://api.example.com/",
        "http://docker.example.com:2375/",
        "http://10.1.0.9/",
    ] {
        assert_eq!(client.get(url, &policy).await.unwrap().status, 200, "{url}");
    }
    sites.iter().for_each(|site| drop(site.seen()));
    for (url, code) in [
        ("http://other.example.com/", "address"),
        ("http://imds.example.com/", "address"),
        ("http://169.254.169.254/", "address"),
        ("http://100.100.100.200/", "address"),
        ("http://127.0.0.1/", "address"),
        ("http://api.example.com:2375/", "address"),
        ("http://api.example.com:6443/", "address"),
        ("http://kubernetes.default.svc/", "name"),
        ("http://10.1.0.10/", "host"),
        ("http://wiki.corp:2375/", "host"),
    ] {
        let refused = client.get(url, &policy).await;
        assert_eq!(refused.as_ref().map(|a| a.status).map_err(FetchError::code), Err(code), "{url}");
    }
    assert!(sites.iter().all(|site| site.seen().is_empty()));
    // Named one by one they are reached: the refusals above are the rules' alone.
    let named = Policy::listed(hosts(&["kubernetes.default.svc:6443", "imds.example.com"]))
        .with_inside(hosts(&["kubernetes.default.svc"]))
        .with_addresses(networks(&["10.1.0.0/16", "169.254.169.254"]));
    for url in ["http://kubernetes.default.svc:6443/", "http://imds.example.com/"] {
        assert_eq!(client.get(url, &named).await.unwrap().status, 200, "{url}");
    }
    // An orchestrator's API at an ordinary port is known by its address.
    let api = ["10.1.0.6".parse().unwrap()];
    let known = policy.clone().with_addresses(networks(&["10.1.0.0/16"]).with_platform(api));
    let refused = client.get("http://api.example.com/", &known).await;
    assert!(matches!(refused, Err(FetchError::Address { class: AddressClass::Metadata, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_own_addresses_are_not_public() {
    if !tokio::task::block_in_place(|| inside("inside::the_machines_own_addresses_are_not_public")) {
        return;
    }
    let site = Site::listen("[::]:80", None, Arc::new(|_: &str| ok("reached")));
    let names = Names::serve();
    names.reset(vec![OWN_ADDRESS.parse().unwrap()]);
    let client = client();
    let other = client.get("http://93.184.215.14/", &Policy::any_public()).await.unwrap();
    assert_eq!((other.status.as_u16(), site.seen().len()), (200, 1));
    for url in [format!("http://{OWN_ADDRESS}/"), "http://example.com/".into()] {
        let refused = client.get(&url, &Policy::any_public()).await;
        assert!(matches!(refused, Err(FetchError::Address { class: AddressClass::Loopback, .. })), "{url}");
    }
    assert!(site.seen().is_empty());
    let listed = Policy::any_public().with_addresses(networks(&[OWN_ADDRESS]));
    // A page of this machine is none of the world's, at whatever address.
    for (url, outside) in [("http://example.com/", false), ("http://93.184.215.14/", true)] {
        let answer = client.open(Request::get(url), &listed).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.outside), (200, outside), "{url}");
    }
}

/// Translated addresses are judged as what they stand for, where the operator lists the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn nat64_is_judged_by_the_address_inside() {
    if !tokio::task::block_in_place(|| inside("inside::nat64_is_judged_by_the_address_inside")) {
        return;
    }
    let site = Site::listen("[::]:80", None, Arc::new(|_: &str| ok("reached")));
    let client = client();
    let addresses = AddressPolicy::public_only().with_nat64(["64:ff9b::/96".parse().unwrap()]);
    let policy = Policy::any_public().with_addresses(addresses);
    let answer = client.open(Request::get("http://[64:ff9b::101:101]/"), &policy).await.unwrap();
    assert!(answer.status == 200 && answer.outside, "{}", answer.outside);
    drop(answer);
    assert_eq!(site.seen()[0].to.ip(), "64:ff9b::101:101".parse::<std::net::IpAddr>().unwrap());
    for url in ["http://[64:ff9b::7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b::a00:1]/"] {
        assert!(matches!(client.get(url, &policy).await, Err(FetchError::Address { .. })), "{url}");
    }
    let unlisted = client.get("http://[64:ff9b::101:101]/", &Policy::any_public()).await;
    assert!(matches!(unlisted, Err(FetchError::Address { .. })));
    assert!(site.seen().is_empty());
}
