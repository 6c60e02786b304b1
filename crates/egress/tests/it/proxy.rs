//! The operator's proxy: told the address that we judged, or the name where the operator says so.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use countersign_egress::{
    AddressPolicy, Resolver, Resolving, Roots,
    http::{Client, FetchError, HostPattern, Policy, Proxy, ProxyLogin, Request},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::site::{Site, ok};

/// A proxy that leads every connection to one port of this machine, and remembers what it was asked for.
async fn proxy(to: u16, status: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            log.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            let known = head.contains("\r\nProxy-Authorization: Basic c3ZjOnNlc2FtZQ==\r\n");
            let status = if status.starts_with("407") && known { "200 OK" } else { status };
            stream.write_all(format!("HTTP/1.1 {status}\r\nvia: x\r\n\r\n").as_bytes()).await.unwrap();
            if !status.starts_with("200") {
                continue;
            }
            tokio::spawn(async move {
                let mut inner = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    (port, asked)
}

struct To(&'static str);

impl Resolver for To {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(vec![self.0.parse::<IpAddr>().unwrap()]) })
    }
}

fn client(dir: &std::path::Path, port: u16, resolves: bool, to: &'static str) -> Client {
    Client::new(&Roots::File(dir.join("ca.pem"))).unwrap().with_resolver(Arc::new(To(to))).with_proxy(Proxy {
        host: "127.0.0.1".into(),
        port,
        resolves,
        login: None,
    })
}

#[tokio::test]
async fn a_proxy_is_told_the_judged_address() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:example.com"]);
    let site = Site::start_tls(dir.path(), |_| ok("reached"));
    let (port, asked) = proxy(site.port, "200 Connection established").await;
    let policy = Policy::any_public();
    let pinned = client(dir.path(), port, false, "93.184.215.14");
    assert_eq!(&pinned.get("https://example.com/", &policy).await.unwrap().body[..], b"reached");
    assert_eq!(asked.lock().unwrap().drain(..).collect::<Vec<_>>(), ["CONNECT 93.184.215.14:443 HTTP/1.1"]);
    // The name is still what must be proven.
    assert!(matches!(pinned.get("https://example.net/", &policy).await, Err(FetchError::Tls(_))));
    asked.lock().unwrap().clear();
    let inside = client(dir.path(), port, false, "10.0.0.1");
    assert!(matches!(inside.get("https://example.com/", &policy).await, Err(FetchError::Address { .. })));
    assert!(asked.lock().unwrap().is_empty());
    let resolving = client(dir.path(), port, true, "10.0.0.1");
    assert_eq!(&resolving.get("https://example.com/", &policy).await.unwrap().body[..], b"reached");
    assert_eq!(asked.lock().unwrap().drain(..).collect::<Vec<_>>(), ["CONNECT example.com:443 HTTP/1.1"]);
    // Addresses and names of the inside are ours to judge all the same.
    for url in
        ["https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://metadata.google.internal/"]
    {
        assert!(resolving.get(url, &policy).await.unwrap_err().is_refusal(), "{url}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_the_end() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:example.com"]);
    let site = Site::start_tls(dir.path(), |_| ok("reached"));
    let (port, _) = proxy(site.port, "403 Forbidden").await;
    let refused = client(dir.path(), port, false, "93.184.215.14")
        .get("https://example.com/", &Policy::any_public())
        .await;
    assert!(matches!(refused, Err(FetchError::Proxy)));
    assert!(site.seen().is_empty());
    // Nor does anything go past it.
    let closed = client(dir.path(), 1, false, "127.0.0.1");
    let local = Policy::listed([HostPattern::exact("example.com", site.port)])
        .with_addresses(AddressPolicy::operator_named());
    let refused = closed.get(&format!("https://example.com:{}/", site.port), &local).await;
    assert!(matches!(refused, Err(FetchError::Connect(_))), "{refused:?}");
    assert!(site.seen().is_empty());
}

#[tokio::test]
async fn a_proxy_is_told_who_we_are_and_nobody_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:example.com"]);
    let site = Site::start_tls(dir.path(), |_| ok("reached"));
    let (port, asked) = proxy(site.port, "407 Proxy Authentication Required").await;
    let policy = Policy::any_public();
    let client = |login| {
        let roots = Roots::File(dir.path().join("ca.pem"));
        let proxy = Proxy { host: "127.0.0.1".into(), port, resolves: true, login };
        Client::new(&roots).unwrap().with_proxy(proxy)
    };
    for login in [None, ProxyLogin::new("svc", "wrong")] {
        let refused = client(login).get("https://example.com/", &policy).await;
        assert!(matches!(refused, Err(FetchError::ProxyLogin)), "{refused:?}");
    }
    assert!(site.seen().is_empty());
    let login = ProxyLogin::new("svc", "sesame").unwrap();
    assert_eq!(format!("{login:?}"), "ProxyLogin(..)");
    let answer = client(Some(login)).get("https://example.com/", &policy).await.unwrap();
    assert_eq!((&answer.body[..], asked.lock().unwrap().len()), (&b"reached"[..], 3));
    assert!(!site.seen()[0].head.to_ascii_lowercase().contains("proxy-authorization"));
    for (user, password) in [("a:b", "x"), ("a\r\nX: y", "x"), ("a", "x\n")] {
        assert_eq!(ProxyLogin::new(user, password), None);
    }
}

/// Where the proxy resolves, nobody here sees an address: a name of the inside is what says that its pages are not the world's.
#[tokio::test]
async fn pages_of_the_inside_are_inside_behind_a_proxy_as_well() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:example.com", "DNS:wiki.corp"]);
    let site = Site::start_tls(dir.path(), |_| ok("reached"));
    let (port, _) = proxy(site.port, "200 OK").await;
    let policy = Policy::any_public().with_inside(["wiki.corp".parse().unwrap()]);
    for (url, outside) in [("https://example.com/", true), ("https://wiki.corp/", false)] {
        let answer =
            client(dir.path(), port, true, "10.0.0.1").open(Request::get(url), &policy).await.unwrap();
        assert_eq!(answer.outside, outside, "{url}");
    }
}
