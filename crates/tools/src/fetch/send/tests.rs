//! What a call must be before anybody is asked about it.

use countersign_core::json::{Limits, parse};
use countersign_egress::{Roots, http::HostPattern};

use super::*;

fn tool() -> SendRequest {
    let dir = tempfile::tempdir().unwrap();
    countersign_testbed::certificate(dir.path(), &["DNS:unused"]);
    let hosts = ["api.example.com", "127.0.0.1:8080"].map(|host| host.parse::<HostPattern>().unwrap());
    let addresses = countersign_egress::AddressPolicy::operator_named();
    SendRequest::new(SendConfig {
        client: Client::new(&Roots::File(dir.path().join("ca.pem"))).unwrap(),
        policy: Policy::listed(hosts).with_addresses(addresses),
        methods: ["POST", "PUT", "DELETE"].map(str::to_owned).into(),
        types: ["application/json", "text/plain"].map(str::to_owned).into(),
        max_body: 100,
        max_chars: 100,
        power: PowerClass::WriteHigh,
    })
}

fn planned(arguments: Value) -> Result<String, String> {
    let text = arguments.to_string();
    let arguments = Arguments::from_json(&parse(text.as_bytes(), Limits::default()).unwrap()).unwrap();
    match tool().wanted(&arguments) {
        Ok(wanted) => Ok(wanted.shown()),
        Err(error) => Err(format!("{:?}", error.denied)),
    }
}

#[test]
fn only_what_is_listed_is_planned() {
    let at = |url: &str| planned(json!({"method": "POST", "url": url}));
    assert_eq!(at("https://api.example.com/v1?a=b").unwrap(), "POST https://api.example.com/v1?a=b\n");
    assert!(at("http://127.0.0.1:8080/").is_ok());
    for (url, rule) in [
        ("http://api.example.com/", "https://"),
        ("https://other.example.com/", "fetch.allow"),
        ("https://api.example.com:8443/", "fetch.allow"),
        ("https://user@api.example.com/", "user name"),
        // A rule about `/v1/*` is no rule about these.
        ("https://api.example.com/v1/../admin", "as it is sent"),
        ("https://api.example.com/v1/%2e%2e/admin", "as it is sent"),
        ("https://API.example.com/", "as it is sent"),
        ("https://api.example.com:443/", "as it is sent"),
        ("https://api.example.com/#x", "as it is sent"),
        ("https://api.example.com", "as it is sent"),
    ] {
        let refused = at(url).unwrap_err();
        assert!(refused.contains(rule), "{url}: {refused}");
    }
    assert_eq!(tool().spec.input_schema["properties"]["method"]["enum"], json!(["POST", "PUT", "DELETE"]));
}

#[test]
fn a_body_goes_with_its_type_and_its_method() {
    let call = |method: &str, more: Value| {
        let mut call = json!({"method": method, "url": "https://api.example.com/"});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        planned(call)
    };
    let body = json!({"content_type": "text/plain", "body": "hello"});
    let shown = "PUT https://api.example.com/\ncontent-type: text/plain; charset=utf-8\n\nhello\n";
    assert_eq!(call("PUT", body.clone()).unwrap(), shown);
    assert!(call("DELETE", json!({})).is_ok());
    for (method, more, field) in [
        ("PUT", json!({}), "/body"),
        ("DELETE", body, "/body"),
        ("POST", json!({"body": "x"}), "/content_type"),
        ("POST", json!({"content_type": "text/plain"}), "/content_type"),
        ("POST", json!({"content_type": "application/json", "body": "x"}), "/body"),
        ("POST", json!({"content_type": "text/plain", "body": "x".repeat(101)}), "/body"),
    ] {
        let refused = call(method, more.clone()).unwrap_err();
        assert!(refused.contains(&format!("{field:?}")), "{method} {more}: {refused}");
    }
}
