//! What names resolve to: accesses never fewer than a statement makes, and not many more.

use std::collections::BTreeSet;

use countersign_sql::{
    Access, Facts, Object, Rule,
    engines::postgres::guard::{Syntax, judge, resolve},
};

use super::shop::{catalogue, config, denied, facts, facts_opened};

fn columns(facts: &Facts, table: &str) -> BTreeSet<String> {
    let of = |object: &Object| match object {
        Object::Column { table: of, column } if of == table => Some(column.clone()),
        _ => None,
    };
    facts.accesses.iter().filter_map(|access| of(&access.object)).collect()
}

fn projected(sql: &str) -> Vec<String> {
    let name = |object: &Object| match object {
        Object::Column { column, .. } => column.clone(),
        other => panic!("{other:?}"),
    };
    facts(sql).unwrap().projected.iter().map(name).collect()
}

fn read(sql: &str, table: &str) -> Vec<String> {
    columns(&facts(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}: {:?}", refusal.detail)), table)
        .into_iter()
        .collect()
}

/// Ways to read a column that is not granted, each found without a server.
#[test]
fn a_secret_column_is_found_behind_every_name() {
    for sql in [
        "SELECT password_hash FROM users",
        "SELECT u.password_hash FROM users u",
        "SELECT public.users.password_hash FROM public.users",
        "SELECT * FROM users",
        "SELECT u.* FROM users u",
        "TABLE users",
        "SELECT u FROM users u",
        "SELECT users FROM users",
        "SELECT u::text FROM users u",
        "SELECT row_to_json(u) FROM users u",
        "SELECT to_jsonb(u.*) FROM users u",
        "SELECT count(u) FROM users u",
        "SELECT x FROM (SELECT * FROM users) x",
        "SELECT x.secret FROM users AS x(a, b, c, d, secret)",
        "SELECT j.secret FROM (users JOIN tenants ON true) AS j(a, b, c, d, secret)",
        "SELECT j.password_hash FROM (users JOIN tenants USING (id)) AS j",
        "SELECT j FROM (users JOIN tenants USING (id)) AS j",
        "SELECT u.password_hash FROM tenants JOIN users USING (id) AS u",
        "SELECT 1 FROM customers NATURAL JOIN users",
        "SELECT 1 FROM customers JOIN users USING (password_hash)",
        "SELECT login FROM users ORDER BY password_hash",
        "SELECT login FROM users WHERE password_hash LIKE 'a%'",
        "SELECT count(*) FROM users GROUP BY password_hash",
        "SELECT (SELECT password_hash FROM users LIMIT 1)",
        "SELECT 1 FROM tenants t WHERE EXISTS (SELECT 1 FROM users WHERE password_hash > t.name)",
        "SELECT x.p FROM tenants, LATERAL (SELECT password_hash AS p FROM users) x",
        "WITH x AS (SELECT * FROM users) SELECT x.login FROM x",
        "WITH users AS (SELECT * FROM users) SELECT login FROM users",
        "WITH x AS (SELECT 1) SELECT * FROM users, x",
        "SELECT 1 UNION ALL SELECT length(password_hash) FROM users",
        "SELECT sum(length(password_hash)) OVER () FROM users",
        "SELECT jsonb_agg(t) FROM (TABLE users) t",
        "SELECT max(password_hash) FROM users",
        "SELECT 1 FROM tenants t JOIN users u ON u.password_hash = t.name",
        "SELECT ARRAY(SELECT u.api_token FROM users u)",
        "EXPLAIN SELECT login FROM users WHERE password_hash = 'x'",
        "SELECT login FROM users WHERE (SELECT password_hash) = 'x'",
        "SELECT login FROM users u WHERE 'x' IN (SELECT u.password_hash FROM tenants)",
    ] {
        let facts = facts(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}: {:?}", refusal.detail));
        assert!(denied(&facts).is_some(), "{sql}: {:?}", facts.accesses);
    }
}

#[test]
fn restricted_tables_are_found_behind_views_and_shadows() {
    for sql in [
        "SELECT * FROM salary_overview",
        "SELECT n FROM salary_overview",
        "WITH secrets AS (SELECT 1) SELECT * FROM restricted.secrets",
        "WITH x AS (SELECT * FROM restricted.secrets) SELECT 1",
        "SELECT 1 FROM tenants WHERE 'x' < ANY (SELECT value FROM restricted.secrets)",
        "SELECT pg_total_relation_size('restricted.secrets')",
    ] {
        let facts = facts_opened(sql, &["restricted"])
            .unwrap_or_else(|refusal| panic!("{sql}: {refusal}: {:?}", refusal.detail));
        let touched = |access: &Access| matches!(&access.object, Object::Table { table } if table.starts_with("restricted."));
        assert!(facts.accesses.iter().any(touched), "{sql}");
    }
}

#[test]
fn callers_name_only_tables_of_the_schemas_that_were_opened() {
    for sql in [
        "SELECT 1 FROM restricted.secrets",
        "SELECT * FROM ext.passwd",
        "SELECT pg_total_relation_size('restricted.secrets')",
        "SELECT 1 FROM tenants WHERE EXISTS (TABLE restricted.secrets)",
    ] {
        assert_eq!(facts(sql).expect_err(sql).rule, Rule::UnknownName, "{sql}");
        assert!(facts_opened(sql, &["restricted", "ext"]).is_ok(), "{sql}");
    }
    // A view may read what its reader may not name.
    assert!(facts("SELECT * FROM salary_overview").is_ok());
}

#[test]
fn not_many_more_columns_count_than_are_read() {
    assert_eq!(read("SELECT login FROM users WHERE id = 1", "public.users"), ["id", "login"]);
    assert_eq!(read("SELECT * FROM (SELECT id, login FROM users) x", "public.users"), ["id", "login"]);
    assert_eq!(read("WITH x AS (SELECT login FROM users) SELECT * FROM x", "public.users"), ["login"]);
    assert_eq!(read("SELECT count(*) FROM users", "public.users"), [""; 0]);
    assert_eq!(
        read("SELECT name FROM customers WHERE tenant_id IN (SELECT tenant_id FROM users)", "public.users"),
        ["tenant_id"]
    );
    assert_eq!(
        read(
            "SELECT email FROM customers WHERE EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = customers.tenant_id)",
            "public.users"
        ),
        ["tenant_id"]
    );
    assert_eq!(
        read("SELECT u.login FROM users u JOIN tenants t ON t.id = u.tenant_id", "public.users"),
        ["login", "tenant_id"]
    );
    assert_eq!(
        read(
            "SELECT n FROM (SELECT login AS n FROM users UNION SELECT name FROM tenants) x ORDER BY n",
            "public.users"
        ),
        ["login"]
    );
    // A generated column is what it is made of; a view is what it reads.
    assert_eq!(read("SELECT tsv FROM documents", "public.documents"), ["body", "title", "tsv"]);
    assert!(read("SELECT id FROM active_customers", "public.customers").contains(&"is_deleted".to_owned()));
}

#[test]
fn names_of_common_table_expressions_end_with_their_scope() {
    // The inner use is the expression, the outer one the table.
    let sql = "SELECT * FROM (WITH users AS (SELECT 1 AS one) SELECT one FROM users) x, users";
    assert!(denied(&facts(sql).unwrap()).is_some());
    let sql = "WITH users AS (SELECT 1 AS one) SELECT one FROM users";
    assert_eq!(facts(sql).unwrap().accesses, BTreeSet::new());
    // Later items see earlier ones, not the other way round.
    let sql = "WITH a AS (SELECT login FROM users), users AS (SELECT 1) SELECT login FROM a";
    assert_eq!(read(sql, "public.users"), ["login"]);
    let sql = "WITH RECURSIVE a AS (SELECT one FROM users), users AS (SELECT 1 AS one) SELECT one FROM a";
    assert_eq!(facts(sql).unwrap().accesses, BTreeSet::new());
    let sql = "WITH x AS (WITH users AS (SELECT 1 AS one) SELECT one FROM users) SELECT login FROM users, x";
    assert_eq!(read(sql, "public.users"), ["login"]);
}

#[test]
fn only_whole_items_of_the_outermost_list_are_projected() {
    assert_eq!(projected("SELECT id, email FROM users WHERE id = 1"), ["email"]);
    assert_eq!(projected("SELECT u.email AS contact FROM users u ORDER BY u.id"), ["email"]);
    assert_eq!(projected("SELECT u.email FROM users u LIMIT 5"), ["email"]);
    assert_eq!(projected("SELECT t.* FROM tenants t"), ["id", "name"]);
    for sql in [
        "SELECT lower(email) FROM users",
        "SELECT DISTINCT email FROM users",
        "SELECT email FROM users GROUP BY email",
        "SELECT email FROM users UNION SELECT email FROM users",
        "SELECT email FROM users ORDER BY email",
        "SELECT email FROM users ORDER BY 1",
        "SELECT email AS e FROM users ORDER BY e",
        "SELECT email FROM users ORDER BY (SELECT 1)",
        "SELECT email FROM users WHERE email LIKE 'a%'",
        "SELECT email FROM (SELECT email FROM users) x",
        "SELECT x.email FROM (SELECT * FROM users) x",
        "WITH x AS (SELECT email FROM users) SELECT email FROM x",
        "EXPLAIN SELECT email FROM users",
        "SELECT email, email || 'x' FROM users",
        "SELECT (SELECT u.email) FROM users u",
        "SELECT email FROM users u(id, tenant_id, login, email)",
        "SELECT email FROM users NATURAL JOIN tenants",
        "SELECT ARRAY[email] FROM users",
        "SELECT count(email) FROM users",
        "SELECT email::text FROM users",
        "SELECT CASE WHEN true THEN email END FROM users",
        "SELECT u FROM users u",
    ] {
        assert!(!projected(sql).contains(&"email".to_owned()), "{sql}");
    }
}

#[test]
fn functions_of_known_extensions_pass_and_their_namesakes_do_not() {
    let sql = "SELECT similarity(name, 'x') FROM customers";
    assert!(facts(sql).unwrap().accesses.contains(&Access::function("public.similarity")));
    let mut catalogue = super::shop::catalogue();
    for function in catalogue.functions.values_mut() {
        function.extension = false;
    }
    let refusal = resolve(&judge(sql, &config()).unwrap(), &catalogue, &config()).unwrap_err();
    assert_eq!(refusal.rule, Rule::ForbiddenFunction);
}

#[test]
fn a_shadowed_function_is_refused_unless_it_is_qualified() {
    let mut catalogue = super::shop::catalogue();
    let config = config();
    let resolve = |sql: &str, catalogue: &_| {
        countersign_sql::engines::postgres::guard::resolve(&judge(sql, &config).unwrap(), catalogue, &config)
    };
    // `ext.lower` is out of the search path: it stands in for nothing.
    assert!(resolve("SELECT lower('X')", &catalogue).is_ok());
    catalogue.search_path.push("ext".to_owned());
    let refusal = resolve("SELECT lower('X')", &catalogue).unwrap_err();
    assert_eq!(refusal.rule.code(), "forbidden_function");
    assert!(resolve("SELECT pg_catalog.lower('X')", &catalogue).is_ok());
    catalogue.operators.insert(("ext".to_owned(), "+".to_owned()), false);
    assert_eq!(resolve("SELECT 1 + 2", &catalogue).unwrap_err().rule.code(), "forbidden_operator");
    assert!(resolve("SELECT 1 OPERATOR(pg_catalog.+) 2", &catalogue).is_ok());
    catalogue.operators.insert(("ext".to_owned(), "=".to_owned()), false);
    for hidden in [
        "SELECT 1 WHERE 1 IN (1)",
        "SELECT CASE 1 WHEN 1 THEN 2 END",
        "SELECT nullif(1, 2)",
        "SELECT id FROM users JOIN tenants USING (id)",
    ] {
        assert_eq!(resolve(hidden, &catalogue).unwrap_err().rule.code(), "forbidden_operator", "{hidden}");
    }
}

#[test]
fn functions_are_named_in_the_facts() {
    let facts = facts("SELECT is_vip(id), lower(name), current_user FROM customers").unwrap();
    for name in ["public.is_vip", "lower", "current_user"] {
        assert!(facts.accesses.contains(&Access::function(name)), "{name}");
    }
}

#[test]
fn a_judgement_survives_the_wire_and_forged_bytes_do_no_harm() {
    let config = config();
    for sql in [
        "SELECT 1",
        "SHOW timezone",
        "WITH RECURSIVE a(x) AS (SELECT id FROM users UNION SELECT x FROM a WHERE x < 9) SELECT a.x, u.*, similarity(u.login, $3) FROM a \
         NATURAL JOIN users u, jsonb_each('{}') AS j(k, v), (users v JOIN tenants USING (id)) AS w WHERE k = 'a'::order_status::text",
    ] {
        let syntax = judge(sql, &config).unwrap();
        let bytes = syntax.encode();
        assert_eq!(Syntax::decode(&bytes).unwrap(), syntax);
        for at in 0..bytes.len() {
            assert!(Syntax::decode(&bytes[..at]).is_err());
            let mut forged = bytes.clone();
            forged[at] ^= 0xff;
            if let Ok(forged) = Syntax::decode(&forged) {
                let _ = countersign_sql::engines::postgres::guard::resolve(
                    &forged,
                    &super::shop::catalogue(),
                    &config,
                );
            }
        }
    }
}

#[test]
fn fingerprints_keep_schemas_apart_and_literals_together() {
    let print = |sql: &str| judge(sql, &config()).unwrap().fingerprint;
    let same = print("SELECT name FROM customers WHERE id = 1 AND city IN ('a', 'b')");
    assert_eq!(same, print("select  name from customers /* x */ where id = 22 and city in ('c')"));
    for other in [
        "SELECT name FROM public.customers WHERE id = 1 AND city IN ('a', 'b')",
        "SELECT name FROM restricted.customers WHERE id = 1 AND city IN ('a', 'b')",
        "SELECT name FROM customers2 WHERE id = 1 AND city IN ('a', 'b')",
        "SELECT name FROM customers WHERE id = 1 OR city IN ('a', 'b')",
        "SELECT name FROM customers WHERE id = $1 AND city IN ('a', 'b')",
        "SELECT c.name FROM customers c WHERE id = 1 AND city IN ('a', 'b')",
    ] {
        assert_ne!(same, print(other), "{other}");
    }
}

/// What is selected from a function's alias is its column or a call. A function of the database may name its one value.
#[test]
fn the_alias_of_a_function_that_names_its_value_is_no_column() {
    let sql = "SELECT pg_read_file.pg_read_file FROM is_vip(1) AS pg_read_file";
    assert_eq!(facts(sql).err(), None);
    let named = |sql: &str| {
        let mut catalogue = catalogue();
        for (key, function) in &mut catalogue.functions {
            if key.name == "is_vip" {
                function.columns.insert("vip".to_owned());
            }
        }
        resolve(&judge(sql, &config()).unwrap(), &catalogue, &config())
    };
    assert_eq!(named(sql).unwrap_err().rule, Rule::FieldSelection);
    assert_eq!(named("SELECT v.vip FROM is_vip(1) AS v").err(), None);
}
