//! Which URIs name a resource, and with what value.

use super::*;

fn registry() -> Registry {
    let one = |uri: &str, variable| Resource {
        uri: uri.into(),
        name: String::new(),
        description: String::new(),
        mime: "text/plain",
        tool: "t".into(),
        also: None,
        tenant: None,
        fixed: BTreeMap::new(),
        variable,
    };
    let resources = vec![
        one("schema://shop", None),
        one("schema://shop/{table}", Some("table")),
        one("file://docs/{+path}", Some("path")),
    ];
    Registry::new(Vec::new(), resources).unwrap()
}

#[test]
fn a_path_is_decoded_once_and_a_segment_never() {
    let registry = registry();
    let value = |uri: &str| registry.resource(uri).map(|(_, value)| value.unwrap_or_default().into_owned());
    assert_eq!(value("schema://shop").as_deref(), Some(""));
    assert_eq!(value("schema://shop/public.orders").as_deref(), Some("public.orders"));
    assert_eq!(value("file://docs/a/b.md").as_deref(), Some("a/b.md"));
    assert_eq!(value("file://docs/with%20space/%C3%9F").as_deref(), Some("with space/ß"));
    assert_eq!(value("file://docs/%252e%252e/x").as_deref(), Some("%2e%2e/x"));
    for uri in [
        "schema://shop/a%20b",
        "schema://shop/a/b",
        "file://docs/",
        "file://docs/a%2fb",
        "file://docs/a%2Fb",
        "file://docs/%",
        "file://docs/%4",
        "file://docs/%zz",
        "file://docs/%ff",
        "file://docs/a b",
        "file://docs/a?b",
        "file://docs/a#b",
        "file://docs/a\\b",
        "file://other/a",
        "FILE://docs/a",
    ] {
        assert_eq!(value(uri), None, "{uri}");
    }
}
