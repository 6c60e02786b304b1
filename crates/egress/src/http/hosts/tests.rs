//! What an entry of a list means.

use super::*;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

#[test]
fn an_entry_means_its_host_and_no_other() {
    for (entry, host, port, meant) in [
        ("example.com", "example.com", 443, true),
        ("example.com", "example.com", 80, true),
        ("example.com", "example.com", 8443, false),
        ("example.com", "www.example.com", 443, false),
        ("example.com", "notexample.com", 443, false),
        ("example.com:8443", "example.com", 8443, true),
        ("example.com:8443", "example.com", 443, false),
        ("*.example.com", "a.b.example.com", 443, true),
        ("*.example.com", "example.com", 443, false),
        ("*.example.com", "notexample.com", 443, false),
        ("*.example.com", "example.com.evil.net", 443, false),
        ("EXAMPLE.com.", "example.com", 443, true),
        ("münchen.de", "xn--mnchen-3ya.de", 443, true),
        ("10.0.0.7:2375", "10.0.0.7", 2375, true),
        ("[2a00::1]:8080", "2a00::1", 8080, true),
        ("2a00:0::1", "2a00::1", 443, true),
        ("[2a00::1]", "2a00::1", 80, true),
    ] {
        assert_eq!(pattern(entry).matches(host, port), meant, "{entry} {host}:{port}");
    }
}

#[test]
fn what_means_no_host_is_refused() {
    for text in [
        "",
        "*",
        "*.",
        "*.*.com",
        "a*.com",
        "https://example.com",
        "example.com/",
        "a b.com",
        "u@example.com",
        "*.10.0.0.1",
        "example.com:0",
        "example.com:99999",
        "example.com:",
        "example.com:+443",
        "example.com:80:81",
        "[::1]:80:81",
        "[::1",
        "a..b",
    ] {
        assert!(text.parse::<HostPattern>().is_err(), "{text}");
    }
    assert_eq!(pattern("*.Example.com:8443").to_string(), "*.example.com:8443");
    assert!(pattern("example.com:443").names("example.com", 443));
    assert!(!pattern("example.com").names("example.com", 443));
    assert!(!pattern("*.example.com:443").names("a.example.com", 443));
}
