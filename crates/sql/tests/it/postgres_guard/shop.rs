//! The catalogue of `corpora/schema_pg.sql`, as a connection would read it, and what its role `app_reader` is granted.

use std::collections::BTreeSet;

use countersign_sql::{
    Access, Facts, Object, Refusal,
    engines::postgres::guard::{
        Catalogue, Column, Function, GuardConfig, Kind, RelationInfo, RelationKey, TypeInfo, judge, resolve,
    },
};

const TABLES: &[(&str, Kind, &str)] = &[
    ("public.tenants", Kind::Table, "id name"),
    (
        "public.users",
        Kind::Table,
        "id tenant_id login email password_hash api_token is_admin created_at updated_at last_login",
    ),
    (
        "public.customers",
        Kind::Table,
        "id tenant_id name email phone city state status notes tags profile created_at updated_at deleted_at is_deleted create_date",
    ),
    ("public.products", Kind::Table, "id sku name price category update delete"),
    ("public.orders", Kind::Table, "id tenant_id customer_id status total placed_at updated_at during"),
    ("public.order_items", Kind::Table, "order_id line product_id qty price"),
    ("public.employees", Kind::Table, "id manager_id name department hired"),
    ("public.events", Kind::Table, "id kind payload at"),
    ("public.documents", Kind::Table, "id title body tsv"),
    ("public.Order Details", Kind::Table, "Order_ID Unit;Price Drop_Date select"),
    ("public.table", Kind::Table, "from where insert"),
    ("public.call_log", Kind::Table, "n what who"),
    ("public.invoice_seq", Kind::Sequence, "last_value log_cnt is_called"),
    ("restricted.salaries", Kind::Table, "employee_id amount"),
    ("restricted.secrets", Kind::Table, "name value"),
    ("ext.passwd", Kind::Foreign, "line"),
];

const VIEWS: &[(&str, Kind, &str, &str)] = &[
    (
        "public.active_customers",
        Kind::View,
        "id tenant_id name email",
        "SELECT id, tenant_id, name, email FROM public.customers WHERE ((status = 'active'::text) AND (NOT is_deleted));",
    ),
    (
        "public.sales_by_month",
        Kind::MaterializedView,
        "month total",
        "SELECT date_trunc('month'::text, placed_at) AS month, sum(total) AS total FROM public.orders GROUP BY (date_trunc('month'::text, placed_at));",
    ),
    (
        "public.salary_overview",
        Kind::View,
        "n mean",
        "SELECT count(*) AS n, avg(amount) AS mean FROM restricted.salaries;",
    ),
    (
        "public.noisy_customers",
        Kind::View,
        "id name",
        "SELECT id, public.log_call(name) AS name FROM public.customers;",
    ),
];

const FUNCTIONS: &[&str] = &[
    "public.log_call",
    "public.log_call_definer",
    "public.fake_stable",
    "public.run_sql",
    "public.purge_events",
    "public.op_log",
    "public.text_to_tag",
    "public.touch",
    "public.lower_evil",
    "ext.lower",
    "public.evil_agg",
    "public.is_vip",
];

const EXTENSION_FUNCTIONS: &[&str] = &[
    "public.dblink",
    "public.crosstab",
    "public.similarity",
    "public.crypt",
    "public.gen_random_uuid",
    "public.get_raw_page",
];

fn split(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap()
}

fn columns(names: &str) -> Vec<Column> {
    let mut columns: Vec<Column> = names
        .split(' ')
        .map(|name| {
            Column::new(
                name.replace('_', if name.contains("_ID") || name.contains("_Date") { " " } else { "_" }),
                "text",
            )
        })
        .collect();
    for column in &mut columns {
        if column.name == "tsv" {
            column.sources = ["title", "body"].map(str::to_owned).into();
        }
    }
    columns
}

/// The catalogue, its views judged.
pub(super) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue { search_path: vec!["public".to_owned()], ..Catalogue::default() };
    let mut add = |name: &str, kind, names: &str, body| {
        let (schema, name) = split(name);
        let info = RelationInfo { oid: 0, kind, columns: columns(names), body, owner_rights: true };
        catalogue.relations.insert(RelationKey::new(schema, name), info);
    };
    for (name, kind, names) in TABLES {
        add(name, *kind, names, None);
    }
    for (name, kind, names, body) in VIEWS {
        // What a connection does: the body is judged like a statement, with functions outside the lists refused.
        add(name, *kind, names, Some(judge(body, &config())));
    }
    for (names, extension) in [(FUNCTIONS, false), (EXTENSION_FUNCTIONS, true)] {
        for name in names {
            let (schema, name) = split(name);
            catalogue
                .functions
                .insert(RelationKey::new(schema, name), Function { extension, ..Function::default() });
        }
    }
    catalogue.operators.insert(("public".to_owned(), "###".to_owned()), false);
    catalogue.operators.insert(("public".to_owned(), "<->".to_owned()), true);
    for (name, enumeration, casts, extension) in [
        ("order_status", true, false, false),
        ("money_tag", false, true, false),
        ("hstore", false, false, true),
    ] {
        catalogue
            .types
            .insert(("public".to_owned(), name.to_owned()), TypeInfo { enumeration, casts, extension });
    }
    catalogue
}

/// What an operator of this database would allow.
pub(super) fn config() -> GuardConfig {
    GuardConfig {
        functions: ["public.is_vip"].map(str::to_owned).into(),
        settings: ["app.tenant_id"].map(str::to_owned).into(),
        ..GuardConfig::default()
    }
}

/// A statement's facts.
pub(super) fn facts(sql: &str) -> Result<Facts, Refusal> {
    let config = config();
    resolve(&judge(sql, &config)?, &catalogue(), &config)
}

/// A statement's facts where callers may name the tables of further schemas.
pub(super) fn facts_opened(sql: &str, schemas: &[&str]) -> Result<Facts, Refusal> {
    let config = config();
    let mut catalogue = catalogue();
    catalogue.search_path.extend(schemas.iter().map(|schema| (*schema).to_owned()));
    resolve(&judge(sql, &config)?, &catalogue, &config)
}

/// The first access that `app_reader` is not granted.
pub(super) fn denied(facts: &Facts) -> Option<&Access> {
    let secret: BTreeSet<&str> = ["password_hash", "api_token"].into();
    facts.accesses.iter().find(|access| match &access.object {
        Object::Table { table } => {
            table.starts_with("restricted.")
                || ["ext.passwd", "public.call_log", "public.salary_overview", "public.invoice_seq"]
                    .contains(&table.as_str())
                || (table.starts_with("information_schema.") && table != "information_schema.columns")
        }
        Object::Column { table, column } => table == "public.users" && secret.contains(column.as_str()),
        Object::Function { .. } => false,
    })
}
