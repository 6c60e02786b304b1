//! Servers that cannot prove the name in the URL.

use std::{net::IpAddr, sync::Arc};

use countersign_egress::{
    AddressPolicy, Resolver, Resolving, Roots,
    http::{Cleartext, Client, FetchError, HostPattern, Policy},
};

use crate::site::{Site, ok, redirect};

/// Every name leads to this machine.
struct Here;

impl Resolver for Here {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) })
    }
}

fn policy(host: &str, port: u16) -> Policy {
    Policy::listed([HostPattern::exact(host, port)]).with_addresses(AddressPolicy::operator_named())
}

#[tokio::test]
async fn the_certificate_is_for_the_name_in_the_url() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    countersign_testbed::certificate(dir.path(), &["DNS:good.example.com"]);
    countersign_testbed::certificate(other.path(), &["DNS:good.example.com"]);
    let site = Site::start_tls(dir.path(), |_| ok("reached"));
    let client = |dir: &std::path::Path| {
        Client::new(&Roots::File(dir.join("ca.pem"))).unwrap().with_resolver(Arc::new(Here))
    };
    let good = format!("https://good.example.com:{}/", site.port);
    let answer = client(dir.path()).get(&good, &policy("good.example.com", site.port)).await.unwrap();
    assert_eq!(&answer.body[..], b"reached");
    let seen = site.seen();
    assert_eq!(seen[0].sni.as_deref(), Some("good.example.com"));
    assert!(seen[0].head.contains(&format!("host: good.example.com:{}\r\n", site.port)));
    // Another name at the same address; the address itself; another authority.
    for (host, dir) in [("bad.example.com", &dir), ("127.0.0.1", &dir), ("good.example.com", &other)] {
        let url = format!("https://{host}:{}/", site.port);
        let refused = client(dir.path()).get(&url, &policy(host, site.port)).await;
        assert!(matches!(refused, Err(FetchError::Tls(_))), "{host}: {refused:?}");
        assert!(site.seen().iter().all(|one| one.head.is_empty()));
    }
    // No TLS at all.
    let clear = Site::start(|_| ok("reached"));
    let url = format!("https://good.example.com:{}/", clear.port);
    let refused = client(dir.path()).get(&url, &policy("good.example.com", clear.port)).await;
    assert!(matches!(refused, Err(FetchError::Tls(_) | FetchError::Time { .. })), "{refused:?}");
}

#[tokio::test]
async fn https_is_not_left() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["IP:127.0.0.1"]);
    let clear = Site::start(|_| ok("reached"));
    let location = clear.url("/");
    let site = Site::start_tls(dir.path(), move |_| redirect(&location));
    let client = Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap();
    let both = Policy::listed([site.port, clear.port].map(|port| HostPattern::exact("127.0.0.1", port)))
        .with_addresses(AddressPolicy::operator_named());
    let refused = client.get(&format!("https://127.0.0.1:{}/", site.port), &both).await;
    assert!(matches!(refused, Err(FetchError::Downgrade)));
    assert!(clear.seen().is_empty());
    assert!(client.get(&clear.url("/"), &both).await.is_ok());
    assert!(matches!(
        client.get(&clear.url("/"), &both.with_cleartext(Cleartext::Refused)).await,
        Err(FetchError::Cleartext)
    ));
}

/// What the operator names is reached as it stands, and in the clear on this machine alone.
#[tokio::test]
async fn the_operators_url_is_for_its_own_host() {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:unused"]);
    let client = Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap();
    let (site, other) = (Site::start(|_| ok("keys")), Site::start(|_| ok("reached")));
    let policy = Policy::operator_named(&site.url("/keys")).unwrap();
    assert_eq!(&client.get(&site.url("/keys"), &policy).await.unwrap().body[..], b"keys");
    assert!(matches!(client.get(&other.url("/"), &policy).await, Err(FetchError::Host { .. })));
    let remote = Policy::operator_named("http://192.168.7.7/keys").unwrap();
    let refused = client.get("http://192.168.7.7/keys", &remote).await;
    assert!(matches!(refused, Err(FetchError::Cleartext)), "{refused:?}");
    let metadata = Policy::operator_named("http://169.254.169.254/keys").unwrap();
    let refused = client.get("http://169.254.169.254/keys", &metadata).await;
    assert!(matches!(refused, Err(FetchError::Address { .. })));
}
