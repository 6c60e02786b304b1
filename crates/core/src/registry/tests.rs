//! Which URIs name a resource, and with what value.

use super::*;

fn registry(uris: &[&str]) -> Result<Registry, RegistryError> {
    let one = |uri: &&str| Resource {
        uri: (*uri).into(),
        name: String::new(),
        description: String::new(),
        mime: "text/plain",
        tool: "t".into(),
        also: None,
        tenant: None,
        fixed: BTreeMap::new(),
        variable: uri.contains('{').then(|| "value".into()),
    };
    Registry::new(Vec::new(), uris.iter().map(one).collect())
}

#[test]
fn no_uri_names_two_resources() {
    for (one, other, shared) in [
        ("a://x", "a://x", true),
        ("a://x", "a://y", false),
        ("a://x/y", "a://x/{v}", true),
        ("a://x/{v}", "a://x/{w}", true),
        ("a://x", "a://x/{v}", false),
        ("a://x/y/z", "a://x/{v}", false),
        ("a://x/{+v}", "a://x/y/z", true),
        ("a://x/{+v}", "a://x/y/{w}", true),
        ("a://x/{+v}", "b://x/{v}", false),
    ] {
        for pair in [[one, other], [other, one]] {
            let refused = matches!(registry(&pair), Err(RegistryError::Uri(..)));
            assert_eq!(refused, shared, "{pair:?}");
        }
    }
}

#[test]
fn a_path_is_decoded_once_and_a_segment_never() {
    let registry = registry(&["schema://shop", "schema://shop/{table}", "file://docs/{+path}"]).ok().unwrap();
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
