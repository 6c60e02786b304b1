//! Redirects: each is a new hop under the same rules.

use countersign_egress::{
    AddressPolicy, Roots,
    http::{Client, FetchError, HeaderValue, HostPattern, Limits, Method, Policy, Request, header},
};

use crate::site::{Site, Step, answer, ok, redirect};

pub(crate) fn client() -> Client {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:unused"]);
    Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap()
}

/// These ports of 127.0.0.1.
pub(crate) fn loopback(sites: &[&Site]) -> Policy {
    Policy::listed(sites.iter().map(|site| HostPattern::exact("127.0.0.1", site.port)))
        .with_addresses(AddressPolicy::operator_named())
}

fn to(location: String) -> impl Fn(&str) -> Vec<Step> + Send + Sync + 'static {
    move |_| redirect(&location)
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let away = Site::start(|_| ok("elsewhere"));
    let location = away.url("/next");
    let site = Site::start(move |head| match head.starts_with("GET /same ") {
        true => redirect("/away"),
        false => redirect(&location),
    });
    let request = [
        (header::AUTHORIZATION, "Bearer s3cret"),
        (header::COOKIE, "session=s3cret"),
        (header::HeaderName::from_static("x-api-key"), "s3cret"),
        (header::ACCEPT, "text/plain"),
    ];
    let request = request.into_iter().fold(Request::get(&site.url("/same")), |request, (name, value)| {
        request.header(name, HeaderValue::from_static(value)).unwrap()
    });
    let answer = client().send(request, &loopback(&[&site, &away])).await.unwrap();
    assert_eq!((&answer.body[..], answer.url.as_str()), (&b"elsewhere"[..], away.url("/next").as_str()));
    let own = site.seen();
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|one| one.head.matches("s3cret").count() == 3), "{own:?}");
    let other = away.seen();
    assert!(!other[0].head.contains("s3cret"), "{other:?}");
    assert!(other[0].head.contains("accept: text/plain\r\n"));
}

#[tokio::test]
async fn redirects_end() {
    let site = Site::start(|_| redirect("/again"));
    let refused = client().get(&site.url("/"), &loopback(&[&site])).await;
    assert!(matches!(refused, Err(FetchError::Redirects(5))));
    assert_eq!(site.seen().len(), 6);
    let none = loopback(&[&site]).with_limits(Limits { redirects: 0, ..Limits::default() });
    assert!(matches!(client().get(&site.url("/"), &none).await, Err(FetchError::Redirects(0))));
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let other = Site::start(|_| ok("reached"));
    for (location, code) in [
        (other.url("/"), "host"),
        ("http://127.0.0.2/".into(), "host"),
        ("file:///etc/passwd".into(), "url"),
        ("http://user@127.0.0.1/".into(), "url"),
        ("gopher://127.0.0.1/".into(), "url"),
        ("//localhost/".into(), "name"),
    ] {
        let site = Site::start(to(location.clone()));
        let refused = client().get(&site.url("/"), &loopback(&[&site])).await.unwrap_err();
        assert_eq!(refused.code(), code, "{location}: {refused}");
        assert_eq!(site.seen().len(), 1);
    }
    assert!(other.seen().is_empty());
    // The host list permits the next one; this request was for the first alone.
    let site = Site::start(to(other.url("/")));
    let narrow = loopback(&[&site, &other]).only([("127.0.0.1".to_owned(), site.port)]);
    let refused = client().get(&site.url("/"), &narrow).await;
    assert!(matches!(refused, Err(FetchError::OtherHost { port, .. }) if port == other.port));
    assert!(other.seen().is_empty());
    assert!(client().get(&site.url("/"), &loopback(&[&site, &other])).await.is_ok());
}

#[tokio::test]
async fn only_a_get_is_sent_elsewhere() {
    let site = Site::start(|_| redirect("/again"));
    let refused = client().send(Request::post(&site.url("/"), "data"), &loopback(&[&site])).await;
    assert!(matches!(refused, Err(FetchError::Redirected)));
    assert_eq!(site.seen().len(), 1);
}

/// A request that may take effect: wherever it ends, its sender knows whether it was sent.
#[tokio::test]
async fn what_was_sent_once_is_not_sent_again_nor_forgotten() {
    let other = Site::start(|_| ok("reached"));
    let location = other.url("/");
    let site = Site::start(move |head| match head.split(' ').nth(1).unwrap() {
        "/moved" => answer("307 Temporary Redirect", &format!("location: {location}\r\n"), ""),
        "/done" => answer("303 See Other", "location: /done/1\r\n", ""),
        "/silent" => Vec::new(),
        "/slow" => vec![Step::Wait(std::time::Duration::from_secs(60))],
        "/zipped" => answer("201 Created", "content-encoding: gzip\r\n", "x"),
        _ => answer("201 Created", "content-type: text/plain\r\n", "made"),
    });
    let head = std::time::Duration::from_millis(300);
    let policy = loopback(&[&site, &other]).with_limits(Limits { head, ..Limits::default() });
    let send = async |url: String| {
        let request = Request::post(&url, "data").with_method(Method::PUT).once();
        client().send(request, &policy).await
    };
    for (path, status) in [("/moved", 307), ("/done", 303), ("/", 201)] {
        assert_eq!(send(site.url(path)).await.unwrap().status.as_u16(), status, "{path}");
        let seen = site.seen();
        assert!(seen.len() == 1 && seen[0].head.starts_with("PUT "), "{seen:?}");
    }
    assert!(other.seen().is_empty());
    for path in ["/silent", "/slow"] {
        let unknown = send(site.url(path)).await;
        assert!(matches!(unknown, Err(FetchError::Unanswered(_))), "{path}: {unknown:?}");
    }
    let unread = send(site.url("/zipped")).await;
    assert!(matches!(unread, Err(FetchError::Unread { status: 201, .. })), "{unread:?}");
    // What was not sent did not happen.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let policy = Policy::listed([HostPattern::exact("127.0.0.1", nobody)])
        .with_addresses(AddressPolicy::operator_named());
    let request = Request::post(&format!("http://127.0.0.1:{nobody}/"), "data").once();
    assert!(matches!(client().send(request, &policy).await, Err(FetchError::Connect(_))));
}

/// A page can say where to go next in many ways; only a redirect's `Location` counts.
#[tokio::test]
async fn pages_do_not_redirect() {
    let page = "<meta http-equiv=refresh content='0;url=/next'>";
    let site = Site::start(move |_| answer("200 OK", "refresh: 0;url=/next\r\nlocation: /next\r\n", page));
    let answered = client().get(&site.url("/"), &loopback(&[&site])).await.unwrap();
    assert_eq!(&answered.body[..], page.as_bytes());
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn the_clients_own_headers_are_its_own() {
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "accept-encoding",
        "proxy-authorization",
    ] {
        let name = header::HeaderName::from_static(name);
        let refused = Request::get("http://example.com/").header(name, HeaderValue::from_static("x"));
        assert!(matches!(refused, Err(FetchError::Header(_))));
    }
    let site = Site::start(|_| ok(""));
    client().get(&site.url("/a?b=c#d"), &loopback(&[&site])).await.unwrap();
    let expected = format!(
        "GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:{}\r\naccept-encoding: identity\r\nconnection: close\r\n\
         user-agent: countersign\r\naccept: */*\r\n\r\n",
        site.port
    );
    assert_eq!(site.seen()[0].head, expected);
}
