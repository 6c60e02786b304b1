//! Which relation a name means.

use super::*;

fn catalog(listed: &[(&str, &str, &str)]) -> Catalog {
    let mut catalog = Catalog::default();
    for (schema, name, kind) in listed {
        let name = ["shop".to_owned(), (*schema).to_owned(), (*name).to_owned()];
        catalog.add(Dialect::Ansi, name, kind).unwrap();
    }
    catalog
}

fn meant(catalog: &Catalog, name: &str) -> Result<Option<usize>, Rule> {
    let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    catalog.position(&parts).map_err(|refusal| refusal.rule)
}

#[test]
fn a_name_that_could_mean_a_relation_of_another_kind_is_refused() {
    let listed =
        [("app", "orders", "TABLE"), ("app", "users", "VIEW"), ("scratch", "queue", "EXTERNAL TABLE")];
    let alone = catalog(&listed);
    assert_eq!(meant(&alone, "orders"), Ok(Some(0)));
    for kind in ["GLOBAL TEMPORARY", "LOCAL TEMPORARY", "EXTERNAL TABLE", "STREAM", ""] {
        let both = catalog(&[&listed[..], &[("scratch", "ORDERS", kind)]].concat());
        assert_eq!(meant(&both, "orders"), Err(Rule::UnknownName), "{kind}");
        assert_eq!(meant(&both, "app.orders"), Ok(Some(0)), "{kind}");
        assert_eq!(meant(&both, "scratch.orders"), Ok(None), "{kind}");
        assert_eq!(meant(&both, "users"), Ok(Some(1)), "{kind}");
        assert_eq!(both.tables().len(), 2, "{kind}: it is not shown");
    }
    assert_eq!(meant(&alone, "queue"), Ok(None), "nothing is known of it");
}
