//! The databases that tests find in a cluster: the two-tenant shop and the schema of the SQL corpora.

use crate::postgres::{Login, Postgres};

/// Logins of the shop and what they may do: the first four are proper, the others are mistakes that must be noticed.
pub(crate) const SHOP_LOGINS: &[(&str, &str)] = &[
    // Reads what belongs to tenant 1 or 2, and the products.
    ("t1", ""),
    ("t2", ""),
    // As t1 and t2, and may insert, update and delete customers and orders of that tenant.
    ("w1", ""),
    ("w2", ""),
    // Owns every table, so that policies do not bind it.
    ("shop_owner", ""),
    ("bypasser", "BYPASSRLS"),
    ("file_reader", "IN ROLE pg_read_server_files"),
    ("both_tenants", "IN ROLE t1, t2"),
];

const SHOP: &str = include_str!("shop.sql");
const CORPUS: &str = include_str!("../../../corpora/schema_pg.sql");

/// Makes the database `shop` and returns its logins.
pub(crate) fn load_shop(cluster: &Postgres) -> Vec<Login> {
    let logins: Vec<Login> = SHOP_LOGINS.iter().map(|(name, _)| Login::new(name)).collect();
    let mut roles = String::new();
    for (login, (_, attributes)) in logins.iter().zip(SHOP_LOGINS) {
        roles.push_str(&format!(
            "CREATE ROLE {} LOGIN PASSWORD '{}' {attributes};\n",
            login.user, login.password
        ));
    }
    roles.push_str("CREATE DATABASE shop OWNER shop_owner;\n");
    cluster.run("postgres", &roles);
    cluster.run("shop", SHOP);
    logins
}

/// Makes the database `corpus`, whose logins `app_reader` and `app_owner` the schema's text creates.
pub(crate) fn load_corpus(cluster: &Postgres) -> Vec<Login> {
    cluster.run("postgres", "CREATE DATABASE corpus");
    cluster.run("corpus", CORPUS);
    let logins = vec![Login::new("app_reader"), Login::new("app_owner")];
    for login in &logins {
        cluster.run("postgres", &format!("ALTER ROLE {} PASSWORD '{}'", login.user, login.password));
    }
    logins
}
