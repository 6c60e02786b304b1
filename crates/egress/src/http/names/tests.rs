//! Names of the inside, and names that only look like them.

use super::*;

#[test]
fn names_are_classed_by_whole_labels() {
    for (name, class) in [
        ("example.com", NameClass::Public),
        ("localhost.example.com", NameClass::Public),
        ("internal.example.com", NameClass::Public),
        ("mylocal.com", NameClass::Public),
        ("notlocalhost.com", NameClass::Public),
        ("metadata.example.com", NameClass::Public),
        ("kubernetes.io", NameClass::Public),
        ("home.pl", NameClass::Public),
        ("mail.com", NameClass::Public),
        ("localhost", NameClass::Local),
        ("foo.localhost", NameClass::Local),
        ("localhost.localdomain", NameClass::Local),
        ("router", NameClass::Local),
        ("nas.lan", NameClass::Local),
        ("wiki.corp", NameClass::Local),
        ("printer.local", NameClass::Local),
        ("db.internal", NameClass::Local),
        ("box.home.arpa", NameClass::Local),
        ("1.0.0.127.in-addr.arpa", NameClass::Local),
        ("resolver.arpa", NameClass::Local),
        ("post.mail", NameClass::Local),
        ("metadata", NameClass::Platform),
        ("metadata.google.internal", NameClass::Platform),
        ("metadata.goog", NameClass::Platform),
        ("kubernetes.default.svc", NameClass::Platform),
        ("api.default.svc.cluster.local", NameClass::Platform),
        ("host.docker.internal", NameClass::Platform),
    ] {
        assert_eq!(NameClass::of(name), class, "{name}");
    }
}
