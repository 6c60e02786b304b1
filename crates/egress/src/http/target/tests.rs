//! What is refused as text, and what remains of what is not.

use super::*;

#[test]
fn what_parsers_repair_is_refused() {
    for (text, rule) in [
        ("", UrlRule::Scheme),
        (" http://example.com/", UrlRule::Character),
        ("http://exam\tple.com/", UrlRule::Character),
        ("ht\ntp://example.com/", UrlRule::Character),
        ("http://example.com/\u{0}", UrlRule::Character),
        ("http://ex\u{ad}ample.com/", UrlRule::Character),
        ("http://example.com/\u{202e}", UrlRule::Character),
        ("http:\\\\example.com/", UrlRule::Backslash),
        ("http://example.com\\@127.0.0.1/", UrlRule::Backslash),
        ("http:/example.com/", UrlRule::Scheme),
        ("http:example.com", UrlRule::Scheme),
        ("//example.com/", UrlRule::Scheme),
        ("ftp://example.com/", UrlRule::Scheme),
        ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", UrlRule::Scheme),
        ("http:///example.com/", UrlRule::Authority),
        ("http://:80/", UrlRule::Authority),
        ("http://?@127.0.0.1/", UrlRule::Authority),
        ("http://user@example.com/", UrlRule::Userinfo),
        ("http://user:pass@example.com/", UrlRule::Userinfo),
        ("http://@example.com/", UrlRule::Userinfo),
        ("http://example.com:0/", UrlRule::Port),
        ("http://example.com:65536/", UrlRule::Port),
        ("http://example.com:80a/", UrlRule::Port),
        ("http://[::1/", UrlRule::Host),
        ("http://[fe80::1%25eth0]/", UrlRule::Host),
        ("http://4294967296/", UrlRule::Host),
        ("http://example..com/", UrlRule::Host),
        ("http://example.com../", UrlRule::Host),
        ("http://127.0.0.1,example.com/", UrlRule::Host),
        ("http://$(id).example.com/", UrlRule::Host),
        ("http://a;b.example.com/", UrlRule::Host),
        ("http://a%27b.example.com/", UrlRule::Host),
    ] {
        assert_eq!(Target::parse(text), Err(rule), "{text:?}");
    }
    let long = format!("http://example.com/{}", "a".repeat(MAX_CHARS));
    assert_eq!(Target::parse(&long), Err(UrlRule::Length));
}

/// A naive reader of these texts sees another host than the one that we would reach.
#[test]
fn the_parsed_host_is_the_one_that_counts() {
    for (text, host, port) in [
        ("http://0x7f.1/", "127.0.0.1", 80),
        ("http://2130706433/", "127.0.0.1", 80),
        ("http://0177.0.0.1:8080/", "127.0.0.1", 8080),
        ("http://１２７.０.０.１/", "127.0.0.1", 80),
        ("http://%31%32%37%2e%30%2e%30%2e%31/", "127.0.0.1", 80),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.1", 80),
        ("HTTPS://EXAMPLE.com./x#@127.0.0.1", "example.com", 443),
        ("https://münchen.de/", "xn--mnchen-3ya.de", 443),
        ("http://ｌｏｃａｌｈｏｓｔ/", "localhost", 80),
    ] {
        let target = Target::parse(text).unwrap();
        assert_eq!((target.host(), target.port()), (host, port), "{text}");
    }
    let target = Target::parse("https://EXAMPLE.com.:8443/a b".replace(' ', "%20").as_str()).unwrap();
    assert_eq!(target.as_str(), "https://example.com:8443/a%20b");
    assert_eq!(target.authority(), "example.com:8443");
    assert_eq!(Target::parse("http://[2a00::1]/?q=1#f").unwrap().authority(), "[2a00::1]");
    assert_eq!(Target::parse("http://[2a00::1]/?q=1#f").unwrap().path(), "/?q=1");
}

#[test]
fn a_location_is_linted_like_a_url() {
    let here = Target::parse("https://example.com/a/b").unwrap();
    assert_eq!(here.join("../c?d").unwrap().as_str(), "https://example.com/c?d");
    assert_eq!(here.join("//127.0.0.1/").unwrap().host(), "127.0.0.1");
    assert_eq!(here.join("file:///etc/passwd"), Err(UrlRule::Scheme));
    assert_eq!(here.join("https://a@example.com/"), Err(UrlRule::Userinfo));
    assert_eq!(here.join("/\\127.0.0.1/"), Err(UrlRule::Backslash));
    assert_eq!(here.join("https:127.0.0.1/"), Err(UrlRule::Scheme));
    assert_eq!(here.join("HTTPS:/127.0.0.1/"), Err(UrlRule::Scheme));
    assert_eq!(here.join("?at=12:30").unwrap().as_str(), "https://example.com/a/b?at=12:30");
    assert_eq!(here.join("http:\t//127.0.0.1/"), Err(UrlRule::Character));
}
